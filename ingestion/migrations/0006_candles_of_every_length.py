"""Candles of 5 minutes to a day, kept up to date: continuous aggregates where the server has TimescaleDB, an hourly table
and views of the same names where it has not; beside them what venues made themselves, and corporate actions.

`final` asks the clock. A continuous aggregate stores only buckets that are over (`store.refresh`), so that what it
stores stays true, and computes the others when they are read.
"""

import importlib

import django.db.models.deletion
from django.db import migrations, models

ROLLED_UP = {"5m": "5 minutes", "15m": "15 minutes", "1h": "1 hour", "4h": "4 hours", "1d": "1 day"}

# Venue-made bars, and bars made of polled prices; a volume that nobody told is null.
# What has to be rolled up again, a UTC day of one instrument and source: `version` tells a mark from an older one.
TABLES = """
CREATE TABLE venue_candle (
    instrument_id int4        NOT NULL,
    source        int2        NOT NULL,
    interval      text        NOT NULL,
    time          timestamptz NOT NULL,
    open          float8      NOT NULL,
    high          float8      NOT NULL,
    low           float8      NOT NULL,
    close         float8      NOT NULL,
    volume        float8,
    quote_volume  float8,
    trades        int4,
    made_by       text        NOT NULL DEFAULT 'venue',
    final         boolean     NOT NULL,
    received_at   timestamptz NOT NULL,
    PRIMARY KEY (instrument_id, source, interval, time)
);
CREATE TABLE candle_stale (
    instrument_id int4        NOT NULL,
    source        int2        NOT NULL,
    time          timestamptz NOT NULL,
    version       int8        NOT NULL,
    PRIMARY KEY (instrument_id, source, time)
);
"""

AGGREGATE = """
CREATE MATERIALIZED VIEW candle_{name}
WITH (timescaledb.continuous, timescaledb.materialized_only = false, timescaledb.create_group_indexes = false) AS
SELECT instrument_id, source, time_bucket(INTERVAL '{interval}', m.time) AS time,
       first(open, m.time) AS open, max(high) AS high, min(low) AS low, last(close, m.time) AS close,
       sum(volume) AS volume, sum(quote_volume) AS quote_volume, sum(trades)::int4 AS trades,
       min(first_time) AS first_time, first(first_id, m.time) AS first_id,
       max(last_time) AS last_time, last(last_id, m.time) AS last_id,
       bool_and(final) AND time_bucket(INTERVAL '{interval}', m.time) + INTERVAL '{interval}' <= now() AS final,
       sum(rev)::int4 AS rev
FROM candle_1m AS m
GROUP BY 1, 2, 3
WITH NO DATA;
CREATE INDEX candle_{name}_key ON candle_{name} (instrument_id, source, time);
"""

# Columns that a chunk is split and ordered by cover the key, so that a late row finds its like in a compressed chunk.
HYPERTABLE_SETTINGS = """
SELECT create_hypertable('venue_candle', by_range('time', INTERVAL '90 days'), create_default_indexes => false);
ALTER TABLE trade SET (timescaledb.enable_columnstore, timescaledb.segmentby = 'instrument_id, source',
                       timescaledb.orderby = 'time, trade_id');
ALTER TABLE quote SET (timescaledb.enable_columnstore, timescaledb.segmentby = 'instrument_id, source',
                       timescaledb.orderby = 'time, quote_id');
"""

# The hours before `candle_hour_until` are rows; those from it on are made of their minutes.
HOURS = """
CREATE TABLE candle_hour (LIKE candle_1m, PRIMARY KEY (instrument_id, source, time));
CREATE TABLE candle_hour_until (until timestamptz NOT NULL);
INSERT INTO candle_hour_until VALUES ('-infinity');
"""

OPEN_HOURS = """
CREATE VIEW candle_1h AS
SELECT instrument_id, source, time, open, high, low, close, volume, quote_volume, trades, first_time, first_id,
       last_time, last_id, final AND time + INTERVAL '1 hour' <= now() AS final, rev
FROM candle_hour
UNION ALL
"""


