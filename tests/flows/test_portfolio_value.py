"""From a tick to the owner's socket, through the death of the follower and a row that is put into the past."""

import json
import os
import signal
import urllib.request
from datetime import datetime
from typing import Any

import pytest

from tests.flows import oracle
from tests.flows.installation import Installation
from tests.flows.test_first_light import hear, opened, say, signed_in

pytestmark = [pytest.mark.flow, pytest.mark.timeout(240)]

FOLLOW = "portfolio.follow:0"


def call(installation: Installation, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """The demo user's call, by token."""
    token = post(installation, "/api/auth/token/", {"username": "demo", "password": "demo"})["access"]
    return post(installation, path, body, {"Authorization": f"Bearer {token}"})


def post(
    installation: Installation, path: str, body: dict[str, Any] | None, headers: dict[str, str] | None = None
) -> dict[str, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        installation.address + path, data, {"Content-Type": "application/json", **(headers or {})}
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        return dict(json.load(answer))


def test_an_owner_sees_its_value_move_whoever_dies(installation: Installation) -> None:
    installation.start()
    installation.start_another("residents", "residents-2")
    installation.wait_ready(120)
    own = call(installation, "/api/portfolios/", {"name": "Flow"})["id"]
    rows = f"/api/portfolios/{own}/transactions/"
    bought = {"type": "BUY", "symbol": "BTC-USD", "quantity": "2", "price": "100", "at": "2026-02-01"}
    call(installation, rows, bought)
    told: list[dict[str, Any]] = []

    def news(quantity: float) -> bool:
        """Hear of another value of so many units."""

        def wanted(message: dict[str, Any]) -> bool:
            if message["type"] != "portfolio_update":
                return False
            told.append(message["data"])
            return [p["quantity"] for p in told[-1]["positions"]] == [quantity]

        return bool(hear(socket, wanted, 40))

    with opened(installation, signed_in(installation, "demo")) as socket:
        say(socket, "subscribe", topics=[f"portfolio:{own}"])
        for _ in range(3):
            news(2.0)
        os.kill(oracle.process_of(installation, FOLLOW), signal.SIGKILL)
        call(installation, rows, bought | {"quantity": "0.5", "at": "2026-01-01"})  # the past, while ticks flow
        for _ in range(3):
            news(2.5)
        assert call(installation, f"/api/portfolios/{own}/positions/")["results"][0]["quantity"] == "2.5"
    moments = [datetime.fromisoformat(data["as_of"]) for data in told]
    assert moments == sorted(moments)
    assert len({data["total_value"] for data in told}) > 3
