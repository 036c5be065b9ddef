"""Stored ticks as files."""

import csv
import datetime as dt
import io

import numpy as np
import pyarrow.parquet
import pytest
from django.core.management import CommandError, call_command

from ingestion import store
from ingestion.ticks import UNKNOWN_SIDE, Quote, Trade, pack_quotes, pack_trades
from tests.ingestion.market import NOW_US, SECOND_US, make_instrument

AWKWARD = 0.1 + 0.2


@pytest.fixture
def instrument(tick_tables):
    """With three trades and a quote on disk, prices that a careless format would round."""
    made = make_instrument("BTC-USDT", binance="BTCUSDT")
    trades = [
        Trade("BTCUSDT", NOW_US + i * SECOND_US, NOW_US + i * SECOND_US + 7, i, price, quantity, side)
        for i, (price, quantity, side) in enumerate(
            [(AWKWARD, 5e-05, 1), (61837.63, 1.0, -1), (1e16, 2.0, UNKNOWN_SIDE)]
        )
    ]
    quote = Quote("BTCUSDT", NOW_US, NOW_US, 9, 1.5, 2.5, AWKWARD, 4.5)
    for table, rows in (
        ("trade", pack_trades(trades, {"BTCUSDT": made.id}, 2)),
        ("quote", pack_quotes([quote], {"BTCUSDT": made.id}, 2)),
    ):
        store.ensure_partitions(table, np.array([NOW_US]))
        store.copy_rows(table, rows)
    return made


def exported(tmp_path, **options):
    output = tmp_path / "out"
    call_command("export_ticks", symbol="btc/usdt", output=output, stderr=io.StringIO(), **options)
    assert not (tmp_path / "out.part").exists()
    return output


def rows_of(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def test_csv_has_the_columns_and_reads_back_exactly(instrument, tmp_path):
    rows = rows_of(exported(tmp_path))
    assert list(rows[0]) == ["time", "symbol", "price", "quantity", "side", "trade_id", "source", "received_at"]
    assert [float(row["price"]) for row in rows] == [AWKWARD, 61837.63, 1e16]
    assert [float(row["quantity"]) for row in rows] == [5e-05, 1.0, 2.0]
    assert [row["side"] for row in rows] == ["buy", "sell", ""]
    assert rows[0] == {
        "time": "2026-01-28T10:30:00.000000Z", "symbol": "BTC-USDT", "price": "0.30000000000000004",
        "quantity": "5e-05", "side": "buy", "trade_id": "0", "source": "binance",
        "received_at": "2026-01-28T10:30:00.000007Z",
    }  # fmt: skip


def test_a_range_is_half_open(instrument, tmp_path):
    at = dt.datetime(2026, 1, 28, 10, 30, 1, tzinfo=dt.UTC)
    output = exported(tmp_path, start=at, end=at + dt.timedelta(seconds=1))
    assert [row["trade_id"] for row in rows_of(output)] == ["1"]


def test_parquet_keeps_types(instrument, tmp_path):
    table = pyarrow.parquet.read_table(exported(tmp_path, format="parquet"))
    assert table.column("price").to_pylist() == [AWKWARD, 61837.63, 1e16]
    assert table.column("side").to_pylist() == ["buy", "sell", None]
    assert str(table.schema.field("time").type) == "timestamp[us, tz=UTC]"


def test_quotes_have_their_own_columns(instrument, tmp_path):
    [row] = rows_of(exported(tmp_path, kind="quotes"))
    assert (row["bid"], row["ask"], row["quote_id"]) == ("1.5", "0.30000000000000004", "9")


def test_without_a_file_it_goes_to_the_standard_output(instrument):
    out, progress = io.StringIO(), io.StringIO()
    call_command("export_ticks", symbol="BTC-USDT", stdout=out, stderr=progress)
    assert len(out.getvalue().splitlines()) == 4
    assert "3 trades of BTC-USDT written" in progress.getvalue()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"symbol": "NOSUCH"}, "NOSUCH"),
        (
            {
                "symbol": "BTC",
                "start": dt.datetime.max.replace(tzinfo=dt.UTC),
                "end": dt.datetime(2020, 1, 1, tzinfo=dt.UTC),
            },
            "later",
        ),
    ],
)
def test_a_bad_request_is_refused(instrument, options, why):
    with pytest.raises(CommandError, match=why):
        call_command("export_ticks", **options)


def test_a_failure_leaves_no_half_a_file(instrument, tmp_path):
    with pytest.raises(CommandError):
        call_command("export_ticks", symbol="BTC", output=tmp_path / "no" / "folder", stderr=io.StringIO())
    assert list(tmp_path.iterdir()) == []
