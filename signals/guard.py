"""Calling an address that a user named: only where it may lead, and only the very address that was looked at.

A name is looked up once, each of its addresses judged, and one of those connected to: a second look-up could say
something else (DNS rebinding). The certificate is still held to the name.
"""

import ipaddress
import os
import socket
import threading
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final

import requests
from django.conf import settings
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NameResolutionError, NewConnectionError
from urllib3.util.connection import create_connection

from signals.channels.addresses import Address, Allowed, allowed, check_address, check_host

# Each address that does not answer costs a timeout.
ADDRESSES_TRIED_MAX: Final = 2
POOLS: Final = 20


def house() -> Allowed:
    """What the settings allow."""
    return allowed(settings.WEBHOOK_ALLOWED_HOSTS, settings.WEBHOOK_PORTS, settings.WEBHOOK_ALLOW_HTTP)


def checked_addresses(host: str, port: int, https: bool) -> list[str]:
    """Where the host is. Raises ForbiddenAddress when it is, or also is, where nobody should call; OSError."""
    ours = house()
    check_host(host, port, https, ours)
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(place[4][0]) for place in found))
    if not ours.names(host, port):
        for address in addresses:
            check_address(_parsed(address), ours)
    return addresses


def _parsed(address: str) -> Address:
    return ipaddress.ip_address(address.partition("%")[0])


class _Checked:
    """A connection to a checked address, whose opening and whose answer have a bound however slowly they drip."""

    _https = False

    def _new_conn(self: Any) -> socket.socket:
        host = self._dns_host.lower().rstrip(".")
        try:
            addresses = checked_addresses(host, self.port, self._https)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        sock: socket.socket = self._first_of(addresses)
        self._limit = _Limit(sock)
        return sock

    def _first_of(self: Any, addresses: list[str]) -> socket.socket:
        failure: OSError | None = None
        for address in addresses[:ADDRESSES_TRIED_MAX]:
            try:
                return create_connection((address, self.port), self.timeout, socket_options=self.socket_options)
            except OSError as error:
                failure = error
        raise NewConnectionError(self, "no connection") from failure

    def connect(self: Any) -> None:
        try:
            super().connect()  # type: ignore[misc]  # the connection beside it has it
        finally:
            if limit := self.__dict__.pop("_limit", None):
                limit.cancel()

    def getresponse(self: Any) -> Any:
        limit = _Limit(self.sock)
        try:
            return super().getresponse()  # type: ignore[misc]
        finally:
            limit.cancel()


class _Limit:
    """Ends a connection after DELIVERY_CALL_TIMEOUT_S, unless cancelled: a socket's own timeout begins anew each byte.

    It holds the connection by a descriptor of its own, since TLS takes the socket's away.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._held = socket.socket(fileno=os.dup(sock.fileno()))
        self._timer = threading.Timer(settings.DELIVERY_CALL_TIMEOUT_S, self._shut)
        self._timer.daemon = True
        self._timer.start()

    def _shut(self) -> None:
        try:
            self._held.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it has ended

    def cancel(self) -> None:
        self._timer.cancel()
        self._held.close()


class _CheckedHTTP(_Checked, HTTPConnection):
    pass


class _CheckedHTTPS(_Checked, HTTPSConnection):
    _https = True


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _CheckedHTTP


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _CheckedHTTPS


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **more: Any) -> None:
        super().init_poolmanager(*args, **more)
        self.poolmanager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}


def session(guarded: bool) -> requests.Session:
    """A session without memory: no cookies, no proxies and passwords out of the environment. For one thread."""
    made = requests.Session()
    made.trust_env = False
    made.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    adapter = (_Adapter if guarded else HTTPAdapter)(pool_connections=POOLS, pool_maxsize=1)
    made.mount("https://", adapter)
    made.mount("http://", adapter)
    return made
