"""The cases of tests/golden/performance: ledgers as in `golden`, with closes and rates by day.

@ close 2026-01-05 AAPL 100        a raw close; `@ rate 2026-01-05 EUR 1.20` units of the base for one
! start 2026-01-12                 the window, `! end` its last day; `! crypto BTC` what trades on all days
= twr 0.0953                       to as many places as it is written with
= returns 0.1 -0.1                 the daily returns that the risk figures are of
= effects SAP price 120 fx -100    parts of a holding's gain, of a currency's, or (`-`) of the whole
= episode FUND 2026-01-05 - 500 0 550 0.1    opened, closed, paid in, paid out, worth, return
? xirr Several rates               a figure that there is none of, and some words of the reason
"""

from datetime import date
from decimal import Decimal
from pathlib import Path

import msgspec

from portfolio.marking import Market, Series
from portfolio.money import ONE
from portfolio.performance import Performance, Window, read
from portfolio.positions import Policy
from tests.portfolio import golden

CASES = sorted((Path(__file__).parent.parent / "golden" / "performance").glob("*.txt"))


class Case(msgspec.Struct):
    """One file. known: (kind, of what) → day → value."""

    ledger: golden.Golden
    known: dict[tuple[str, str], dict[date, Decimal]]
    window: dict[str, date]
    crypto: list[str]
    expected: dict[str, list[str]]
    effects: dict[str, dict[str, Decimal]]
    episodes: dict[str, list[list[str]]]
    missing: dict[str, str]

    def measured(self) -> Performance:
        first = min(entry.at.date() for entry in self.ledger.entries)
        window = Window(self.window.get("start", first), self.window["end"])
        return Performance(read(self.ledger.entries, self.ledger.policy, window), self.market(), window)

    def market(self) -> Market:
        base = self.ledger.policy.base_currency
        currencies = {entry.instrument: entry.currency for entry in self.ledger.entries}
        for entry in self.ledger.entries:
            currencies.setdefault(entry.to_instrument, entry.currency)
        ids = self.ledger.symbols
        return Market(
            symbols={id: symbol for symbol, id in ids.items()},
            currencies={id: currencies.get(id, base) for id in ids.values()},
            closes={ids[of]: series(told) for (kind, of), told in self.known.items() if kind == "close"},
            rates={of: series(told) for (kind, of), told in self.known.items() if kind == "rate"}
            | {base: series({date.min: ONE})},
            crypto=frozenset(ids[symbol] for symbol in self.crypto),
        )


def series(told: dict[date, Decimal]) -> Series:
    return Series.of([(day.toordinal(), told[day]) for day in sorted(told)])


def read_case(path: Path) -> Case:
    case = Case(golden.Golden(Policy(), [], {}, {}, {}, {}), {}, {}, [], {}, {}, {}, {})
    for line in path.read_text().splitlines():
        match line.split():
            case [] | ["#", *_]:
                pass
            case ["!", ("start" | "end") as which, day]:
                case.window[which] = date.fromisoformat(day)
            case ["!", "crypto", symbol]:
                case.crypto.append(symbol)
            case ["!", name, *values]:
                case.ledger.policy = golden._policy(case.ledger.policy, name, values)
            case ["@", kind, day, of, value]:
                case.known.setdefault((kind, of), {})[date.fromisoformat(day)] = Decimal(value)
            case ["=", "effects", of, *parts]:
                case.effects[of] = {name: Decimal(value) for name, value in zip(parts[::2], parts[1::2], strict=True)}
            case ["=", "episode", of, *told]:
                case.episodes.setdefault(of, []).append(told)
            case ["=", name, *values]:
                case.expected[name] = values
            case ["?", name, *words]:
                case.missing[name] = " ".join(words)
            case row:
                case.ledger.entries.append(golden._entry(case.ledger, row))
    return case
