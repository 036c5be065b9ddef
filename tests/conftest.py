"""What every test stands on: loopback-only sockets, and the people of the permission tests."""

import ipaddress
import sys
from typing import Any

import pytest

# DATABASE_URL and REDIS_URL are taken from the environment; without them tests/services.py starts embedded ones.
pytest_plugins: list[str] = []


def _refuse_foreign_addresses(event: str, args: tuple[Any, ...]) -> None:
    """No test talks to anything but this machine."""
    if event != "socket.connect" or not isinstance(args[1], tuple):
        return
    host = str(args[1][0])
    if host != "localhost" and not ipaddress.ip_address(host.partition("%")[0]).is_loopback:
        raise PermissionError(f"a test tried to connect to {args[1]}")


sys.addaudithook(_refuse_foreign_addresses)


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