def roll_up(interval, table, where=""):
    """SQL: bars of a table, by instrument and source, in longer ones. 2000-01-03 was a Monday, midnight UTC."""
    bucket = f"date_bin(INTERVAL '{interval}', m.time, TIMESTAMPTZ '2000-01-03 00:00:00+00')"
    return f"""
SELECT instrument_id, source, {bucket} AS time, (array_agg(open ORDER BY m.time))[1] AS open, max(high) AS high,
       min(low) AS low, (array_agg(close ORDER BY m.time DESC))[1] AS close, sum(volume) AS volume,
       sum(quote_volume) AS quote_volume, sum(trades)::int4 AS trades, min(first_time) AS first_time,
       (array_agg(first_id ORDER BY m.time))[1] AS first_id, max(last_time) AS last_time,
       (array_agg(last_id ORDER BY m.time DESC))[1] AS last_id,
       bool_and(final) AND {bucket} + INTERVAL '{interval}' <= now() AS final, sum(rev)::int4 AS rev
FROM {table} AS m {where}
GROUP BY instrument_id, source, {bucket}
"""


def is_timescale(cursor):
    cursor.execute("SELECT relkind FROM pg_class WHERE oid = 'trade'::regclass")
    return cursor.fetchone()[0] != "p"


def create(apps, schema_editor):
    with schema_editor.connection.cursor() as cursor:
        for name in ROLLED_UP:
            cursor.execute(f"DROP VIEW candle_{name}")
        cursor.execute(TABLES)
        if is_timescale(cursor):
            create_aggregates(cursor)
        else:
            create_views(cursor)
        # What is there already has not been rolled up.
        cursor.execute(
            "INSERT INTO candle_stale SELECT DISTINCT instrument_id, source, date_trunc('day', time, 'UTC'), 0 FROM candle_1m"
        )


def create_aggregates(cursor):
    for statement in HYPERTABLE_SETTINGS.strip().split(";\n"):
        cursor.execute(statement)
    for name, interval in ROLLED_UP.items():
        cursor.execute(AGGREGATE.format(name=name, interval=interval))


def create_views(cursor):
    cursor.execute(HOURS)
    for name in ("5m", "15m"):
        cursor.execute(f"CREATE VIEW candle_{name} AS {roll_up(ROLLED_UP[name], 'candle_1m')}")
    open_hours = roll_up("1 hour", "candle_1m", "WHERE m.time >= (SELECT until FROM candle_hour_until)")
    cursor.execute(f"{OPEN_HOURS} {open_hours}")
    for name in ("4h", "1d"):
        cursor.execute(f"CREATE VIEW candle_{name} AS {roll_up(ROLLED_UP[name], 'candle_1h')}")


def drop(apps, schema_editor):
    with schema_editor.connection.cursor() as cursor:
        timescale = is_timescale(cursor)
        for name in reversed(ROLLED_UP):
            cursor.execute(f"DROP {'MATERIALIZED VIEW' if timescale else 'VIEW'} candle_{name}")
        cursor.execute("DROP TABLE venue_candle")  # a hypertable is dropped alone
        cursor.execute("DROP TABLE candle_stale")
        if not timescale:
            cursor.execute("DROP TABLE candle_hour, candle_hour_until")
        before = importlib.import_module("ingestion.migrations.0002_ticks_and_candles")
        for name, interval in ROLLED_UP.items():
            cursor.execute(before.VIEW.format(name=name, interval=interval))


class Migration(migrations.Migration):
    dependencies = [("ingestion", "0005_gaps_and_backfills")]

    operations = [
        migrations.CreateModel(
            name="AdjustmentFactor",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("ex_date", models.DateField(help_text="the first session that trades without it")),
                ("split_factor", models.FloatField(default=1.0, help_text="new shares for one old one")),
                ("dividend", models.FloatField(default=0.0, help_text="cash a share, as paid on the day")),
                ("source", models.CharField(blank=True, max_length=16)),
                (
                    "instrument",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="adjustment_factors",
                        to="ingestion.instrument",
                    ),
                ),
            ],
            options={"db_table": "adjustment_factor", "ordering": ["instrument", "ex_date"]},
        ),
        migrations.AddConstraint(
            model_name="adjustmentfactor",
            constraint=models.UniqueConstraint(fields=("instrument", "ex_date"), name="one_adjustment_a_day"),
        ),
        migrations.RunPython(create, drop),
    ]
