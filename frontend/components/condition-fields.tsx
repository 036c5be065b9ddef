/** The condition of an alert, as a form: comparisons, and groups of them of which all or any must be. */

import { createContext, useContext, useId, useRef } from "react";
import type { AssetUpdate, Instrument, Portfolio } from "../api";
import {
  blankGroup,
  blankPart,
  type Condition,
  type FieldSpec,
  fieldsOf,
  type Group,
  hasContrary,
  inside,
  isGroup,
  KINDS,
  type Kind,
  LEAVES_MAX,
  leaves,
  type Node,
  ofKind,
  type Part,
  parsed,
  placesIn,
  placesUnder,
  rootPlaces,
  unitOf,
} from "../conditions";
import { price } from "../format";
import { useTopic } from "../hooks/realtime";
import type { Refusals } from "../http";
import { CheckField, Field, Segments, SelectField, TextField } from "./field";
import { Icon } from "./icons";

export interface Indicator {
  name: string;
  variant: string;
  outputs: string[];
  parameters: { name: string; default: number }[];
}

/** What there is to choose from. */
export interface Known {
  instruments: Instrument[];
  portfolios: Portfolio[];
  indicators: Indicator[];
  strategies: string[];
}

/** What every part of the form sees. own: the instrument of parts that name none. */
interface Surroundings {
  known: Known;
  own: string | null;
  refusals: Refusals;
  /** Whether the condition may grow, and the key of what was added last: it takes the focus once. */
  full: boolean;
  added: { current: number };
}

const SurroundingsContext = createContext<Surroundings | null>(null);

function useSurroundings(): Surroundings {
  const surroundings = useContext(SurroundingsContext);
  if (surroundings === null) throw new Error("conditions stand in a ConditionFields");
  return surroundings;
}

const KIND_CHOICES = Object.entries(KINDS).map(([kind, { label }]) => [kind, label] as const);
const GROUPS = [
  ["all", "All of these"],
  ["any", "Any of these"],
] as const;
// Deeper ones are shown, but nobody has to build them on a phone.
const DEPTH_MAX = 4;
const PATTERNS = [
  "double_top",
  "double_bottom",
  "head_and_shoulders",
  "inverse_head_and_shoulders",
  "ascending_triangle",
  "descending_triangle",
  "symmetrical_triangle",
  "bull_flag",
  "bear_flag",
  "doji",
  "hammer",
  "engulfing",
  "morningstar",
  "eveningstar",
];
const SERVICE_PARTS = ["feeds", "residents", "workers"];

interface Props {
  condition: Condition;
  change: (condition: Condition) => void;
  known: Known;
  own: string | null;
  refusals: Refusals;
}

export function ConditionFields({ condition, change, known, own, refusals }: Props) {
  const added = useRef(0);
  if (condition.raw !== null) return <RawCondition raw={condition.raw} change={change} refusals={refusals} />;
  const full = leaves(condition.root).length >= LEAVES_MAX;
  return (
    <SurroundingsContext.Provider value={{ known, own, refusals, full, added }}>
      <GroupFields
        group={condition.root}
        places={rootPlaces(condition)}
        depth={1}
        change={(root) => change({ ...condition, root })}
      />
      <General refusals={refusals} condition={condition} />
    </SurroundingsContext.Provider>
  );
}

/** What was said of the condition as a whole, or of a place that has no field here. */
function General({ refusals, condition }: { refusals: Refusals; condition: Condition }) {
  const shown = placesIn(condition);
  const others = Object.entries(refusals).filter(([place]) => place.startsWith("condition") && !shown.has(place));
  if (others.length === 0) return null;
  return (
    <p className="field-error" role="alert">
      {others.map(([, sentence]) => sentence).join(" ")}
    </p>
  );
}

function RawCondition({ raw, change, refusals }: { raw: string } & Pick<Props, "change" | "refusals">) {
  const said = Object.entries(refusals)
    .filter(([place]) => place.startsWith("condition"))
    .map(([place, sentence]) => `${place}: ${sentence}`);
  return (
    <Field
      label="Condition"
      hint="No form can show this one, so it is shown as it is stored."
      error={isJson(raw) ? said.join(" ") || undefined : "It is no JSON."}
    >
      {(control) => (
        <textarea
          {...control}
          className="raw"
          rows={12}
          spellCheck={false}
          value={raw}
          onInput={(event) => change({ root: blankGroup("all", []), raw: event.currentTarget.value })}
        />
      )}
    </Field>
  );
}

