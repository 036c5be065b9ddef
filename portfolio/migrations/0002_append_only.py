"""The database itself refuses to change or remove a ledger's row, whoever asks."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("portfolio", "0001_initial")]

    operations = [
        migrations.RunSQL(
            sql="""
            CREATE FUNCTION portfolio_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                RAISE EXCEPTION 'the ledger is append-only: reverse row % instead', OLD.id
                    USING ERRCODE = 'integrity_constraint_violation';
            END $$;
            CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON portfolio_transaction
                FOR EACH ROW EXECUTE FUNCTION portfolio_append_only();
            """,
            reverse_sql="""
            DROP TRIGGER append_only ON portfolio_transaction;
            DROP FUNCTION portfolio_append_only();
            """,
        )
    ]
