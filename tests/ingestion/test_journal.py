"""The journal's promises: all or nothing, one owner, a byte bound with its holes recorded, an epoch."""

import uuid

import pytest

from ingestion.journal import ENTRY_OVERHEAD_BYTES, START, Fenced, Flush, Gap, Journal, Outcome, Reader
from worker.redis import client, close_async_client, key

ROWS = b"r" * 82


def flush(rows=ROWS, count=1, now_us=1_000, **values):
    return Flush(rows, b"", count, values.get("latest", {}), values.get("bars", {}), values.get("changes"), now_us)


@pytest.fixture
def name():
    """A journal of the test's own, removed afterwards."""
    provider = f"test-{uuid.uuid4().hex[:12]}"
    yield f"{provider}:0"
    for found in client().scan_iter(f"{key('*')}{provider}*", count=1_000):
        client().delete(found)


@pytest.fixture
def one_row_bound(settings):
    """Room for exactly one entry of one row, and headroom for two gap entries."""
    settings.JOURNAL_MAX_BYTES = len(ROWS) + ENTRY_OVERHEAD_BYTES
    settings.JOURNAL_HEADROOM_BYTES = 2 * ENTRY_OVERHEAD_BYTES


def test_what_was_appended_is_read_in_order(name):
    journal, reader = Journal(name, 1), Reader(name)
    assert journal.append(flush(b"first", 2)) is Outcome.APPENDED
    journal.append(flush(b"second", 3))

    epoch, entries = reader.read(START, 10)

    assert epoch is not None
    assert [(e.trade_rows, e.quote_rows, e.count) for e in entries] == [(b"first", b"", 2), (b"second", b"", 3)]
    assert reader.read(entries[0].id, 10)[1] == entries[1:]
    assert reader.last_id() == entries[1].id


async def test_the_event_loop_appends_the_same(name):
    assert await Journal(name, 1).aappend(flush(b"rows")) is Outcome.APPENDED
    await Journal(name, 1).aappend_gap(Gap("disconnected", 5))
    assert [e.trade_rows or e.gap for e in Reader(name).read(START, 10)[1]] == [b"rows", Gap("disconnected", 5)]
    await close_async_client()


def test_an_older_owner_is_refused_and_leaves_no_trace(name):
    provider = name.partition(":")[0]
    Journal(name, 7).append(flush(latest={1: b"new"}))

    with pytest.raises(Fenced) as refused:
        Journal(name, 6).append(flush(latest={1: b"old"}, bars={"1": b"old"}, changes=b"old"))
    with pytest.raises(Fenced):
        Journal(name, 6).append_gap(Gap("disconnected", 5))

    assert refused.value.newer == 7
    assert len(Reader(name).read(START, 10)[1]) == 1
    assert client().hgetall(key("latest", provider)) == {b"1": b"new"}
    assert not client().exists(key("bars", provider), key("changes", name))


def test_a_newer_owner_takes_over_and_the_same_owner_goes_on(name):
    for token in (1, 2, 2):
        assert Journal(name, token).append(flush()) is Outcome.APPENDED
    assert len(Reader(name).read(START, 10)[1]) == 3


def test_one_flush_updates_latest_bars_and_changes(name):
    provider = name.partition(":")[0]
    many = {i: b"%d" % i for i in range(3_000)}
    Journal(name, 1).append(flush(latest=many, bars={"1": b"bar"}, changes=b"moved"))

    assert client().hgetall(key("latest", provider)) == {b"%d" % i: value for i, value in many.items()}
    assert client().hgetall(key("bars", provider)) == {b"1": b"bar"}
    assert [fields for _, fields in client().xrange(key("changes", name))] == [{b"c": b"moved"}]


def test_a_flush_without_ticks_makes_no_entry(name):
    Journal(name, 1).append(flush(b"", 0, latest={1: b"ticker"}))
    assert Reader(name).read(START, 10)[1] == []


