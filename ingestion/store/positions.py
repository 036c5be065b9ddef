"""How far each shard's journal is on disk."""

import msgspec
from django.conf import settings
from django.db import connection

from ingestion.journal import START


class Position(msgspec.Struct, frozen=True):
    """How far a shard's journal is on disk, and under whose fencing token."""

    epoch: str
    entry_id: str
    token: int


def claim(shard: str, token: int) -> Position:
    """Put `token` on the shard's position, so that no older writer commits any more, and read it.

    Its token is a higher one where a newer writer has been here. A transaction of its own.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO journal_position AS p VALUES (%s, '', %s, %s)
               ON CONFLICT (shard) DO UPDATE SET token = greatest(p.token, excluded.token)
               RETURNING epoch, entry_id, token""",
            [shard, START, token],
        )
        return Position(*cursor.fetchone())


def advance(shard: str, old: Position, new: Position) -> bool:
    """Move the position, if it is where and whose we think. The row stays locked until the caller's commit, but not for
    ever where the caller vanished inside its transaction."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SET LOCAL idle_in_transaction_session_timeout = %s;
               UPDATE journal_position SET epoch = %s, entry_id = %s, token = %s
               WHERE shard = %s AND epoch = %s AND entry_id = %s AND token <= %s""",
            [
                f"{settings.WRITER_TRANSACTION_TIMEOUT_S}s", new.epoch, new.entry_id, new.token,
                shard, old.epoch, old.entry_id, new.token,
            ],
        )  # fmt: skip
        return bool(cursor.rowcount == 1)
