"""Flower sees the workers, and asks for a login: it can run and revoke tasks."""

import sys

import pytest
import requests

from project.localservices import free_port
from tests.processes import started, wait_for

pytestmark = pytest.mark.flow


def test_flower_shows_our_workers_to_whoever_signs_in(engine, tmp_path):
    port = free_port()
    environment = {
        "REDIS_URL": engine.redis_url,
        "REDIS_PREFIX": engine.PREFIX,
        "FLOWER_PORT": str(port),
        "FLOWER_BASIC_AUTH": "someone:secret",
    }
    command = [sys.executable, "-m", "project.service", "flower"]

    def get(path, login=None):
        try:
            return requests.get(f"http://127.0.0.1:{port}{path}", auth=login, timeout=5)
        except requests.ConnectionError:
            return None

    def workers():
        """By name; asks each time, for Flower may have started before them."""
        answer = get("/api/workers?refresh=1", ("someone", "secret"))
        found = answer.json() if answer is not None and answer.ok else {}
        # Flower asks its questions one by one, and shows a worker from the first answer on.
        return found if all("active_queues" in worker for worker in found.values()) else {}

    with engine.worker("threads", "control,resident") as worker:
        with started(command, tmp_path / "flower.log", **environment) as flower:
            wait_for(lambda: get("/healthcheck"), 40, "Flower")
            for path in ("/", "/workers", "/tasks", "/api/workers", "/api/tasks"):
                assert get(path).status_code == 401, path
                assert get(path, ("someone", "else")).status_code == 401, path
            seen = wait_for(workers, 30, "the worker in Flower")
            (ours,) = seen.values()
            assert {queue["name"] for queue in ours["active_queues"]} == {"control", "resident"}
            assert "worker.ensure_residents" in ours["registered"]

            engine.send("tests.mark", "flower", "seen")
            wait_for(lambda: "tests.mark" in get("/api/tasks", ("someone", "secret")).text, 20, "the task in Flower")
            assert worker.popen.poll() is None
            assert "secret" not in flower.output()
