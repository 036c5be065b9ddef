"""What portfolios were worth, by minute, hour and day; and the proofs of the follower.

The minutes' table is a hypertable where the ticks' are, else it is partitioned by week: in either case old minutes go
by whole ranges. Hours and days are few.
"""

import django.db.models.deletion
from django.db import migrations, models

import portfolio.models.ledger

TABLE = """
CREATE TABLE portfolio_snapshot_{name} (
    portfolio_id   int8           NOT NULL,
    time           timestamptz    NOT NULL,
    version        int8           NOT NULL,
    total_value    numeric(38,18) NOT NULL,
    market_value   numeric(38,18) NOT NULL,
    cash           numeric(38,18) NOT NULL,
    net_invested   numeric(38,18) NOT NULL,
    realized_pnl   numeric(38,18) NOT NULL,
    unrealized_pnl numeric(38,18) NOT NULL,
    stale          boolean        NOT NULL,
    PRIMARY KEY (portfolio_id, time)
) {partitioning}
"""
HYPERTABLE = """
SELECT create_hypertable('portfolio_snapshot_1m', by_range('time', INTERVAL '1 day'), create_default_indexes => false)
"""
NAMES = {"1m": "MinuteSnapshot", "1h": "HourSnapshot", "1d": "DaySnapshot"}


def create(apps, schema_editor):
    with schema_editor.connection.cursor() as cursor:
        # As the second migration of the ticks found it.
        cursor.execute("SELECT relkind FROM pg_class WHERE oid = 'trade'::regclass")
        native = cursor.fetchone()[0] == "p"
        for name in NAMES:
            partitioned = native and name == "1m"
            cursor.execute(TABLE.format(name=name, partitioning="PARTITION BY RANGE (time)" if partitioned else ""))
        if not native:
            cursor.execute(HYPERTABLE)


def drop(apps, schema_editor):
    with schema_editor.connection.cursor() as cursor:
        for name in NAMES:
            cursor.execute(f"DROP TABLE portfolio_snapshot_{name}")


def exact():
    return portfolio.models.ledger.ExactField(decimal_places=18, max_digits=38)


class Migration(migrations.Migration):
    dependencies = [("portfolio", "0006_orders"), ("ingestion", "0002_ticks_and_candles")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(create, drop)],
            state_operations=[
                migrations.CreateModel(
                    name=model,
                    fields=[
                        (
                            "pk",
                            models.CompositePrimaryKey(
                                "portfolio_id", "time", blank=True, editable=False, primary_key=True, serialize=False
                            ),
                        ),
                        ("time", models.DateTimeField()),
                        ("version", models.BigIntegerField(help_text="the ledger's, that it was made of")),
                        ("total_value", exact()),
                        ("market_value", exact()),
                        ("cash", exact()),
                        ("net_invested", exact()),
                        ("realized_pnl", exact()),
                        ("unrealized_pnl", exact()),
                        ("stale", models.BooleanField(help_text="some price was late or missing")),
                        (
                            "portfolio",
                            models.ForeignKey(
                                db_constraint=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                to="portfolio.portfolio",
                            ),
                        ),
                    ],
                    options={"db_table": f"portfolio_snapshot_{name}"},
                )
                for name, model in NAMES.items()
            ],
        ),
        migrations.CreateModel(
            name="Proof",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("started_at", models.DateTimeField()),
                ("finished_at", models.DateTimeField()),
                ("portfolios", models.PositiveIntegerField(help_text="that were compared")),
                ("mismatches", models.JSONField(default=list)),
            ],
            options={"ordering": ["-id"]},
        ),
    ]
