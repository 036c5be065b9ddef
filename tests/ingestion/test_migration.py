"""One migration decides between hypertables and native partitions, and can be taken back."""

import os
import re

import pytest
from django.core.management import call_command
from django.db import connection

from ingestion import store
from tests.ingestion.rows import stored

pytestmark = pytest.mark.storage


@pytest.fixture
def migrated_again(transactional_db):
    """Leaves the tables as the other tests want them."""
    yield
    call_command("migrate", verbosity=0)


def relations():
    return {name for (name,) in stored("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace")}


@pytest.mark.django_db
def test_the_tables_are_what_the_server_can_have():
    assert store.storage_kind() == os.environ.get("EXPECTED_STORAGE", store.storage_kind())
    if store.storage_kind() == store.TIMESCALE:
        found = stored("SELECT hypertable_name FROM timescaledb_information.hypertables ORDER BY 1")
        assert found == [("candle_1m",), ("portfolio_snapshot_1m",), ("quote",), ("trade",), ("venue_candle",)]
    else:
        found = stored("SELECT partrelid::regclass::text FROM pg_partitioned_table ORDER BY 1")
        assert found == [("portfolio_snapshot_1m",), ("quote",), ("trade",)]


@pytest.mark.django_db
def test_longer_candles_have_one_name_on_every_server():
    found = stored(
        "SELECT relname, relkind FROM pg_class WHERE relname ~ '^candle_(5m|15m|1h|4h|1d)$' ORDER BY relname"
    )
    assert [name for name, _ in found] == ["candle_15m", "candle_1d", "candle_1h", "candle_4h", "candle_5m"]
    if store.storage_kind() == store.TIMESCALE:
        told = stored("SELECT view_name, materialized_only FROM timescaledb_information.continuous_aggregates")
        assert sorted(told) == [(name, False) for name, _ in found]


@pytest.mark.django_db
def test_no_row_can_go_astray():
    """A DEFAULT partition would take rows that no later partition could then claim."""
    assert (
        stored(
            "SELECT relname FROM pg_class WHERE relpartbound IS NOT NULL AND pg_get_expr(relpartbound, oid) = 'DEFAULT'"
        )
        == []
    )


@pytest.mark.usefixtures("migrated_again")
def test_it_can_be_taken_back_and_made_again():
    before = relations()
    call_command("migrate", "ingestion", "0001", verbosity=0)  # and what stands on it
    assert not {"trade", "quote", "candle_1m", "candle_1d", "journal_position", "gap"} & relations()

    call_command("migrate", verbosity=0)

    of_weeks = {name for name in before if re.match("(trade|quote)_20", name)}
    assert before - of_weeks <= relations()


@pytest.mark.django_db
def test_the_tables_have_the_columns_that_the_rows_are_packed_for():
    with connection.cursor() as cursor:
        for table, columns in store.COLUMNS.items():
            cursor.execute(f"SELECT * FROM {table} LIMIT 0")
            assert tuple(column.name for column in cursor.description) == columns
