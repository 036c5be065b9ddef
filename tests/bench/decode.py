"""From a frame to packed rows, each venue beside what it can be measured against: `python -m tests.bench.decode`.

In one run, over the same frames of each kind, in microseconds of one process's CPU a frame (the best of some rounds):
    ours      `Provider.decode`, and its trades and quotes packed as rows of the journal
    msgspec   `msgspec.json.decode` without a type: text to dicts and lists, no number read out of its text, no check
    ccxt      `json.loads`, and `handle_message` of ccxt.pro's exchange object, offline: its own trades, tickers and
              books in memory. "-" where it has no such venue, or handles the frame only after a call by REST
Only the ratios are meant to be kept. The frames are recorded ones (TAPEHOUSE_RECORDINGS); without those, the
hand-written ones of the tests, over and over.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import ccxt.pro
import msgspec
import pytest
from ccxt.async_support.base.ws.client import Client

from ingestion.providers import PROVIDERS, SOURCES, Provider
from ingestion.ticks import BookDelta, Quote, Trade, pack_quotes, pack_trades
from tests.ingestion import recordings

NOW_US = 1_769_596_201_500_000
FRAMES = Path(__file__).parent.parent / "frames"
TARGET_OF_CCXT = 8.0
BATCH = 500
LARGE = 100_000
# What each kind of frame is called, by what its values are.
KINDS = {Trade: "trades", Quote: "quotes", BookDelta: "book"}
RECORDED: dict[str, Callable[[], Iterable[bytes]]] = {
    "binance": lambda: (
        f for f, _ in itertools.islice(recordings.frames("hftbacktest/spot/btcusdt_20240808.gz"), 20_000)
    ),
    "coinbase": lambda: (f for f, _ in recordings.typed("cryptofeed/v3/COINBASE_seq0-299.jsonl.zst")),
    "kraken": lambda: (f for kind in recordings.KRAKEN_V1 for f, _ in recordings.kraken_v2(kind)),
    "finnhub": lambda: recordings.quoted("finnhub_ws_frames.jsonl"),
}


class Row(NamedTuple):
    """µs a frame; ccxt is None where there is nothing to compare with."""

    venue: str
    kind: str
    frames: int
    bytes: int
    ours: float
    msgspec: float
    ccxt: float | None


def frames(venue: str) -> list[bytes]:
    """Recorded ones where there are any."""
    with contextlib.suppress(pytest.skip.Exception):  # what tests do without them
        return list(RECORDED[venue]())
    return [path.read_bytes() for path in sorted((FRAMES / venue).glob("*.json"))] * 100


def by_kind(provider: Provider, given: Iterable[bytes]) -> dict[str, list[bytes]]:
    """The frames by what they tell; others, and snapshots of megabytes, are left out."""
    kinds: defaultdict[str, list[bytes]] = defaultdict(list)
    for frame in given:
        said = {type(value) for value in provider.decode(frame, NOW_US)}
        kind = next((name for value, name in KINDS.items() if value in said), None)
        if kind is not None:
            kinds["snapshots" if len(frame) > LARGE else kind].append(frame)
    return kinds


Work = Callable[[list[bytes]], object]


def best(work: Work, given: list[bytes], rounds: int) -> float:
    """µs a frame, in the fastest of the rounds; each is over some thousand frames at least."""
    every = given * max(1, (2_000 if len(given[0]) < LARGE else 5) // len(given))
    return min(_once(work, every) for _ in range(rounds)) / len(every) * 1e6


def _once(work: Work, given: list[bytes]) -> float:
    began = time.process_time()
    work(given)
    return time.process_time() - began


def ours(provider: Provider) -> Work:
    """As the pipeline does it: frame by frame, and packed in batches."""
    ids: defaultdict[str, int] = defaultdict(itertools.count(1).__next__)
    number = SOURCES[provider.name]

    def work(given: list[bytes]) -> None:
        for at in range(0, len(given), BATCH):
            said = [value for frame in given[at : at + BATCH] for value in provider.decode(frame, NOW_US)]
            pack_trades([value for value in said if type(value) is Trade], ids, number)
            pack_quotes([value for value in said if type(value) is Quote], ids, number)

    return work


def bare(given: list[bytes]) -> None:
    for frame in given:
        msgspec.json.decode(frame)


@contextlib.asynccontextmanager
async def theirs(provider: Provider, symbols: Iterable[str]) -> AsyncIterator[Work | None]:
    """ccxt's handling of a frame; None where it has no such exchange."""
    if not hasattr(ccxt.pro, provider.name):
        yield None
        return
    exchange = getattr(ccxt.pro, provider.name)()
    exchange.set_markets([_market(exchange, provider, symbol) for symbol in symbols])
    client = Client("wss://venue.example", None, None, None, None, {})

    def work(given: list[bytes]) -> None:
        for frame in given:
            message = json.loads(frame)
            # It subscribes where Binance sends events without their streams' names.
            exchange.handle_message(client, message["data"] if "stream" in message else message)

    yield work
    await exchange.close()


def _market(exchange: Any, provider: Provider, symbol: str) -> dict[str, Any]:
    base, quote = provider.base_quote(symbol) or (symbol, "")
    fields = {"id": symbol, "symbol": f"{base}/{quote}", "base": base, "quote": quote, "type": "spot", "spot": True}
    return exchange.safe_market_structure(fields | {"info": {"wsname": symbol}})


async def measure(venue: str, rounds: int) -> list[Row]:
    provider = PROVIDERS[venue]
    given = frames(venue)
    every = [value for frame in given for value in provider.decode(frame, NOW_US)]
    symbols = {value.symbol for value in every if isinstance(value, Trade | Quote | BookDelta)}
    rows = []
    async with theirs(provider, sorted(symbols)) as handle:
        for kind, part in by_kind(provider, given).items():
            row = best(ours(provider), part, rounds), best(bare, part, rounds)
            comparable = handle is not None and (venue, kind) != ("binance", "book")
            peer = best(handle, part, rounds) if comparable and handle is not None else None
            size = sum(map(len, part)) // len(part)
            rows.append(Row(venue, kind, len(part), size, *row, peer))
    return rows


def report(rows: list[Row]) -> bool:
    """A small table; whether the target is met."""
    print(f"{'venue':10}{'frames of':12}{'number':>8}{'bytes':>11}", end="")
    print(f"{'ours, µs':>12}{'msgspec':>10}{'ccxt':>12}{'ccxt/ours':>11}")
    for row in rows:
        peer = f"{row.ccxt:12,.1f}{row.ccxt / row.ours:11.1f}" if row.ccxt is not None else f"{'-':>12}{'-':>11}"
        print(f"{row.venue:10}{row.kind:12}{row.frames:8,}{row.bytes:11,}{row.ours:12,.1f}{row.msgspec:10,.1f}{peer}")
    ratios = [row.ccxt / row.ours for row in rows if row.ccxt is not None and row.kind != "snapshots"]
    met = min(ratios) >= TARGET_OF_CCXT
    print(f"target: ccxt takes ≥ {TARGET_OF_CCXT:g} × as long, but for snapshots: {'met' if met else 'MISSED'}")
    return met


async def main() -> int:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--rounds", type=int, default=5)
    given = arguments.parse_args()
    rows = [row for venue in PROVIDERS for row in await measure(venue, given.rounds)]
    return 0 if report(rows) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
