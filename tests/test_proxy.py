import contextlib
import socket
import socketserver
import threading
import time

import pytest

from tests.processes import wait_for
from tests.proxy import Proxy


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        with contextlib.suppress(ConnectionError):
            while said := self.request.recv(1000):
                self.request.sendall(said)


@pytest.fixture
def proxy():
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with Proxy(server.server_address[1]) as made:
            yield made
        server.shutdown()


def connect(proxy):
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=0.3)


def echo(connection, said=b"x"):
    connection.sendall(said)
    return connection.recv(1000)


def test_it_forwards(proxy):
    with connect(proxy) as one, connect(proxy) as two:
        assert (echo(one, b"1"), echo(two, b"2")) == (b"1", b"2")
        assert proxy.connections == 2
    wait_for(lambda: proxy.connections == 0)


def test_a_black_hole_swallows_old_connections_for_good_and_new_ones_until_it_ends(proxy):
    with connect(proxy) as old:
        assert echo(old) == b"x"
        proxy.stall()
        with pytest.raises(TimeoutError):
            echo(old)
        with connect(proxy) as during:
            with pytest.raises(TimeoutError):
                echo(during)
            proxy.resume()
            with connect(proxy) as new:
                assert echo(new) == b"x"
            for dead in (old, during):
                with pytest.raises(TimeoutError):
                    echo(dead)


def is_reset(connection):
    try:
        return echo(connection) == b""
    except ConnectionError:
        return True


def is_reset_at_once(proxy):
    try:
        with connect(proxy) as new:
            return is_reset(new)
    except ConnectionError:
        return True


def test_a_cut_resets_old_and_new_connections_until_resume(proxy):
    with connect(proxy) as old:
        assert echo(old) == b"x"
        proxy.cut()
        assert is_reset(old)
        assert is_reset_at_once(proxy)
        proxy.resume()
        with connect(proxy) as new:
            assert echo(new) == b"x"


def test_a_drop_resets_only_what_is_open(proxy):
    with connect(proxy) as old:
        assert echo(old) == b"x"
        proxy.drop()
        assert is_reset(old)
        with connect(proxy) as new:
            assert echo(new) == b"x"


def test_a_slow_line_is_slow(proxy):
    with connect(proxy) as one:
        proxy.slow(delay_s=0.05)
        began = time.monotonic()
        assert echo(one) == b"x"
        assert time.monotonic() - began >= 0.1
