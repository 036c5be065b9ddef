"""The production listener (or writer) in a thread, and what it leaves in the journal."""

import contextlib
import threading

from ingestion import status
from ingestion.journal import START, Reader
from ingestion.tasks import listen
from ingestion.ticks import unpack_trades
from worker import resident

SHARD = "binance:0"


@contextlib.contextmanager
def listening(shard=SHARD, task=listen):
    """The production task in a thread, until drained: with it all that runs for this shard."""
    failed = []

    def work():
        try:
            task(shard)
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=work, name=task.__name__)
    thread.start()
    try:
        yield thread
    finally:
        for stay in list(resident._stays):
            if stay.context.shard == shard:
                stay.drain()
        thread.join(20)
    assert not thread.is_alive()
    assert not failed


def entries(shard=SHARD):
    return Reader(shard).read(START, 100_000)[1]


def journalled(shard=SHARD):
    """(instrument id, trade id) of every trade in the journal, in its order."""
    rows = [unpack_trades(entry.trade_rows) for entry in entries(shard)]
    return [(int(row["instrument_id"]), int(row["trade_id"])) for part in rows for row in part]


def feed():
    """The first feed's status."""
    return status.feeds()[0]
