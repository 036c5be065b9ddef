"""The tick and candle tables: hypertables where the server has TimescaleDB, native partitions where it has not.

This is the one place that decides; `ingestion/store.py` reads the decision from the catalogue. Runs on PostgreSQL
15–18 and TimescaleDB 2.23 and later, in one transaction, and can be taken back.
"""

import logging

from django.db import migrations, models

logger = logging.getLogger(__name__)

# The tick tables have one index, for two purposes: a tick's identity, and reading a source's ticks by time. A second one
# by time alone costs the writer as much again (docs/performance.md).
TABLES = """
CREATE TABLE trade (
    time          timestamptz NOT NULL,
    received_at   timestamptz NOT NULL,
    instrument_id int4        NOT NULL,
    source        int2        NOT NULL,
    trade_id      int8        NOT NULL,
    price         float8      NOT NULL,
    quantity      float8      NOT NULL,
    side          int2        NOT NULL,
    flags         int2        NOT NULL
) {trade_partitioning};
CREATE UNIQUE INDEX trade_key ON trade (instrument_id, source, time, trade_id);

CREATE TABLE quote (
    time          timestamptz NOT NULL,
    received_at   timestamptz NOT NULL,
    instrument_id int4        NOT NULL,
    source        int2        NOT NULL,
    quote_id      int8        NOT NULL,
    bid           float8      NOT NULL,
    bid_quantity  float8      NOT NULL,
    ask           float8      NOT NULL,
    ask_quantity  float8      NOT NULL,
    flags         int2        NOT NULL
) {quote_partitioning};
CREATE UNIQUE INDEX quote_key ON quote (instrument_id, source, time, quote_id);

CREATE TABLE candle_1m (
    instrument_id int4        NOT NULL,
    source        int2        NOT NULL,
    time          timestamptz NOT NULL,
    open          float8      NOT NULL,
    high          float8      NOT NULL,
    low           float8      NOT NULL,
    close         float8      NOT NULL,
    volume        float8      NOT NULL,
    quote_volume  float8      NOT NULL,
    trades        int4        NOT NULL,
    first_time    timestamptz NOT NULL,
    first_id      int8        NOT NULL,
    last_time     timestamptz NOT NULL,
    last_id       int8        NOT NULL,
    final         boolean     NOT NULL,
    rev           int4        NOT NULL,
    PRIMARY KEY (instrument_id, source, time)
);
-- What a starting writer still has to close, and what strategies read: few rows, newest last.
CREATE INDEX candle_1m_open ON candle_1m (source, time) WHERE NOT final;
CREATE INDEX candle_1m_time ON candle_1m (time) WHERE final;

CREATE TABLE journal_position (
    shard    text NOT NULL PRIMARY KEY,
    epoch    text NOT NULL,
    entry_id text NOT NULL,
    token    int8 NOT NULL
);
"""

# A chunk holds a day of ticks or a week of candles: its indexes fit into memory while it is written.
HYPERTABLES = """
SELECT create_hypertable('trade', by_range('time', INTERVAL '1 day'), create_default_indexes => false);
SELECT create_hypertable('quote', by_range('time', INTERVAL '1 day'), create_default_indexes => false);
SELECT create_hypertable('candle_1m', by_range('time', INTERVAL '7 days'), create_default_indexes => false);
"""

# Candles stay one plain table without TimescaleDB: 1,440 rows a day and instrument, a hundred times fewer than ticks.
# Updates of the open minute touch no indexed column, so that room on the page keeps them off the indexes.
PLAIN_CANDLES = "ALTER TABLE candle_1m SET (fillfactor = 80)"

ROLLED_UP = {"5m": "5 minutes", "15m": "15 minutes", "1h": "1 hour", "4h": "4 hours", "1d": "1 day"}

# 2000-01-03 was a Monday, midnight UTC: every interval's bars start where people expect them.
VIEW = """
CREATE VIEW candle_{name} AS
SELECT instrument_id, source, date_bin('{interval}', time, TIMESTAMPTZ '2000-01-03 00:00:00+00') AS time,
       (array_agg(open ORDER BY time))[1] AS open, max(high) AS high, min(low) AS low,
       (array_agg(close ORDER BY time DESC))[1] AS close,
       sum(volume) AS volume, sum(quote_volume) AS quote_volume, sum(trades)::int4 AS trades,
       min(first_time) AS first_time, (array_agg(first_id ORDER BY time))[1] AS first_id,
       max(last_time) AS last_time, (array_agg(last_id ORDER BY time DESC))[1] AS last_id,
       bool_and(final)
           AND date_bin('{interval}', max(time), TIMESTAMPTZ '2000-01-03 00:00:00+00') + INTERVAL '{interval}' <= now()
           AS final,
       sum(rev)::int4 AS rev
FROM candle_1m
GROUP BY 1, 2, 3
"""


def has_timescale(cursor):
    """Whether TimescaleDB is to be used. It is created where it only has to be: available, and preloaded.

    Without the preload, CREATE EXTENSION would end the session.
    """
    cursor.execute("SELECT installed_version FROM pg_available_extensions WHERE name = 'timescaledb'")
    available = cursor.fetchone()
    if available is None:
        return False
    if available[0] is None:
        cursor.execute("SELECT current_setting('shared_preload_libraries') LIKE '%timescaledb%'")
        if not cursor.fetchone()[0]:
            logger.warning("TimescaleDB is installed but not preloaded: using native partitions")
            return False
        cursor.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
    return True


def create(apps, schema_editor):
    with schema_editor.connection.cursor() as cursor:
        timescale = has_timescale(cursor)
        partitioning = "" if timescale else "PARTITION BY RANGE (time)"
        cursor.execute(TABLES.format(trade_partitioning=partitioning, quote_partitioning=partitioning))
        for statement in HYPERTABLES.strip().splitlines() if timescale else [PLAIN_CANDLES]:
            cursor.execute(statement)
        for name, interval in ROLLED_UP.items():
            cursor.execute(VIEW.format(name=name, interval=interval))


def drop(apps, schema_editor):
    with schema_editor.connection.cursor() as cursor:
        for name in ROLLED_UP:
            cursor.execute(f"DROP VIEW candle_{name}")
        for table in ("trade", "quote", "candle_1m", "journal_position"):
            cursor.execute(f"DROP TABLE {table}")


class Migration(migrations.Migration):
    dependencies = [("ingestion", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="Quarantined",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("provider", models.CharField(max_length=16)),
                ("symbol", models.CharField(blank=True, help_text="as the venue names it", max_length=64)),
                ("reason", models.CharField(max_length=64)),
                ("raw", models.BinaryField(help_text="the frame's first bytes")),
                ("time", models.DateTimeField(help_text="the venue's, where it can be read", null=True)),
                ("received_at", models.DateTimeField()),
            ],
            options={"verbose_name": "quarantined tick", "db_table": "quarantine", "ordering": ["-id"]},
        ),
        migrations.CreateModel(
            name="Gap",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("shard", models.CharField(max_length=64)),
                ("reason", models.CharField(max_length=64)),
                ("started_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                ("ticks", models.BigIntegerField(default=0, help_text="known to be missing; 0 where nobody can know")),
            ],
            options={"db_table": "gap", "ordering": ["-started_at"]},
        ),
        migrations.AddConstraint(
            model_name="gap",
            constraint=models.UniqueConstraint(fields=("shard", "reason", "started_at"), name="one_row_a_gap"),
        ),
        migrations.RunPython(create, drop),
    ]
