"""Old data: rolled up, compressed, archived, dropped, and what the settings say of it."""

import datetime as dt

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from rest_framework.test import APIClient

from ingestion import archive, store, tasks
from ingestion.models import Instrument
from ingestion.store import to_datetime
from ingestion.ticks import POSTGRES_EPOCH_US, TRADE_DTYPE, pack_quotes
from tests.ingestion.rows import (
    BTC,
    DAY_START,
    ETH,
    IDS,
    MINUTE_US,
    SECOND_US,
    SIMULATED,
    T0,
    checksums,
    forget_aggregates,
    packed,
    quote,
    stored,
    trade,
    trade_ids,
)

pytestmark = [pytest.mark.storage, pytest.mark.usefixtures("nothing_rolled_up")]

DAY = dt.timedelta(days=1)
DAY_S = 86_400


@pytest.fixture
def nothing_rolled_up(tick_tables):
    forget_aggregates()


def timescale():
    return store.storage_kind() == store.TIMESCALE


def save(*trades, source=SIMULATED):
    """As a backfill stores them: rows, then their minutes, final."""
    rows = packed(*trades, source=source)
    store.ensure_partitions("trade", np.frombuffer(rows, TRADE_DTYPE)["time"].astype(np.int64) + POSTGRES_EPOCH_US)
    with transaction.atomic():
        minutes = store.insert_new("trade", rows)
        store.recompute(minutes)
        store.finalise(minutes)


def closes(interval):
    return [(b.close, b.trades, b.final) for b in store.candles(BTC, interval, DAY_START, limit=1000)]


@pytest.fixture
def folder(settings, tmp_path):
    settings.ARCHIVE_DIR = tmp_path / "archive"
    return settings.ARCHIVE_DIR


@pytest.fixture
def instruments():
    return [
        Instrument.objects.create(pk=number, symbol=f"{name}-USDT", name=name, kind="crypto", currency="USDT")
        for name, number in IDS.items()
    ]


# --- Rolled up


def test_what_settled_is_rolled_up_once_and_reads_the_same():
    save(*(trade(i, i * 600, 100 + i) for i in range(300)))
    before = {interval: closes(interval) for interval in store.ROLLED}
    assert len(before["1h"]) == 50

    assert store.refresh() > 0

    assert stored("SELECT count(*) FROM candle_stale") == [(0,)]
    assert {interval: closes(interval) for interval in store.ROLLED} == before
    assert store.refresh() == 0


def test_a_repair_shows_at_once_and_stays_after_the_refresh():
    save(*(trade(i, i * 600, 100 + i) for i in range(20)))
    store.refresh()

    save(trade(1_000, 3_599, 555.0))

    assert closes("1h")[0] == (555.0, 7, True)
    assert closes("1d")[0][1] == 21
    store.refresh()
    assert closes("1h")[0] == (555.0, 7, True)
    assert [close for close, *_ in closes("1h")[1:]] == [111.0, 117.0, 119.0]


@pytest.mark.parametrize("interval", ["5m", "1h", "1d"])
def test_an_aggregate_keeps_no_open_bucket(interval):
    """It would stay as it was at that moment."""
    now_us = T0 + 90 * MINUTE_US + 3_600 * SECOND_US  # settled until 01:30
    save(*(trade(i, i * 60, 100 + i) for i in range(180)))
    store.refresh(now_us)
    kept = {"5m": 18, "1h": 1, "1d": 0}
    if timescale():
        found = stored(
            f"""SELECT format('%%I.%%I', materialization_hypertable_schema, materialization_hypertable_name)
                FROM timescaledb_information.continuous_aggregates WHERE view_name = 'candle_{interval}'"""
        )
        assert stored(f"SELECT count(*) FROM {found[0][0]}") == [(kept[interval],)]
    elif interval == "1h":
        assert stored("SELECT count(*) FROM candle_hour") == [(1,)]
    save(trade(999, 2 * 3600 + 1, 50.0))
    assert sum(trades for _, trades, _ in closes(interval)) == 181


def test_a_mark_that_comes_during_the_refresh_is_kept():
    save(trade(1))
    with connection.cursor() as cursor:
        cursor.execute("SELECT version FROM candle_stale")
        before = cursor.fetchone()
    save(trade(2, 1))
    assert stored("SELECT version FROM candle_stale") != [before]


# --- Compressed


