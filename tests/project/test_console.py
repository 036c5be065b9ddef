"""The socket console's page, and what it is given to start with."""

import json
import re
from typing import Any

import pytest


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/realtime/test/", "/websocket-test/"])
def test_the_console_knows_every_path_and_who_looks(client: Any, alice: Any, path: str) -> None:
    client.force_login(alice)
    page = client.get(path).content.decode()
    found = re.search(r'<script id="bootstrap" type="application/json">(.*?)</script>', page, re.S)
    assert found is not None
    bootstrap = json.loads(found[1])
    by_address = {one["address"]: one for one in bootstrap["paths"]}
    assert {"/ws/realtime/", "/ws/market/", "/ws/market/{symbol}/{stream}/", "/ws/portfolio/"} <= set(by_address)
    assert {"type": "ping", "id": 1} in by_address["/ws/realtime/"]["examples"]
    assert bootstrap["user"] == {"username": "alice"}
    assert bootstrap["csrf_token"]
