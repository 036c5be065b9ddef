"""What the kill tests hold the disk against: the venue's own account, and what went through the journal."""

import threading
from collections import Counter
from typing import Self

import redis

from ingestion.ticks import unpack_trades
from tests.flows.installation import Installation
from tests.processes import wait_for
from tests.venues.binance import BinanceVenue

Trade = tuple[int, float, float]  # trade id, price, quantity


class JournalMirror:
    """Reads along in a shard's journal, as a second reader beside the writer, and keeps every trade that it saw.

    The writer trims what it has committed, so the mirror may miss an entry; what it saw was journalled for certain.
    """

    def __init__(self, installation: Installation, shard: str) -> None:
        self.trades: set[Trade] = set()
        self._stream = f"flow:journal:{shard}"
        self._installation = installation
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="journal mirror", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(10)

    def _run(self) -> None:
        after = "0-0"
        with self._installation.redis() as client:
            while not self._ended.is_set():
                try:
                    after = self._take(client, after)
                except redis.RedisError:  # it is being killed: the stream comes back with its entries
                    self._ended.wait(0.1)

    def _take(self, client: redis.Redis, after: str) -> str:
        answer = client.xread({self._stream: after}, count=1000, block=200)
        entries = next(iter(answer.values()))[0] if isinstance(answer, dict) and answer else []
        if isinstance(answer, list) and answer:
            entries = answer[0][1]
        for entry_id, fields in entries:
            after = entry_id.decode()
            rows = unpack_trades(fields.get(b"t", b""))
            columns = (rows[name].tolist() for name in ("trade_id", "price", "quantity"))
            self.trades.update(zip(*columns, strict=True))
        return after


def stored(installation: Installation, symbol: str) -> list[Trade]:
    """The trades of one instrument on disk, by id."""
    return installation.sql(
        "SELECT trade_id, price, quantity FROM trade JOIN ingestion_instrument i ON i.id = instrument_id "
        "JOIN ingestion_venuesymbol v ON v.instrument_id = i.id AND v.provider = 'binance' "
        "WHERE v.symbol = %s AND source = 2 ORDER BY trade_id",
        symbol,
    )


def sent(venue: BinanceVenue, symbol: str) -> set[Trade]:
    """What left the venue, as the disk must have it."""
    return {
        (trade.trade_id, float(trade.price), float(trade.quantity))
        for trade in list(venue.sent.values())
        if trade.symbol == symbol
    }


def assert_exact(
    installation: Installation, venue: BinanceVenue, mirror: JournalMirror, symbols: tuple[str, ...]
) -> None:
    """Every journalled trade is on disk once, as the venue sent it; nothing else is."""
    on_disk: set[Trade] = set()
    for symbol in symbols:
        rows = stored(installation, symbol)
        doubled = [trade_id for trade_id, n in Counter(row[0] for row in rows).items() if n > 1]
        assert not doubled, f"{symbol}: doubled {doubled[:5]}"
        invented = set(rows) - sent(venue, symbol)
        assert not invented, f"{symbol}: on disk, but never sent so: {sorted(invented)[:5]}"
        on_disk |= set(rows)
    lost = mirror.trades - on_disk
    assert not lost, f"journalled, but not on disk: {sorted(lost)[:5]} of {len(mirror.trades)}"


def assert_candles_agree(installation: Installation) -> None:
    """Each final candle is what its trades make."""
    wrong = installation.sql(
        """
        SELECT c.instrument_id, c.time, c.trades, t.n, c.volume, t.volume
        FROM candle_1m c JOIN (
            SELECT instrument_id, date_trunc('minute', time) AS minute, count(*) AS n, max(price) AS high,
                   min(price) AS low, sum(quantity::numeric)::float8 AS volume
            FROM trade WHERE source = 2 AND flags & 1 = 0 GROUP BY 1, 2
        ) t ON t.instrument_id = c.instrument_id AND t.minute = c.time
        WHERE c.source = 2 AND c.final AND (c.trades, c.high, c.low, c.volume) <> (t.n, t.high, t.low, t.volume)
        """
    )
    assert not wrong, wrong[:3]


def count_stored(installation: Installation) -> int:
    return int(installation.sql("SELECT count(*) FROM trade WHERE source = 2")[0][0])


def wait_for_growth(installation: Installation, by: int, timeout_s: float = 60.0) -> None:
    """Until so many more trades are on disk than now."""
    least = count_stored(installation) + by
    wait_for(lambda: count_stored(installation) >= least, timeout_s, f"{by} more trades on disk", step_s=0.1)


def settle(installation: Installation, venue: BinanceVenue) -> None:
    """The venue falls silent, and what is under way reaches the disk: until the journal is empty and stays so."""
    venue.quiet()
    venue.settle()

    def empty() -> bool:
        with installation.redis() as client:
            return client.xlen("flow:journal:binance:0") == 0

    wait_for(empty, 60, "an empty journal", step_s=0.2)
    last = -1
    while (now := count_stored(installation)) != last:
        last = now
        threading.Event().wait(0.5)  # two flushes of the listener and a step of the writer fit in it


def process_of(installation: Installation, lease: str) -> int:
    """The pid of the process that holds a resident's lease."""

    def pid() -> int | None:
        with installation.redis() as client:
            value = client.get(f"flow:lease:{lease}")
        return int(value.decode().partition(" ")[2].split(":")[1]) if value else None

    return int(wait_for(pid, 60, f"a holder of {lease}"))
