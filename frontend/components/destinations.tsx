/** Where a user is told. */

import { useState } from "react";
import type { Destination } from "../destinations";
import { useHeard } from "../hooks/heard";
import { usePolled } from "../hooks/polled";
import { useThisBrowser } from "../hooks/this-browser";
import { getAll } from "../http";
import { Copied } from "./copied";
import { DestinationForm } from "./destination-form";
import { DestinationRow } from "./destination-row";
import { Icon } from "./icons";
import { Empty, Failure, Skeleton } from "./states";

// Deliveries change how a destination stands without a word.
const REFRESH_MS = 15_000;

interface Props {
  /** Grows with each notification: one may say that a destination was switched off. */
  heard: number;
  showLog: (destination: number) => void;
}

export function Destinations({ heard, showLog }: Props) {
  const destinations = usePolled(
    "destinations",
    (signal) => getAll<Destination>("/api/destinations/", signal),
    REFRESH_MS,
  );
  useHeard(heard, destinations.reload);
  const here = useThisBrowser();
  const [form, setForm] = useState<"new" | number | null>(null);
  const [made, setMade] = useState<Destination | null>(null);
  const list = destinations.data;
  const taken = list?.map(({ name }) => name) ?? [];
  const saved = (destination: Destination) => {
    if (destination.generated !== undefined) setMade(destination);
    setForm(null);
    destinations.reload();
  };
  return (
    <>
      {made !== null && <Secrets destination={made} done={() => setMade(null)} />}
      {form === "new" && (
        <section className="card" aria-label="New destination">
          <DestinationForm before={null} taken={taken} here={here} saved={saved} cancel={() => setForm(null)} />
        </section>
      )}
      <section className="card" aria-labelledby="destinations-title">
        <div className="card-head">
          <h2 id="destinations-title">Destinations</h2>
          <button type="button" className="button primary" disabled={form === "new"} onClick={() => setForm("new")}>
            <Icon name="plus" size={14} />
            Add
          </button>
        </div>
        {list === undefined ? (
          destinations.error === undefined ? (
            <Skeleton rows={3} />
          ) : (
            <Failure what="Destinations could not be loaded" error={destinations.error} retry={destinations.reload} />
          )
        ) : list.length === 0 ? (
          <Empty title="You are told on these pages only">
            Add a mailbox, a chat, your phone or this browser, and what is told reaches you there as well.
          </Empty>
        ) : (
          <ul className="destinations">
            {list.map((each) =>
              form === each.id ? (
                <li key={each.id}>
                  <DestinationForm before={each} taken={taken} here={here} saved={saved} cancel={() => setForm(null)} />
                </li>
              ) : (
                <DestinationRow
                  key={each.id}
                  destination={each}
                  here={here}
                  changed={destinations.reload}
                  edit={() => setForm(each.id)}
                  showLog={() => showLog(each.id)}
                />
              ),
            )}
          </ul>
        )}
      </section>
    </>
  );
}

/** What the server made and tells only now. */
function Secrets({ destination, done }: { destination: Destination; done: () => void }) {
  return (
    <section className="card secrets" aria-labelledby="secrets-title">
      <h2 id="secrets-title">The secret of “{destination.name}”</h2>
      <p className="muted">
        Calls are signed with it. Keep it where your program finds it: it is shown now, and never again.
      </p>
      {Object.entries(destination.generated ?? {}).map(([name, value]) => (
        <Copied key={name} label={name === "secret" ? "Secret" : name} value={value} />
      ))}
      <div className="form-foot">
        <button type="button" className="button" onClick={done}>
          I have kept it
        </button>
      </div>
    </section>
  );
}
