from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("signals", "0007_deliveries")]

    operations = [
        migrations.AddField(
            model_name="newsarticle",
            name="kind",
            field=models.CharField(blank=True, default="", help_text="the source's own category", max_length=64),
            preserve_default=False,
        ),
        migrations.AlterField(
            model_name="newsarticle",
            name="category",
            field=models.CharField(help_text="the first that it was told in", max_length=32),
        ),
    ]
