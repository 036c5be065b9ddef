"""What every test stands on: loopback-only sockets, and the people of the permission tests."""

import ipaddress
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.services import OwnServices


def _refuse_foreign_addresses(event: str, args: tuple[Any, ...]) -> None:
    """No test talks to anything but this machine."""
    if event != "socket.connect" or not isinstance(args[1], tuple):
        return
    host = str(args[1][0])
    if host != "localhost" and not ipaddress.ip_address(host.partition("%")[0]).is_loopback:
        raise PermissionError(f"a test tried to connect to {args[1]}")


sys.addaudithook(_refuse_foreign_addresses)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where processes share the work (`--dist loadgroup`): a file belongs together, and all pages are on one site.
    Those take longest, and go first."""
    for item in items:
        on_site = item.get_closest_marker("browser") is not None
        item.add_marker(pytest.mark.xdist_group("browser" if on_site else str(item.path)))
    items.sort(key=lambda item: item.get_closest_marker("browser") is None)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker):
    """The test database; sessions that threads of ended event loops left open do not keep it from being dropped."""
    from django.db import connection

    yield
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )


@pytest.fixture(autouse=True)
def _no_symbols_of_other_tests():
    """Names resolve anew: a rolled-back test leaves no trace in the process's cache."""
    from ingestion import markets, sessions, symbols  # once Django is set up

    symbols.forget()
    markets.forget()
    sessions.forget()


@pytest.fixture
def own_prefix(settings):
    """Keys of this test's own in the shared Redis, removed afterwards."""
    from worker.redis import client, key

    settings.REDIS_PREFIX = f"{settings.REDIS_PREFIX}-{uuid.uuid4().hex[:8]}"
    yield settings.REDIS_PREFIX
    for found in client().scan_iter(f"{key('*')}", count=1_000):
        client().delete(found)


@pytest.fixture
def own_services(tmp_path: Path) -> Iterator[OwnServices]:
    """A PostgreSQL and a Redis for this test alone, started. All other tests share those of tests/settings.py."""
    own = OwnServices(tmp_path / "services")
    own.start_postgres()
    own.start_redis()
    yield own
    own.delete()


@pytest.fixture
def alice(django_user_model):
    """Owns what the test makes for her."""
    return django_user_model.objects.create_user("alice", password="alice")


@pytest.fixture
def bob(django_user_model):
    """Shares nothing with alice."""
    return django_user_model.objects.create_user("bob", password="bob")


@pytest.fixture
def admin(django_user_model):
    """Staff: may force updates."""
    return django_user_model.objects.create_user("admin", password="admin", is_staff=True, is_superuser=True)
