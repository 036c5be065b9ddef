"""Price alerts beside changes of prices: `python -m tests.bench.alerts [--alerts 1000000] [--repeat N]`.

A million armed price alerts over 5,000 instruments, and 10,000 changes: each change is looked up in the index
(`signals.levels`), those that it names are judged and put anew. The peer compares every alert of the instrument with
the change and judges those that it reaches, in turns with ours within one run, on the same changes. Then a tenth of the
alerts with just as many of them near the price, for the cost has to grow with the hits and not with the alerts.

Exits non-zero when fewer than 10,000 changes a second of the process's CPU are done, or when ten times the alerts at
equal hits cost more than half as much again.
"""

import argparse
import gc
import sys
import time
from collections.abc import Callable

import numpy as np

from signals.arming import Memory, State, Terms, judge
from signals.levels import Levels, watch
from signals.rules import CROSSES, Ask, Leaf, Seen

INSTRUMENTS = 5_000
CHANGES = 10_000
TARGET_PER_S = 10_000
TARGET_GROWTH = 1.5
SECOND = 1_000_000
# The nearest alerts lie within a part of the price that follows from how many there are to be hit.
SPREAD_OF_A_MILLION = 0.5
STEP = 0.0005

Change = tuple[int, float, float, float]


class Alerts:
    """Crossings of one price each, half of them above it and half below, told each time."""

    def __init__(self, count: int, generator: np.random.Generator) -> None:
        self.terms = Terms()
        asks = [Ask("price", instrument) for instrument in range(INSTRUMENTS)]
        # Ten times the alerts lie ten times as wide: as many as before are near.
        distances = generator.uniform(-1, 1, count) * SPREAD_OF_A_MILLION * count / 1_000_000
        self.leaves = [Leaf(asks[n % INSTRUMENTS], CROSSES, 100 * (1 + d)) for n, d in enumerate(distances.tolist())]
        sides = {side: State(memories=(Memory(side, 0, 100.0),), told=False, since_us=0) for side in (1, -1)}
        self.states = [sides[-1 if leaf.value > 100 else 1] for leaf in self.leaves]
        self.hits = self.fired = 0

    def judge(self, alert_id: int, change: Change, now_us: int) -> State:
        leaf, (_, low, high, last) = self.leaves[alert_id], change
        facts = {leaf.ask: Seen(last, low, high, now_us)}
        verdict = judge(leaf, self.terms, self.states[alert_id], facts, now_us)
        self.states[alert_id] = verdict.state
        self.hits += 1
        self.fired += verdict.fired is not None
        return verdict.state


def walk(generator: np.random.Generator) -> list[Change]:
    """(instrument, low, high, last), as flushes tell them: every instrument in turn, each going its own way."""
    prices = np.full(INSTRUMENTS, 100.0)
    changes: list[Change] = []
    while len(changes) < CHANGES:
        steps = np.exp(np.cumsum(generator.normal(0, STEP, (3, INSTRUMENTS)), axis=0)) * prices
        prices = steps[-1]
        rows = zip(steps.min(axis=0).tolist(), steps.max(axis=0).tolist(), prices.tolist(), strict=True)
        changes += [(instrument, *row) for instrument, row in enumerate(rows)]
    return changes[:CHANGES]


def index_of(alerts: Alerts) -> Levels:
    levels = Levels()
    for alert_id, (leaf, state) in enumerate(zip(alerts.leaves, alerts.states, strict=True)):
        levels.put(alert_id, alert_id % INSTRUMENTS, watch(leaf, alerts.terms, state))
    return levels


def by_index(alerts: Alerts, levels: Levels, changes: list[Change], now_us: int) -> None:
    for place, ids in levels.hits_in(((i, low, high) for i, low, high, _ in changes), now_us):
        for alert_id in ids:
            state = alerts.judge(alert_id, changes[place], now_us + place)
            levels.put(alert_id, changes[place][0], watch(alerts.leaves[alert_id], alerts.terms, state))


def by_comparing(alerts: Alerts, changes: list[Change], now_us: int) -> None:
    """What one writes first: the side of each alert of the instrument, against what the price did."""
    leaves, states, count = alerts.leaves, alerts.states, len(alerts.leaves)
    for place, change in enumerate(changes):
        instrument, low, high, _ = change
        for alert_id in range(instrument, count, INSTRUMENTS):
            memory = states[alert_id].memories[0]
            assert memory is not None
            if high > leaves[alert_id].value if memory.side < 0 else low < leaves[alert_id].value:
                alerts.judge(alert_id, change, now_us + place)


def cpu_s(work: Callable[..., None], *given: object) -> float:
    began = time.process_time()
    work(*given)
    return time.process_time() - began


def measure(count: int, repeat: int) -> dict[str, float]:
    """Seconds of CPU for all changes, the least of `repeat`, ours and the peer's, on alerts of their own each."""
    changes = [walk(np.random.default_rng(11 + n)) for n in range(repeat)]
    own, other = (Alerts(count, np.random.default_rng(7)) for _ in range(2))
    began = time.process_time()
    levels = index_of(own)
    made = time.process_time() - began
    gc.collect()
    gc.freeze()
    times = [
        (cpu_s(by_index, own, levels, moved, n * SECOND), cpu_s(by_comparing, other, moved, n * SECOND))
        for n, moved in enumerate(changes, 1)
    ]
    assert (own.hits, own.fired) == (other.hits, other.fired), "both judge the same alerts"
    gc.unfreeze()
    ours, peer = (min(column) for column in zip(*times, strict=True))
    return {"ours": ours, "peer": peer, "made": made, "hits": own.hits / repeat}


def row(count: int, found: dict[str, float]) -> str:
    per_s = CHANGES / found["ours"]
    return (
        f"| {count:,} | {found['hits']:,.0f} | {per_s:,.0f} | {1e6 * found['ours'] / CHANGES:.1f} | "
        f"{1e6 * found['peer'] / CHANGES:.1f} | {found['peer'] / found['ours']:.1f} × | "
        f"{1e6 * found['made'] / count:.1f} |"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alerts", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    few, many = (measure(count, arguments.repeat) for count in (arguments.alerts // 10, arguments.alerts))
    growth = many["ours"] / few["ours"]
    print(f"{CHANGES:,} changes of {INSTRUMENTS:,} instruments' prices, on one core\n")
    print("| armed | hits | changes/s | µs a change | µs, comparing all | ratio | µs to arm one |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    print(row(arguments.alerts // 10, few))
    print(row(arguments.alerts, many))
    print(f"\nTen times the alerts, as many of them hit: {growth:.2f} × the time (target {TARGET_GROWTH:g})")
    return 0 if CHANGES / many["ours"] >= TARGET_PER_S and growth <= TARGET_GROWTH else 1


if __name__ == "__main__":
    sys.exit(main())
