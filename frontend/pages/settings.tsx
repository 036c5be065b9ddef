/** `/settings/notifications/`: where and when a user is told, what became of it, and all that was told. */

import { type MouseEvent, useEffect, useRef, useState } from "react";
import { DeliveryLog, type LogFilter, type StatusFilter } from "../components/delivery-log";
import { Destinations } from "../components/destinations";
import { Frame } from "../components/frame";
import { History } from "../components/history";
import { PreferencesSection } from "../components/preferences";
import { SignInFirst } from "../components/signin";
import { STATUS_WORDS } from "../destinations";
import { useBootstrap } from "../hooks/bootstrap";
import { useQuery } from "../hooks/route";
import { mount } from "./mount";
import "../styles/forms.css";
import "../styles/settings.css";

const PATH = "/settings/notifications/";
const SECTIONS = [
  ["destinations", "Destinations"],
  ["preferences", "Preferences"],
  ["deliveries", "Delivery log"],
  ["history", "All notifications"],
] as const;
type Section = (typeof SECTIONS)[number][0];

function SettingsPage() {
  const { user } = useBootstrap();
  const [heard, setHeard] = useState(0);
  return (
    <Frame current={PATH} onNews={() => setHeard((count) => count + 1)}>
      {() =>
        user === null ? (
          <SignInFirst title="Told where you are, when you want it" path={PATH + location.search}>
            Sign in to choose where notifications reach you.
          </SignInFirst>
        ) : (
          <Settings heard={heard} />
        )
      }
    </Frame>
  );
}

function Settings({ heard }: { heard: number }) {
  const [query, go] = useQuery();
  const section = sectionOf(query);
  const showLog = (some: Partial<LogFilter>) => go(logQuery({ ...NO_FILTER, ...some }));
  return (
    <main className="settings">
      <div className="settings-side">
        <h1>Notifications</h1>
        <Sections section={section} go={(next) => go({ section: next })} />
      </div>
      <div className="settings-body">
        {section === "destinations" && (
          <Destinations heard={heard} showLog={(id) => showLog({ destination: String(id) })} />
        )}
        {/* It stays, so that what was typed is there when one comes back. */}
        <div hidden={section !== "preferences"}>
          <PreferencesSection />
        </div>
        {section === "deliveries" && (
          <DeliveryLog filter={filterOf(query)} change={(filter) => go(logQuery(filter))} heard={heard} />
        )}
        {section === "history" && <History heard={heard} showLog={(notification) => showLog({ notification })} />}
      </div>
    </main>
  );
}

function Sections({ section, go }: { section: Section; go: (section: Section) => void }) {
  const list = useRef<HTMLElement>(null);
  // On a phone the sections are wider than the screen.
  // biome-ignore lint/correctness/useExhaustiveDependencies: another one is to be seen
  useEffect(() => {
    list.current?.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }, [section]);
  const follow = (event: MouseEvent, next: Section) => {
    // Another tab or window is the browser's business.
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    go(next);
  };
  return (
    <nav ref={list} className="sections" aria-label="Sections">
      {SECTIONS.map(([each, label]) => (
        <a
          key={each}
          href={`?section=${each}`}
          aria-current={each === section ? "true" : undefined}
          onClick={(event) => follow(event, each)}
        >
          {label}
        </a>
      ))}
    </nav>
  );
}

function sectionOf(query: URLSearchParams): Section {
  return SECTIONS.find(([each]) => each === query.get("section"))?.[0] ?? "destinations";
}

const NO_FILTER: LogFilter = { status: "", destination: "", notification: "" };

function filterOf(query: URLSearchParams): LogFilter {
  const status = query.get("status") ?? "";
  return {
    status: Object.hasOwn(STATUS_WORDS, status) ? (status as StatusFilter) : "",
    destination: /^\d{1,18}$/.exec(query.get("destination") ?? "")?.[0] ?? "",
    notification: query.get("notification") ?? "",
  };
}

function logQuery(filter: LogFilter): Record<string, string> {
  const asked = Object.entries(filter).filter(([, value]) => value !== "");
  return { section: "deliveries", ...Object.fromEntries(asked) };
}

mount(<SettingsPage />);
