"""Connections are counted across processes, and a killed process's are given back in time."""

import os
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from streaming import quotas
from streaming.quotas import Lease, OverLimit
from worker.redis import client, close_async_client

ELSEWHERE = """
import asyncio, django
django.setup()
from types import SimpleNamespace
from streaming import quotas
async def main():
    user = SimpleNamespace(is_authenticated=True, pk={pk!r})
    for n in range({n}):
        try:
            await quotas.take(user, "", f"other-{{n}}")
            print("in")
        except quotas.OverLimit:
            print("over")
asyncio.run(main())
"""


@pytest.fixture
async def user(settings: Any) -> AsyncIterator[Any]:
    settings.MAX_CONNECTIONS_PER_USER = 3
    one = SimpleNamespace(is_authenticated=True, pk=uuid.uuid4().hex)
    yield one
    client().delete(quotas._key(f"user:{one.pk}"))
    await close_async_client()


def elsewhere(pk: str, n: int) -> list[str]:
    """What another process, which then dies without giving anything back, says to `n` connections."""
    code = ELSEWHERE.format(pk=pk, n=n)
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "project.settings", "MAX_CONNECTIONS_PER_USER": "3"}
    return subprocess.check_output([sys.executable, "-c", code], env=environment, text=True).split()


async def test_two_processes_share_one_count(user: Any) -> None:
    await quotas.take(user, "", "a")

    assert elsewhere(user.pk, 3) == ["in", "in", "over"]
    with pytest.raises(OverLimit, match="At most 3 connections per user"):
        await quotas.take(user, "", "b")


async def test_a_killed_process_leaks_no_slots(user: Any, settings: Any) -> None:
    settings.CONNECTION_LEASE_TTL_S = 1.0
    mine = await quotas.take(user, "", "a")
    await quotas.take(user, "", "dead-1")
    await quotas.take(user, "", "dead-2")

    for _ in range(100):
        await quotas.renew([mine])
        try:
            await quotas.take(user, "", "b")
            await quotas.take(user, "", "c")
            break
        except OverLimit:
            await _moment()
    with pytest.raises(OverLimit):
        await quotas.take(user, "", "d")


async def test_what_is_given_back_is_free_at_once(user: Any) -> None:
    leases = [await quotas.take(user, "", str(n)) for n in range(3)]
    await quotas.give_back(leases[0])
    await quotas.take(user, "", "again")


async def test_anonymous_clients_are_counted_by_address(settings: Any) -> None:
    settings.MAX_CONNECTIONS_PER_ADDRESS = 1
    nobody = SimpleNamespace(is_authenticated=False, pk=None)
    here, there = uuid.uuid4().hex, uuid.uuid4().hex

    lease = await quotas.take(nobody, here, "1")
    await quotas.take(nobody, there, "2")
    with pytest.raises(OverLimit, match="At most 1 connections per address"):
        await quotas.take(nobody, here, "3")

    await quotas.give_back(lease)
    await quotas.give_back(Lease(f"address:{there}", "2"))
    await close_async_client()


async def _moment() -> None:
    import asyncio

    await asyncio.sleep(0.05)
