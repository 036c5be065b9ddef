from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("signals", "0009_alerts_at_once")]

    operations = [
        migrations.AlterField(
            model_name="newsarticle",
            name="url",
            field=models.CharField(blank=True, help_text="canonical: without what only counts clicks", max_length=2000),
        ),
        migrations.AlterField(
            model_name="newsfeed",
            name="url",
            field=models.CharField(blank=True, help_text="of an RSS or Atom feed: http or https", max_length=1000),
        ),
    ]
