from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("signals", "0011_rescalings")]

    operations = [
        migrations.RenameField("examined", "until", "time"),
        migrations.AlterField("examined", "time", models.DateTimeField(help_text="when the bar began")),
    ]