def test_ticks_go_into_compressed_chunks(settings):
    if not timescale():
        pytest.skip("no compression without TimescaleDB")
    save(*(trade(i, i) for i in range(100)))
    with connection.cursor() as cursor:
        cursor.execute("SELECT compress_chunk(c) FROM show_chunks('trade') AS c")
    assert [part.compressed for part in store.ranges("trade")] == [True]

    save(trade(50, 50), trade(1_000, 30.5), trade(1_001, 500))

    assert len(trade_ids()) == 102
    assert sum(bar.trades for bar in store.candles(BTC, "1m", DAY_START)) == 102
    assert [t.trade_id for t in store.trades(BTC, limit=1)] == [1_001]
    size = next(size for size in store.sizes() if size.table == "trade")
    assert (size.compressed_ranges, size.bytes_before_compression > 0) == (1, True)


def test_policies_follow_the_settings(settings):
    settings.COMPRESS_AFTER_DAYS, settings.CANDLE_SETTLE_S = 3, 7200.0
    settings.RETENTION_TRADES_DAYS = 30
    store.apply_policies()
    store.apply_policies()
    told = {(policy.table, policy.does): policy for policy in store.policies()}
    assert told["trade", "compress"].by == ("timescaledb" if timescale() else "nobody")
    assert told["trade", "drop"].after_s == 30 * DAY_S
    assert told["quote", "drop"].after_s is None
    if timescale():
        assert policy_jobs() == {("policy_compression", "trade"), ("policy_compression", "quote")} | {
            ("policy_refresh_continuous_aggregate", f"candle_{interval}") for interval in store.ROLLED
        }
    settings.COMPRESS_AFTER_DAYS = 0
    store.apply_policies()
    if timescale():
        assert not any(name == "policy_compression" for name, _ in policy_jobs())


def policy_jobs():
    return set(
        stored(
            """SELECT j.proc_name, coalesce(a.view_name, j.hypertable_name)::text FROM timescaledb_information.jobs AS j
               LEFT JOIN timescaledb_information.continuous_aggregates AS a
               ON j.hypertable_name IN (a.view_name, a.materialization_hypertable_name)
               WHERE j.proc_name IN ('policy_compression', 'policy_refresh_continuous_aggregate')"""
        )
    )


def test_the_compression_policy_can_be_run_by_hand(settings):
    if not timescale():
        pytest.skip("no compression without TimescaleDB")
    settings.COMPRESS_AFTER_DAYS = 7
    store.apply_policies()
    save(*(trade(i, i) for i in range(10)))
    ((job,),) = stored(
        "SELECT job_id FROM timescaledb_information.jobs WHERE proc_name = 'policy_compression' "
        "AND hypertable_name = 'trade'"
    )
    with connection.cursor() as cursor:
        cursor.execute("CALL run_job(%s)", [job])
    assert [part.compressed for part in store.ranges("trade")] == [True]


# --- Archived and dropped


def test_an_archive_holds_what_was_there(folder, instruments):
    save(*(trade(i, i, 61_234.56 + i, 0.001 * i) for i in range(50)), trade(1, 5, symbol="ETH"))
    written = archive.write("trade", DAY_START, DAY_START + DAY)
    assert (written.rows, written.instruments) == (51, {BTC: "BTC-USDT", ETH: "ETH-USDT"})
    assert archive.manifests() == [written]
    (batch,) = archive.read(written)
    assert batch.schema.names == list(store.COLUMNS["trade"])
    first = batch.to_pylist()[7]
    assert (first["time"], first["price"], first["trade_id"]) == (DAY_START + dt.timedelta(seconds=7), 61_241.56, 7)


def test_writing_again_finds_the_file_and_more_rows_make_another(folder, instruments):
    save(trade(1), trade(2, 1))
    first = archive.write("trade", DAY_START, DAY_START + DAY)
    assert archive.write("trade", DAY_START, DAY_START + DAY) == first
    save(trade(3, 2))
    second = archive.write("trade", DAY_START, DAY_START + DAY)
    assert [m.rows for m in archive.manifests()] == [2, 3]
    assert second.file != first.file
    assert archive.write("trade", DAY_START + DAY, DAY_START + 2 * DAY) is None


def test_old_ticks_are_archived_then_dropped_and_come_back_as_they_were(folder, settings, instruments):
    settings.RETENTION_TRADES_DAYS = settings.RETENTION_QUOTES_DAYS = 10
    settings.ARCHIVE_CHUNK_ROWS = 7
    save(*(trade(i, i * 3600, 100 + i) for i in range(30)), trade(1, 5, symbol="ETH"))
    save(trade(99, 30 * DAY_S))
    rows = pack_quotes([quote(1), quote(2, 61)], IDS, SIMULATED)
    store.ensure_partitions("quote", np.array([T0], np.int64))
    store.insert_new("quote", rows)
    before = checksums()

    dropped = archive.retain(DAY_START + 31 * DAY)

    assert dropped >= 2
    assert trade_ids() == [99]
    assert stored("SELECT count(*) FROM quote") == [(0,)]
    assert len(store.candles(BTC, "1h", DAY_START, limit=1000)) == 31  # candles stay
    assert archive.retain(DAY_START + 31 * DAY) == 0

    restored = sum(archive.restore(manifest) for manifest in archive.manifests())

    assert restored == 33
    assert checksums() == before
    assert sum(archive.restore(manifest) for manifest in archive.manifests()) == 0


