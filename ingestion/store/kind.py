"""Which storage is beneath: hypertables or native partitions."""

from functools import lru_cache
from typing import Final

from django.db import connection

TIMESCALE: Final = "timescaledb"
NATIVE: Final = "native"


@lru_cache(maxsize=1)
def storage_kind() -> str:
    """TIMESCALE or NATIVE, as the second migration found it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT relkind FROM pg_class WHERE oid = 'trade'::regclass")
        return NATIVE if cursor.fetchone()[0] == "p" else TIMESCALE