function isJson(text: string): boolean {
  try {
    parsed(text);
    return true;
  } catch {
    return false;
  }
}

interface GroupProps {
  group: Group;
  /** Where the server names the errors of its nodes. */
  places: string[];
  depth: number;
  change: (group: Group) => void;
}

/** The nodes of a group, which of them must be, and how to add one. */
function GroupFields({ group, places, depth, change }: GroupProps) {
  const { full, added, own } = useSurroundings();
  const adding = useRef<HTMLButtonElement>(null);
  const about = { symbol: leaves(group).at(-1)?.fields.symbol ?? own ?? "" };
  const add = (node: Node) => {
    added.current = isGroup(node) ? (node.nodes[0]?.key ?? 0) : node.key;
    change({ ...group, nodes: [...group.nodes, node] });
  };
  const put = (changed: Node) =>
    change({ ...group, nodes: group.nodes.map((node) => (node.key === changed.key ? changed : node)) });
  const remove = (gone: Node) => {
    change({ ...group, nodes: group.nodes.filter(({ key }) => key !== gone.key) });
    adding.current?.focus();
  };
  return (
    <div className="group">
      {group.nodes.length > 1 && (
        <Segments
          legend="Which of them"
          name={`group ${group.key}`}
          value={group.group}
          choices={GROUPS}
          change={(chosen) => change({ ...group, group: chosen })}
        />
      )}
      {group.nodes.map((node, index) => (
        <NodeFields
          key={node.key}
          node={node}
          place={places[index] ?? ""}
          depth={depth}
          change={put}
          remove={group.nodes.length > 1 ? () => remove(node) : undefined}
        />
      ))}
      {!full && (
        <div className="group-foot">
          <button type="button" className="link add" ref={adding} onClick={() => add(blankPart("price", about))}>
            <Icon name="plus" size={14} />
            Add a condition
          </button>
          {depth < DEPTH_MAX && (
            <button
              type="button"
              className="link add"
              onClick={() => add(blankGroup(group.group === "all" ? "any" : "all", [blankPart("price", about)]))}
            >
              <Icon name="plus" size={14} />
              Add a group
            </button>
          )}
        </div>
      )}
    </div>
  );
}

interface NodeProps {
  node: Node;
  place: string;
  depth: number;
  change: (node: Node) => void;
  remove: (() => void) | undefined;
}

function NodeFields({ node, place, depth, change, remove }: NodeProps) {
  const { refusals } = useSurroundings();
  const within = inside(node, place);
  const said = refusals[place] ?? refusals[within];
  return (
    <fieldset className="node" data-group={isGroup(node)}>
      <legend className="spoken">{isGroup(node) ? "A group of conditions" : KINDS[node.kind].label}</legend>
      {isGroup(node) ? (
        <GroupFields group={node} places={placesUnder(node, within)} depth={depth + 1} change={change} />
      ) : (
        <PartFields part={node} place={within} change={change} />
      )}
      {(node.negated || hasContrary(node)) && (
        <CheckField
          label={`Only while this ${isGroup(node) ? "group " : ""}is not so`}
          checked={node.negated}
          change={(negated) => change({ ...node, negated })}
        />
      )}
      {said !== undefined && (
        <p className="field-error" role="alert">
          {said}
        </p>
      )}
      {remove !== undefined && (
        <button
          type="button"
          className="icon-button small node-remove"
          aria-label={isGroup(node) ? "Remove this group" : "Remove this condition"}
          onClick={remove}
        >
          <Icon name="close" size={14} />
        </button>
      )}
    </fieldset>
  );
}

interface PartProps {
  part: Part;
  /** Where the server names the errors of its fields. */
  place: string;
  change: (part: Part) => void;
}

function PartFields({ part, place, change }: PartProps) {
  const { refusals, added } = useSurroundings();
  const first = (element: HTMLElement | null) => {
    if (element === null || added.current !== part.key) return;
    added.current = 0;
    element.querySelector("select")?.focus();
  };
  return (
    <div className="part" ref={first}>
      <SelectField
        label="Figure"
        value={part.kind}
        choices={KIND_CHOICES}
        error={refusals[`${place}.kind`]}
        change={(kind) => change(ofKind(part, kind as Kind))}
      />
      {fieldsOf(part).map((spec) => (
        <PartField
          key={spec.name}
          spec={spec}
          part={part}
          error={refusals[`${place}.${spec.name}`]}
          change={(value) => change(withField(part, spec, value))}
        />
      ))}
    </div>
  );
}