def test_a_late_trade_of_dropped_ticks_leaves_the_candle_alone(folder, settings, instruments):
    settings.RETENTION_TRADES_DAYS = 10
    save(trade(1, 1, 100), trade(2, 2, 101))
    archive.retain(DAY_START + 31 * DAY)
    save(trade(3, 3, 500))
    (bar,) = store.candles(BTC, "1m", DAY_START)
    assert (bar.close, bar.trades, bar.rev) == (101, 2, 0)


def test_a_range_that_changed_since_it_was_archived_stays(folder, settings):
    save(trade(1))
    (part,) = store.ranges("trade")[:1]
    assert store.drop_range(part, rows=2) is False
    assert trade_ids() == [1]
    assert store.drop_range(part, rows=1) is True


def test_nothing_is_dropped_unless_it_is_asked_for(folder):
    save(trade(1))
    assert tasks.keep_storage() == 0
    assert trade_ids() == [1]
    assert not folder.exists()


def test_the_task_does_all_of_it(folder, settings, instruments):
    settings.RETENTION_TRADES_DAYS = 10
    save(trade(1))
    assert tasks.keep_storage() >= 1
    assert (trade_ids(), [m.rows for m in archive.manifests()]) == ([], [1])
    assert tasks.keep_storage() == 0


def test_a_damaged_file_is_found_and_not_restored(folder, instruments, capsys):
    save(trade(1))
    written = archive.write("trade", DAY_START, DAY_START + DAY)
    path = archive.path_of(written)
    path.write_bytes(path.read_bytes()[:-9] + b"x" * 9)
    with pytest.raises(archive.Damaged):
        archive.restore(written)
    with pytest.raises(CommandError, match="1 files are damaged"):
        call_command("archive", "list")


def test_ticks_are_restored_to_the_instruments_of_the_same_names(folder, instruments):
    save(trade(1, symbol="ETH"))
    written = archive.write("trade", DAY_START, DAY_START + DAY)
    Instrument.objects.filter(pk=ETH).delete()
    with pytest.raises(archive.UnknownInstruments, match="ETH-USDT"):
        archive.restore(written)
    Instrument.objects.create(pk=77, symbol="ETH-USDT", name="ETH", kind="crypto", currency="USDT")
    assert archive.restore(written) == 1
    assert stored("SELECT instrument_id FROM trade ORDER BY 1") == [(ETH,), (77,)]


def test_the_command_writes_lists_prints_and_restores(folder, instruments, capsys):
    save(trade(1, 1.5, 100.25), trade(2, 61))
    call_command("archive", "write", "--start", "2024-08-08", "--end", "2024-08-08T00:01:00")
    call_command("archive", "list")
    said = capsys.readouterr().out
    assert "1 rows" in said
    assert "whole" in said
    (written,) = archive.manifests()
    call_command("archive", "read", written.file)
    header, row = capsys.readouterr().out.splitlines()
    assert header.startswith("symbol,time,received_at,instrument_id,source,trade_id,price")
    assert row.startswith("BTC-USDT,2024-08-08T00:00:01.500000Z,")
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM trade WHERE trade_id = 1")
    call_command("archive", "read", written.file, "--restore")
    assert "1 of 1 rows were missing and are back" in capsys.readouterr().out
    assert trade_ids() == [1, 2]
    for wrong in (["read", "none.parquet"], ["write", "--start", "x", "--end", "2024-08-09"]):
        with pytest.raises(CommandError):
            call_command("archive", *wrong)


# --- Told


def test_sizes_name_every_table():
    save(trade(1))
    sizes = {size.table: size for size in store.sizes()}
    assert {"trade", "quote", "candle_1m", "venue_candle"} <= sizes.keys()
    trades = sizes["trade"]
    assert trades.bytes > 0
    assert trades.start <= DAY_START < trades.end
    assert trades.ranges == len(store.ranges("trade"))


def test_staff_see_storage_and_others_do_not(admin, bob, folder):
    save(trade(1))
    client = APIClient()
    client.force_authenticate(bob)
    assert client.get("/api/storage/").status_code == 403
    client.force_authenticate(admin)
    told = client.get("/api/storage/").json()
    assert told["kind"] == store.storage_kind()
    assert {"table": "trade", "does": "drop", "after_s": None}.items() <= told["policies"][-2].items()
    assert to_datetime(T0) == DAY_START
