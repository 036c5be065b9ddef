import django.db.models.deletion
from django.db import migrations, models

STANDING = models.Q(("status", "standing"))
PLACE = ["instrument", "interval", "time", "kind", "name"]


class Migration(migrations.Migration):
    dependencies = [("signals", "0013_indexes_of_scored_signals")]

    operations = [
        migrations.AddField(
            "finding",
            "status",
            models.CharField(
                choices=[("standing", "Standing"), ("withdrawn", "Withdrawn"), ("superseded", "Superseded")],
                default="standing",
                max_length=10,
            ),
        ),
        migrations.AddField(
            "finding", "status_at", models.DateTimeField(help_text="since when it does not stand any more", null=True)
        ),
        migrations.AddField(
            "finding",
            "supersedes",
            models.OneToOneField(
                help_text="what it stands for now",
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="superseded_by",
                to="signals.finding",
            ),
        ),
        migrations.AddField(
            "examined",
            "since",
            models.DateTimeField(help_text="the first of the bars that `bars_digest` is of", null=True),
        ),
        migrations.AddField(
            "examined",
            "bars_digest",
            models.CharField(blank=True, default="", help_text="of the bars from `since` on to `time`", max_length=32),
        ),
        migrations.RemoveConstraint("finding", "one_finding_a_bar"),
        migrations.AddConstraint(
            "finding", models.UniqueConstraint(condition=STANDING, fields=PLACE, name="one_finding_a_bar")
        ),
    ]
