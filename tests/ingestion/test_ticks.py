"""Packed rows are what numpy and PostgreSQL's binary COPY read."""

import struct

from ingestion.ticks import (
    POSTGRES_EPOCH_US,
    QUOTE_DTYPE,
    QUOTE_ROW,
    SELL,
    SUSPECT,
    TRADE_DTYPE,
    TRADE_ROW,
    Quote,
    Trade,
    pack_quotes,
    pack_trades,
    unpack_quotes,
    unpack_trades,
)

TRADE = Trade("BTCUSDT", 1_723_161_255_342_000, 1_723_161_254_087_896, 3_735_683_259, 61837.63, 0.02, SELL, SUSPECT)
QUOTE = Quote("BTCUSDT", 5, 6, 7, 61837.63, 3.78826, 61837.64, 1.54698)


def test_rows_have_the_size_that_numpy_reads():
    assert TRADE_ROW.size == TRADE_DTYPE.itemsize == len(pack_trades([TRADE], {"BTCUSDT": 1}, 2))
    assert QUOTE_ROW.size == QUOTE_DTYPE.itemsize == len(pack_quotes([QUOTE], {"BTCUSDT": 1}, 2))


def test_a_trade_comes_back_exactly():
    (row,) = unpack_trades(pack_trades([TRADE], {"BTCUSDT": 11}, 2))
    assert row["time"] + POSTGRES_EPOCH_US == TRADE.time_us
    assert row["received_at"] + POSTGRES_EPOCH_US == TRADE.received_us
    assert (row["instrument_id"], row["source"], row["trade_id"]) == (11, 2, TRADE.trade_id)
    assert (row["price"], row["quantity"], row["side"], row["flags"]) == (61837.63, 0.02, SELL, SUSPECT)


def test_a_quote_comes_back_exactly():
    (row,) = unpack_quotes(pack_quotes([QUOTE], {"BTCUSDT": 11}, 2))
    assert (row["bid"], row["bid_quantity"], row["ask"], row["ask_quantity"]) == (61837.63, 3.78826, 61837.64, 1.54698)
    assert row["quote_id"] == 7


def test_a_row_begins_as_binary_copy_wants_it():
    """The number of fields, then the first field's length and value, all big-endian."""
    fields, length, time = struct.unpack_from("!hiq", pack_trades([TRADE], {"BTCUSDT": 11}, 2))
    assert (fields, length, time) == (9, 8, TRADE.time_us - POSTGRES_EPOCH_US)


def test_nothing_packs_to_nothing():
    assert pack_trades([], {}, 1) == b""
    assert len(unpack_trades(b"")) == 0