def test_the_size_is_exact_whoever_trims(name):
    journal, reader = Journal(name, 1), Reader(name)
    for rows in (b"a" * 10, b"b" * 20, b"c" * 30):
        journal.append(flush(rows))
    epoch, entries = reader.read(START, 10)
    assert reader.size_bytes() == 60 + 3 * ENTRY_OVERHEAD_BYTES

    assert reader.trim(epoch, entries[1].id) == 2
    assert reader.trim(epoch, entries[1].id) == 0
    assert reader.size_bytes() == 30 + ENTRY_OVERHEAD_BYTES
    assert reader.read(START, 10)[1] == entries[2:]


def test_a_trim_meant_for_a_lost_journal_spares_the_new_one(name):
    Journal(name, 1).append(flush())
    old_epoch, _ = Reader(name).read(START, 1)
    client().delete(key("journal", name), key("journal", name, "state"))
    Journal(name, 1).append(flush())

    new_epoch, entries = Reader(name).read(START, 1)

    assert new_epoch != old_epoch
    assert Reader(name).trim(old_epoch, entries[0].id) == 0
    assert len(Reader(name).read(START, 10)[1]) == 1


def test_trimming_everything_keeps_the_epoch(name):
    Journal(name, 1).append(flush())
    epoch, entries = Reader(name).read(START, 1)
    Reader(name).trim(epoch, entries[0].id)
    Journal(name, 1).append(flush())
    assert Reader(name).read(START, 1)[0] == epoch


@pytest.mark.usefixtures("one_row_bound")
def test_a_full_journal_drops_ticks_keeps_prices_and_records_the_hole(name):
    journal, reader = Journal(name, 1), Reader(name)
    journal.append(flush(now_us=1))
    assert journal.append(flush(count=2, now_us=2, latest={1: b"fresh"})) is Outcome.FULL
    assert journal.append(flush(count=3, now_us=3)) is Outcome.FULL
    assert client().hget(key("latest", name.partition(":")[0]), "1") == b"fresh"
    assert [e.gap for e in reader.read(START, 10)[1]] == [None, Gap("journal full", 2)]


@pytest.mark.usefixtures("one_row_bound")
def test_the_hole_ends_with_the_first_flush_that_fits(name, settings):
    journal, reader = Journal(name, 1), Reader(name)
    journal.append(flush(now_us=1))
    journal.append(flush(count=2, now_us=2))
    journal.append(flush(count=3, now_us=3))
    settings.JOURNAL_MAX_BYTES *= 4

    assert Journal(name, 2).append(flush(now_us=4)) is Outcome.APPENDED

    assert [e.gap for e in reader.read(START, 10)[1]][2:] == [Gap("journal full", 2, 4, 5), None]


def test_once_full_it_is_until_some_was_taken_even_for_what_would_fit(name, settings):
    settings.JOURNAL_MAX_BYTES = 10 * (len(ROWS) + ENTRY_OVERHEAD_BYTES)
    journal, reader = Journal(name, 1), Reader(name)
    for _ in range(8):
        journal.append(flush())
    assert journal.append(flush(b"x" * settings.JOURNAL_MAX_BYTES)) is Outcome.FULL
    assert journal.append(flush()) is Outcome.FULL
    epoch, entries = reader.read(START, 10)
    reader.trim(epoch, entries[4].id)
    assert journal.append(flush()) is Outcome.APPENDED


@pytest.mark.usefixtures("one_row_bound")
def test_gaps_stop_at_the_end_of_the_headroom(name):
    journal = Journal(name, 1)
    journal.append(flush())
    outcomes = [journal.append_gap(Gap("disconnected", i)) for i in range(3)]
    assert outcomes == [Outcome.APPENDED, Outcome.APPENDED, Outcome.FULL]


def test_a_redis_that_forgot_the_script_is_told_again(name):
    client().script_flush()
    assert Journal(name, 1).append(flush()) is Outcome.APPENDED


def test_waiting_ends_with_an_entry_or_with_the_time(name):
    reader = Reader(name)
    assert reader.wait(START, 10) is False
    Journal(name, 1).append(flush())
    assert reader.wait(START, 1_000) is True
