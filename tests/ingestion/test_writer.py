"""Each journalled tick exactly once on disk, and its minute's candle right, whatever happens in between."""

import random

import pytest

from ingestion import store, writer
from ingestion.journal import START, Fenced, Flush, Gap, Journal, Reader
from ingestion.models import Gap as GapRow
from ingestion.models import Instrument
from ingestion.store import to_datetime
from ingestion.ticks import IRREGULAR, SUSPECT, TRADE_DTYPE
from ingestion.writer import Writer
from tests.ingestion.rows import (
    BTC,
    ETH,
    MINUTE_US,
    SECOND_US,
    SIMULATED,
    T0,
    checksums,
    flush,
    packed,
    quote,
    stored,
    trade,
    trade_ids,
)
from worker.redis import client, key

pytestmark = [pytest.mark.storage, pytest.mark.usefixtures("tick_tables_in_transaction")]


class Clock:
    """Time that stands until the test moves it."""

    def __init__(self):
        self.now_us = T0 + 3_600 * SECOND_US

    def __call__(self):
        return self.now_us

    def forward(self, seconds):
        self.now_us += round(seconds * SECOND_US)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def journal(shard):
    return Journal(shard, 1)


@pytest.fixture
def the_writer(shard, clock):
    return Writer(shard, 1, clock=clock)


@pytest.fixture
def published(monkeypatch):
    """What goes out to browsers."""
    messages = []
    monkeypatch.setattr(writer, "publish", messages.extend)
    return messages


def bars(symbol=BTC):
    return store.candles(symbol, "1m", source=SIMULATED)


def raw(row_bytes, count=1):
    return Flush(row_bytes, b"", count, {}, {}, None, T0)


def run(the_writer):
    while the_writer.step():
        pass


# --- To the disk


def test_ticks_go_to_disk_and_leave_the_journal(journal, the_writer, shard):
    journal.append(flush(trade(1, 0.5, 100.25, 0.001), quote(7, 0.6)))
    journal.append(flush(trade(2, 1.5)))

    assert the_writer.step() is True
    assert the_writer.step() is False

    assert stored(
        "SELECT time, received_at, instrument_id, source, trade_id, price, quantity, side, flags FROM trade"
    ) == [
        (to_datetime(T0 + 500_000), to_datetime(T0 + 501_000), BTC, SIMULATED, 1, 100.25, 0.001, 1, 0),
        (to_datetime(T0 + 1_500_000), to_datetime(T0 + 1_501_000), BTC, SIMULATED, 2, 100.0, 1.0, 1, 0),
    ]
    assert stored("SELECT quote_id, bid, bid_quantity, ask, ask_quantity FROM quote") == [(7, 99.0, 1.0, 101.0, 2.0)]
    assert Reader(shard).read(START, 10)[1] == []
    assert Reader(shard).size_bytes() == 0


def test_a_step_takes_a_bounded_batch(journal, the_writer, settings):
    settings.WRITER_BATCH_MAX_ROWS = 4
    for i in range(5):
        journal.append(flush(trade(2 * i, i), trade(2 * i + 1, i)))
    sizes = []
    while the_writer.step():
        sizes.append(the_writer.last_rows)
    assert sizes == [4, 4, 2]
    assert trade_ids() == list(range(10))


def test_an_entry_greater_than_the_batch_is_taken_whole(journal, the_writer, settings):
    settings.WRITER_BATCH_MAX_ROWS = 2
    journal.append(flush(*(trade(i, i) for i in range(5))))
    assert the_writer.step() is True
    assert trade_ids() == [0, 1, 2, 3, 4]


def test_a_gap_is_recorded_and_closed(journal, the_writer, shard):
    journal.append_gap(Gap("disconnected", T0))
    run(the_writer)
    assert GapRow.objects.get().ended_at is None

    journal.append_gap(Gap("disconnected", T0, T0 + SECOND_US, 3))
    run(the_writer)

    gap = GapRow.objects.get()
    assert (gap.shard, gap.cause, gap.ticks) == (shard, "disconnected", 3)
    assert (gap.started_at, gap.ended_at) == (to_datetime(T0), to_datetime(T0 + SECOND_US))


# --- Exactly once


