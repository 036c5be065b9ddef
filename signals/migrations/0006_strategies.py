"""Users' own strategies, and what becomes of a signal. Existing signals are of the one strategy that was asked."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("ingestion", "0002_ticks_and_candles"),
        ("signals", "0005_digests_and_preferences"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="StrategyRun",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.CharField(help_text="as `strategies.key_of` has it", max_length=200, unique=True)),
                ("kind", models.CharField(max_length=64)),
                ("parameters", models.JSONField(default=dict)),
                ("interval", models.CharField(max_length=4)),
                ("last_error", models.CharField(blank=True, max_length=500)),
                ("last_error_at", models.DateTimeField(null=True)),
                ("failures", models.PositiveIntegerField(default=0, help_text="in all")),
            ],
            options={"ordering": ["key"]},
        ),
        migrations.CreateModel(
            name="UserStrategy",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=64)),
                ("kind", models.CharField(max_length=64)),
                ("parameters", models.JSONField(default=dict)),
                (
                    "interval",
                    models.CharField(
                        choices=[("1m", "1m"), ("5m", "5m"), ("15m", "15m"), ("1h", "1h"), ("4h", "4h"), ("1d", "1d")],
                        max_length=4,
                    ),
                ),
                ("watched", models.BooleanField(default=True, help_text="what is on the user's watchlists")),
                ("enabled", models.BooleanField(default=True)),
                (
                    "min_confidence",
                    models.FloatField(default=0, help_text="0–100: of what is less sure nothing is said"),
                ),
                ("notify", models.BooleanField(default=True, help_text="tell of each signal, beside showing it")),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("instruments", models.ManyToManyField(blank=True, related_name="+", to="ingestion.instrument")),
                (
                    "run",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="wanted_by", to="signals.strategyrun"
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="strategies",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "user strategies",
                "ordering": ["id"],
                "indexes": [
                    models.Index(condition=models.Q(("enabled", True)), fields=["interval"], name="strategies_to_ask")
                ],
                "constraints": [models.UniqueConstraint(fields=("user", "name"), name="one_strategy_a_name")],
            },
        ),
        migrations.RemoveConstraint(model_name="signal", name="one_signal_a_bar"),
        migrations.AlterField(
            model_name="signal", name="strategy", field=models.CharField(help_text="its kind", max_length=64)
        ),
        migrations.AlterField(model_name="signal", name="confidence_score", field=models.FloatField(help_text="0–100")),
        migrations.AddField(
            model_name="signal",
            name="strategy_key",
            field=models.CharField(
                blank=True,
                default="",
                help_text="kind, parameters and interval, as `strategies.key_of` has it",
                max_length=200,
            ),
        ),
        migrations.AddField(
            model_name="signal",
            name="source",
            field=models.SmallIntegerField(help_text="whose bars they were", null=True),
        ),
        migrations.AddField(
            model_name="signal",
            name="bars_digest",
            field=models.CharField(
                blank=True,
                default="",
                help_text="of the bars that the strategy saw: others supersede it",
                max_length=32,
            ),
        ),
        migrations.AddField(
            model_name="signal",
            name="confidence_basis",
            field=models.CharField(default="heuristic", help_text="what the score rests on", max_length=64),
        ),
        migrations.AddField(
            model_name="signal",
            name="private",
            field=models.BooleanField(default=False, help_text="only for the users among its hearers"),
        ),
        migrations.AddField(
            model_name="signal",
            name="status",
            field=models.CharField(
                choices=[
                    ("ACTIVE", "Active"),
                    ("EXPIRED", "Expired"),
                    ("SUPERSEDED", "Superseded"),
                    ("TARGET", "Target"),
                    ("STOP", "Stop"),
                ],
                default="ACTIVE",
                max_length=10,
            ),
        ),
        migrations.AddField(
            model_name="signal",
            name="status_at",
            field=models.DateTimeField(help_text="since when it is not active any more", null=True),
        ),
        migrations.AddField(
            model_name="signal",
            name="supersedes",
            field=models.OneToOneField(
                help_text="what it stands for now",
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="superseded_by",
                to="signals.signal",
            ),
        ),
        # Until now `sma_cross` was asked with these alone.
        migrations.RunSQL(
            "UPDATE signals_signal"
            " SET strategy_key = 'sma_cross(fast=5,slow=20,stop_ranges=2.0,target_ranges=3.0)@' || interval"
            " WHERE strategy = 'sma_cross'",
            migrations.RunSQL.noop,
        ),
        migrations.AddIndex(
            model_name="signal",
            index=models.Index(
                condition=models.Q(("status", "ACTIVE")),
                fields=["interval", "instrument", "expires_at"],
                name="active_signals",
            ),
        ),
        migrations.AddIndex(
            model_name="signal",
            index=models.Index(fields=["instrument", "-id"], name="signals_of_instrument"),
        ),
        migrations.AddConstraint(
            model_name="signal",
            constraint=models.UniqueConstraint(
                condition=models.Q(("status", "SUPERSEDED"), _negated=True),
                fields=("strategy", "strategy_key", "instrument", "interval", "time"),
                name="one_signal_a_bar",
            ),
        ),
        migrations.CreateModel(
            name="SignalHearer",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "signal",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="hearers", to="signals.signal"
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("signal", "user"), name="one_hearer_a_signal")],
            },
        ),
    ]