/** Another indicator has other lines, another strategy another number. Pure. */
function withField(part: Part, { name, as }: FieldSpec, value: string): Part {
  const undone: Record<string, string> =
    as === "indicator" ? { output: "" } : as === "strategy" ? { strategy_id: "" } : {};
  return { ...part, fields: { ...part.fields, [name]: value, ...undone } };
}

interface PartFieldProps {
  spec: FieldSpec;
  part: Part;
  error: string | undefined;
  change: (value: string) => void;
}

function PartField({ spec, part, error, change }: PartFieldProps) {
  const { known, own } = useSurroundings();
  const value = part.fields[spec.name] ?? "";
  const field = { label: spec.label, hint: spec.hint, error, value, change };
  switch (spec.as) {
    case "choice":
      return <SelectField {...field} choices={spec.choices ?? []} />;
    case "symbol":
      return (
        <Suggesting
          {...field}
          hint={own === null ? spec.hint : `Empty: ${own}`}
          options={known.instruments.map(({ symbol, name }) => [symbol, name])}
        />
      );
    case "indicator":
      return <Suggesting {...field} options={known.indicators.map((each) => [called(each), each.variant])} />;
    case "pattern":
      return <Suggesting {...field} options={PATTERNS.map((name) => [name, ""])} />;
    case "strategy":
      return <Suggesting {...field} options={known.strategies.map((name) => [name, ""])} />;
    case "hidden":
      return null;
    case "service":
      return <Suggesting {...field} options={SERVICE_PARTS.map((name) => [name, ""])} />;
    case "portfolio":
      return <SelectField {...field} choices={[["", "Choose"], ...known.portfolios.map(portfolioChoice)]} />;
    case "output": {
      const outputs = outputsOf(part.fields.name ?? "", known.indicators);
      const choices = outputs.map((name) => [name, name] as const);
      return outputs.length < 2 ? null : (
        <SelectField {...field} value={value || (outputs[0] ?? "")} choices={choices} />
      );
    }
    default:
      return spec.name === "value" || spec.name === "clear" ? (
        <Threshold {...field} part={part} own={own} />
      ) : (
        <TextField {...field} type="number" />
      );
  }
}

type ThresholdProps = Pick<Parameters<typeof TextField>[0], "label" | "hint" | "error" | "value" | "change">;

/** In its unit; of a price, beside the price that is now. */
function Threshold({ part, own, hint, ...field }: ThresholdProps & { part: Part; own: string | null }) {
  const { known } = useSurroundings();
  const symbol = (part.fields.symbol || own || "").toUpperCase();
  const instrument = known.instruments.find((each) => each.symbol === symbol);
  const isPriced = part.kind === "price" && hint === undefined && instrument !== undefined;
  const now = useTopic<AssetUpdate>(isPriced ? `price:${symbol}` : null)?.price;
  const unit = unitOf(part, {
    ofSymbol: () => instrument?.currency ?? "",
    ofPortfolio: (id) => known.portfolios.find((each) => String(each.id) === id)?.base_currency ?? "",
  });
  return <TextField {...field} type="number" unit={unit} hint={now == null ? hint : `Now ${price(now)}`} />;
}

function portfolioChoice({ id, name }: Portfolio): [string, string] {
  return [String(id), name];
}

/** As it is asked for with its defaults: `macd(12,26,9)`. Pure. */
export function called({ name, parameters }: Indicator): string {
  return parameters.length === 0 ? name : `${name}(${parameters.map((each) => each.default).join(",")})`;
}

/** The lines that an indicator has, by how it was written. Pure. */
export function outputsOf(written: string, indicators: Indicator[]): string[] {
  const name = written.split("(")[0]?.trim().toLowerCase();
  return indicators.find((each) => each.name === name)?.outputs ?? [];
}

interface SuggestingProps {
  label: string;
  hint?: string | undefined;
  error: string | undefined;
  value: string;
  change: (value: string) => void;
  options: (readonly [value: string, about: string])[];
}

/** Any text, with what there is to choose from as it is typed. */
function Suggesting({ options, ...field }: SuggestingProps) {
  const list = useId();
  return (
    <div className="suggesting">
      <TextField {...field} list={list} />
      <datalist id={list}>
        {options.map(([value, about]) => (
          <option key={value} value={value}>
            {about}
          </option>
        ))}
      </datalist>
    </div>
  );
}