def test_a_writer_that_dies_before_its_commit_leaves_nothing(journal, the_writer, shard, clock, monkeypatch):
    journal.append(flush(trade(1), quote(1)))
    with monkeypatch.context() as dying:
        dying.setattr(store, "merge_sums", lambda sums: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            the_writer.step()
    assert checksums()["trade"] == checksums()["quote"] == [(0, "d41d8cd98f00b204e9800998ecf8427e")]

    run(Writer(shard, 2, clock=clock))

    assert trade_ids() == [1]


def test_a_writer_that_dies_after_its_commit_does_not_take_the_batch_twice(
    journal, the_writer, shard, clock, monkeypatch
):
    journal.append(flush(trade(1), trade(2)))
    with monkeypatch.context() as dying:
        dying.setattr(Reader, "trim", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            the_writer.step()
    journal.append(flush(trade(3)))

    successor = Writer(shard, 2, clock=clock)
    run(successor)

    assert trade_ids() == [1, 2, 3]
    assert bars()[0].volume == 3.0
    assert Reader(shard).size_bytes() == 0


def test_a_newer_writer_fences_the_older(journal, shard, clock):
    old, new = Writer(shard, 1, clock=clock), Writer(shard, 2, clock=clock)
    journal.append(flush(trade(1)))
    run(old)
    journal.append(flush(trade(2)))
    run(new)
    journal.append(flush(trade(3)))

    assert old.step() is True  # rolled back: the position was not where it thought
    with pytest.raises(Fenced):
        old.step()
    assert trade_ids() == [1, 2]

    run(new)
    assert trade_ids() == [1, 2, 3]


def test_a_fenced_writer_closes_no_candles(journal, shard, clock):
    old = Writer(shard, 1, clock=clock)
    journal.append(flush(trade(1, 0)))
    run(old)
    Writer(shard, 2, clock=clock).step()
    clock.forward(3_600)
    old.step()
    assert [bar.final for bar in bars()] == [False]


def test_ticks_journalled_twice_are_stored_once(journal, the_writer):
    journal.append(flush(trade(1, 0, 100), trade(2, 1, 101)))
    journal.append(flush(trade(2, 1, 101), trade(3, 2, 99)))
    run(the_writer)
    journal.append(flush(trade(1, 0, 100), trade(3, 2, 99), trade(4, 3, 102), quote(1)))
    journal.append(flush(quote(1)))
    run(the_writer)

    assert trade_ids() == [1, 2, 3, 4]
    assert stored("SELECT count(*) FROM quote") == [(1,)]
    (bar,) = bars()
    assert (bar.open, bar.high, bar.low, bar.close, bar.volume, bar.trades) == (100, 102, 99, 102, 4, 4)


def test_the_same_input_twice_leaves_identical_tables(journal, the_writer):
    ticks = [trade(i, i * 0.7, 100 + i % 7, 0.1 * (1 + i % 3)) for i in range(500)]
    for _ in range(2):
        for i in range(0, 500, 50):
            journal.append(flush(*ticks[i : i + 50], quote(i, i)))
        the_writer.seal()
        sums = checksums()
        first = locals().get("first", sums)
    assert sums == first
    assert sums["trade"][0][0] == 500


def test_a_lost_journal_starts_a_new_one(journal, the_writer, shard):
    journal.append(flush(trade(1)))
    run(the_writer)
    client().delete(key("journal", shard), key("journal", shard, "state"))
    journal.append(flush(trade(2, 1)))
    journal.append(flush(trade(3, 2)))
    run(the_writer)
    assert trade_ids() == [1, 2, 3]


def test_a_journal_that_lost_its_end_is_read_again_whole(journal, the_writer, shard):
    """As after a power cut with a clock that was set back: new entries get ids below the position."""
    journal.append(flush(trade(1)))
    run(the_writer)
    with_state = client().hgetall(key("journal", shard, "state"))
    client().delete(key("journal", shard))
    fields = {"v": 1, "t": packed(trade(2, 1)), "q": b"", "n": 1, "b": int(with_state[b"appended"])}
    client().xadd(key("journal", shard), fields, id="5-0")

    run(the_writer)

    assert trade_ids() == [1, 2]


# --- What cannot be stored


def broken(trade_id, at_s):
    """A row whose price claims four bytes: PostgreSQL refuses it."""
    row = bytearray(packed(trade(trade_id, at_s)))
    row[TRADE_DTYPE.fields["_len_price"][1] + 3] = 4
    return bytes(row)


def test_a_row_the_database_refuses_is_put_aside_and_the_rest_goes_on(journal, the_writer, shard):
    rows = [packed(trade(i, i)) for i in range(20)]
    rows[3], rows[17] = broken(3, 3), broken(17, 17)
    journal.append(raw(b"".join(rows), 20))
    journal.append(flush(trade(20, 20)))

    run(the_writer)

    assert trade_ids() == [i for i in range(21) if i not in (3, 17)]
    dead = [fields for _, fields in client().xrange(key("journal", "dead")) if fields[b"shard"] == shard.encode()]
    assert [(d[b"table"], d[b"rows"]) for d in dead] == [(b"trade", rows[3]), (b"trade", rows[17])]
    assert bars()[0].trades == 19


def test_refused_and_repeated_rows_in_one_batch(journal, the_writer):
    journal.append(flush(trade(1, 1)))
    run(the_writer)
    journal.append(raw(packed(trade(1, 1), trade(2, 2)) + broken(3, 3) + packed(trade(4, 4)), 4))
    run(the_writer)
    assert trade_ids() == [1, 2, 4]
    assert bars()[0].volume == 3.0


@pytest.mark.parametrize("at_s", [-3e9, 3e9], ids=["1929", "2119"])
def test_a_row_out_of_time_makes_no_partition(journal, the_writer, at_s):
    journal.append(flush(trade(1, at_s), trade(2, 2)))
    run(the_writer)
    assert trade_ids() == [2]
    assert client().xlen(key("journal", "dead")) == 1


def test_an_entry_of_another_layout_is_put_aside(journal, the_writer, shard, monkeypatch):
    monkeypatch.setattr("ingestion.journal.LAYOUT_VERSION", 99)
    journal.append(flush(trade(1)))
    monkeypatch.undo()
    journal.append(raw(packed(trade(2))[:-1]))
    journal.append(flush(trade(3)))
    run(the_writer)
    assert trade_ids() == [3]
    assert client().xlen(key("journal", "dead")) == 2


# --- Candles


def test_a_candle_grows_with_each_batch(journal, the_writer):
    for batch in ([trade(5, 10, 105, 0.5), trade(6, 20, 103)], [trade(1, 5, 100), trade(9, 59.9, 101, 2)]):
        journal.append(flush(*batch))
        run(the_writer)
    journal.append(flush(trade(1, 30, 7, symbol="ETH")))
    run(the_writer)

    (bar,) = bars()
    assert (bar.open, bar.high, bar.low, bar.close) == (100, 105, 100, 101)
    assert (bar.volume, bar.quote_volume, bar.trades) == (4.5, 105 * 0.5 + 103 + 100 + 202, 4)
    assert (bar.time_us, bar.first_id, bar.last_id, bar.final, bar.rev) == (T0, 1, 9, False, 0)
    assert bars(ETH)[0].close == 7


def test_a_candle_is_final_when_the_venues_time_is_past_it(journal, the_writer, settings):
    lateness_s = settings.CANDLE_ALLOWED_LATENESS_S
    journal.append(flush(trade(1, 59), trade(2, 60 + lateness_s - 0.001)))
    run(the_writer)
    assert [bar.final for bar in bars()] == [False, False]

    journal.append(flush(trade(3, 60 + lateness_s)))
    run(the_writer)
    assert [bar.final for bar in bars()] == [True, False]


def test_a_venue_whose_clock_runs_ahead_closes_nothing_early(journal, the_writer, clock):
    clock.now_us = T0 + 30 * SECOND_US
    journal.append(flush(trade(1, 29), trade(2, 85)))
    run(the_writer)
    assert not any(bar.final for bar in bars())


def test_an_idle_feeds_candle_is_closed_by_the_clock(journal, the_writer, clock):
    clock.now_us = T0 + 58 * SECOND_US
    journal.append(flush(trade(1, 58)))
    run(the_writer)
    clock.forward(2 + 6.9)
    the_writer.step()
    assert [bar.final for bar in bars()] == [False]
    clock.forward(0.1)
    the_writer.step()
    assert [bar.final for bar in bars()] == [True]


def test_a_replay_is_not_closed_by_the_clock(journal, shard, clock):
    replay = Writer(shard, 1, live=False, clock=clock)
    journal.append(flush(trade(1, 58)))
    run(replay)
    clock.forward(3_600)
    replay.step()
    assert [bar.final for bar in bars()] == [False]
    replay.seal()
    assert [bar.final for bar in bars()] == [True]


def test_a_restarted_writer_closes_what_its_predecessor_left(journal, the_writer, shard, clock):
    journal.append(flush(trade(1, 1)))
    run(the_writer)
    successor = Writer(shard, 2, clock=clock)
    successor.step()
    clock.forward(60)
    successor.step()
    assert [bar.final for bar in bars()] == [True]


def test_a_late_trade_revises_the_candle(journal, the_writer):
    journal.append(flush(trade(1, 10, 100), trade(2, 70, 101)))
    run(the_writer)
    journal.append(flush(trade(3, 5, 90, 2.5), trade(4, 71)))
    run(the_writer)

    late = bars()[0]
    assert (late.open, late.low, late.close, late.volume, late.final, late.rev) == (90, 90, 100, 3.5, True, 1)

    journal.append(flush(trade(3, 5, 90, 2.5)))  # again: nothing new
    run(the_writer)
    assert bars()[0].rev == 1


def test_a_final_candle_does_not_depend_on_the_order_of_arrival(journal, the_writer):
    ticks = [trade(i, i * 0.059, 100 + i * 0.01, 0.1 + i * 0.001) for i in range(1_000)]
    results = []
    for seed in range(3):
        random.Random(seed).shuffle(ticks)
        for i in range(0, 1_000, 100):
            journal.append(flush(*ticks[i : i + 100]))
            run(the_writer)
        the_writer.seal()
        results.append(checksums()["candle_1m"])
        stored("TRUNCATE trade, candle_1m; SELECT 1")
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("flags", [SUSPECT, IRREGULAR])
def test_suspect_and_irregular_trades_are_stored_and_not_counted(journal, the_writer, flags):
    journal.append(flush(trade(1, 1), trade(2, 2, 9_999, flags=flags)))
    run(the_writer)
    journal.append(flush(trade(1, 1), trade(3, 65, 9_999, flags=flags)))
    the_writer.seal()
    assert trade_ids() == [1, 2, 3]
    assert [(bar.high, bar.trades, bar.final) for bar in bars()] == [(100, 1, True)]


# --- Telling browsers


def test_final_and_revised_candles_are_published(journal, the_writer, published, clock):
    Instrument.objects.create(id=BTC, symbol="BTC-USDT", kind="crypto", currency="USDT")
    journal.append(flush(trade(1, 10, 100), trade(2, 70, 101)))
    run(the_writer)
    journal.append(flush(trade(3, 5, 90)))
    run(the_writer)

    assert {(m.topic, m.type) for m in published} == {("candles:BTC-USDT:1m", "candle")}
    assert [(m.data["final"], m.data["rev"], m.data["open"]) for m in published] == [(True, 0, 100), (True, 1, 90)]
    assert published[0].data["time"].startswith("2024-08-08T00:00:00")


def test_the_past_is_not_published(journal, the_writer, published, clock):
    Instrument.objects.create(id=BTC, symbol="BTC-USDT", kind="crypto", currency="USDT")
    clock.now_us = T0 + 2 * MINUTE_US + 3_600 * SECOND_US
    journal.append(flush(trade(1, 10), trade(2, 130)))
    run(the_writer)
    assert [bar.final for bar in bars()] == [True, False]
    assert published == []


@pytest.fixture
def today(tick_tables_in_transaction):
    return Instrument.objects.create(id=BTC, symbol="BTC-USDT", kind="crypto", currency="USDT")


def told(published, interval):
    return [
        (m.data["time"][11:16], m.data["open"], m.data["close"], m.data["final"], m.data["rev"])
        for m in published
        if m.topic == f"candles:BTC-USDT:{interval}"
    ]


@pytest.mark.usefixtures("today")
def test_a_longer_candle_is_final_with_its_last_minute(journal, the_writer, published):
    journal.append(flush(trade(1, 10, 100), trade(2, 130, 101), trade(3, 299, 102)))
    run(the_writer)
    assert told(published, "5m") == []

    journal.append(flush(trade(4, 303, 103)))
    run(the_writer)
    assert told(published, "5m") == [("00:00", 100, 102, True, 0)]

    journal.append(flush(trade(5, 600 + 303, 104)))
    run(the_writer)
    assert told(published, "5m")[1:] == [("00:05", 103, 103, True, 0)]
    assert told(published, "15m") == [("00:00", 100, 103, True, 0)]


@pytest.mark.usefixtures("today")
def test_a_late_trade_revises_the_longer_candle_as_well(journal, the_writer, published):
    journal.append(flush(trade(1, 10, 100), trade(2, 303, 101)))
    run(the_writer)
    journal.append(flush(trade(3, 60, 99)))
    journal.append(flush(trade(4, 12, 98)))
    run(the_writer)
    assert told(published, "5m") == [("00:00", 100, 100, True, 0), ("00:00", 100, 99, True, 1)]


@pytest.mark.usefixtures("today")
def test_a_longer_candle_is_told_though_the_writer_changed(journal, the_writer, published, shard, clock):
    journal.append(flush(trade(1, 10, 100), trade(2, 130, 101)))
    run(the_writer)
    clock.now_us = T0 + 400 * SECOND_US
    journal.append(flush(trade(3, 303, 102)))
    run(Writer(shard, 2, clock=clock))
    assert told(published, "5m") == [("00:00", 100, 101, True, 0)]
