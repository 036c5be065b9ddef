"""The listener's cost: frames in memory through the production pipeline into a real Redis.

    python -m tests.bench.listener [--ticks N]

Ticks a second of this process's CPU: decode, judge, pack, journal (with latest, bars and changes) and publish; beside
the floor, which is a bare msgspec decode, pack and XADD of the same frames, measured in the same run. Redis's own CPU
is another core's. It writes under a prefix of its own and removes it afterwards.
"""

import argparse
import os
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from tests import services

ROOT = Path(__file__).resolve().parents[2]
RECORDINGS = Path(os.environ.get("TAPEHOUSE_RECORDINGS", ROOT.parent / "shared" / "data"))
TARGET_PER_S = 50_000


def binance_frames(count: int, symbols: list[str], at_ms: int) -> list[bytes]:
    """Combined frames in the proportions of a busy spot market: three quotes a trade. A walk, so that prices move."""
    frames, price = [], 61837.63
    for i in range(count):
        symbol = symbols[i % len(symbols)]
        price += ((i * 7919) % 21 - 10) / 100
        if i % 4 == 3:
            frames.append(
                f'{{"stream":"{symbol.lower()}@trade","data":{{"e":"trade","E":{at_ms},"s":"{symbol}",'
                f'"t":{1000 + i // len(symbols)},"p":"{price:.8f}","q":"0.02000000","T":{at_ms},"m":true,"M":true}}}}'
            )
        else:
            frames.append(
                f'{{"stream":"{symbol.lower()}@bookTicker","data":{{"u":{500_000 + i},"s":"{symbol}",'
                f'"b":"{price:.8f}","B":"3.78826000","a":"{price + 0.01:.8f}","A":"1.54698000"}}}}'
            )
    return [frame.encode() for frame in frames]


def recorded_frames(path: Path, at_ms: int) -> list[bytes]:
    """A recording's trades and quotes, their venue time moved to now so that they are news."""
    import re

    from ingestion.replay import read

    wanted = (line.frame for line in read(path) if b"@trade" in line.frame[:40] or b"@bookTicker" in line.frame[:40])
    return [re.sub(rb'"([ET])":\d{13}', rb'"\1":%d' % at_ms, frame) for frame in wanted]


def symbols_in(frames: list[bytes]) -> list[str]:
    import json

    return sorted({json.loads(frame)["data"]["s"] for frame in frames[:5000]})


def through_pipeline(frames: list[bytes]) -> int:
    """As the listener moves them, without its socket. Returns how many ticks were journalled."""
    from django.conf import settings

    from ingestion.board import Board
    from ingestion.journal import Journal
    from ingestion.listener import flush_interval_s
    from ingestion.opening import judge
    from ingestion.pipeline import Pipeline
    from ingestion.providers import PROVIDERS, SOURCES
    from ingestion.symbols import Known
    from streaming.publish import publish

    known = {s: Known(i, s, "crypto") for i, s in enumerate(symbols_in(frames), 1)}
    pipeline = Pipeline(
        source="binance",
        number=SOURCES["binance"],
        decode=PROVIDERS["binance"].decode,
        judge=judge(),
        board=Board("binance"),
        known=known,
        fresh_us=int(settings.PRICE_FRESH_S * 1e6),
    )
    journal = Journal("binance:bench", 1)
    published_at = interval_s = 0.0
    for frame in frames:
        received_us = time.time_ns() // 1000
        pipeline.receive(frame, received_us)
        if pipeline.waiting >= settings.LISTENER_FLUSH_MAX_TICKS:
            began = time.monotonic()
            batch = pipeline.take(received_us)
            assert batch is not None
            journal.append(batch.flush)
            if began - published_at >= interval_s:
                published_at = began
                publish(pipeline.publications(received_us))
            interval_s = flush_interval_s(time.monotonic() - began)
    return pipeline.counts.ticks + pipeline.waiting


def bare(frames: list[bytes]) -> int:
    """Decode, pack, XADD: nothing judged, known or told."""
    from ingestion.providers import PROVIDERS
    from ingestion.ticks import Quote, Trade, pack_quotes, pack_trades
    from worker.redis import client, key

    decode, ids = PROVIDERS["binance"].decode, {s: i for i, s in enumerate(symbols_in(frames), 1)}
    for at in range(0, len(frames), 500):
        received_us = time.time_ns() // 1000
        ticks = [decode(frame, received_us)[0] for frame in frames[at : at + 500]]
        trades = pack_trades([t for t in ticks if type(t) is Trade], ids, 2)
        quotes = pack_quotes([t for t in ticks if type(t) is Quote], ids, 2)
        client().xadd(key("bare"), {"t": trades, "q": quotes})
    return len(frames)


def measured(work: Callable[[list[bytes]], int], frames: list[bytes], rounds: int = 3) -> float:
    """Ticks a second of process CPU, the best of some rounds: the machine may be busy with other things."""
    return max(_once(work, frames) for _ in range(rounds))


def _once(work: Callable[[list[bytes]], int], frames: list[bytes]) -> float:
    forget()
    began = time.process_time()
    done = work(frames)
    return done / (time.process_time() - began)


def forget() -> None:
    """Remove what a round left in Redis."""
    from worker.redis import client, key

    for found in client().scan_iter(f"{key('*')}", count=1000):
        client().delete(found)


def loads(ticks: int) -> Iterator[tuple[str, list[bytes]]]:
    now_ms = time.time_ns() // 1_000_000
    for count in (1, 4, 50, 500):
        yield f"{count} symbols, made up", binance_frames(ticks, [f"A{i}USDT" for i in range(count)], now_ms)
    path = RECORDINGS / "hftbacktest" / "spot" / "btcusdt_20240808.gz"
    if path.exists():
        yield "BTCUSDT, recorded", recorded_frames(path, now_ms)
    else:
        print(f"no recording at {path}: set TAPEHOUSE_RECORDINGS")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ticks", type=int, default=100_000)
    arguments = parser.parse_args()
    services.provide()
    os.environ["REDIS_PREFIX"] = f"bench-{uuid.uuid4().hex[:8]}"
    # The whole run fits: a full journal would be measured for refusing.
    os.environ["JOURNAL_MAX_BYTES"] = str(1024**3)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    import django

    django.setup()
    print(f"{'load':28} {'listener/s':>12} {'bare/s':>12} {'of bare':>8}")
    for name, frames in loads(arguments.ticks):
        ours, floor = measured(through_pipeline, frames), measured(bare, frames)
        met = "" if ours >= TARGET_PER_S else f"  below {TARGET_PER_S:,}"
        print(f"{name:28} {ours:12,.0f} {floor:12,.0f} {ours / floor:8.2f}{met}", flush=True)
    forget()


if __name__ == "__main__":
    main()
