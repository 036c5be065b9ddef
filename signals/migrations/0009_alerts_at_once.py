from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("signals", "0008_news_kind")]

    operations = [
        migrations.AddField(
            model_name="alert",
            name="at_once",
            field=models.BooleanField(default=True, help_text="whether what is true from the start is told"),
        ),
    ]
