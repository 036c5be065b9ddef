"""Which instruments somebody watches, holds or has an alert on; feeds follow those beside SYMBOLS.

One sorted set, member `<owner> <instrument id>`, scored by when the wish runs out: whoever stops asking (a crashed
process too) is forgotten after its time.
"""

import time
from collections.abc import Iterable, Mapping

from worker.redis import client, key


def want(owner: str, instrument_ids: Iterable[int], ttl_s: float) -> None:
    """`owner` (such as `portfolio:7`) wants these for `ttl_s` seconds from now. Asking again prolongs."""
    want_all({owner: instrument_ids}, ttl_s)


def want_all(wishes: Mapping[str, Iterable[int]], ttl_s: float) -> None:
    """The wishes of many owners at once."""
    until = time.time() + ttl_s
    scores = {f"{owner} {instrument_id}": until for owner, ids in wishes.items() for instrument_id in ids}
    if scores:
        client().zadd(_key(), scores)


def wanted() -> set[int]:
    """The ids of all instruments that anybody wants now."""
    now = time.time()
    with client().pipeline(transaction=False) as pipe:
        pipe.zremrangebyscore(_key(), "-inf", now)
        pipe.zrangebyscore(_key(), now, "+inf")
        members = pipe.execute()[1]
    return {int(member.rpartition(b" ")[2]) for member in members}


def _key() -> str:
    return key("demand")
