"""The flow tests' own ground: an installation starts, is killed, comes back, ends."""

import pytest

from tests.processes import wait_for

pytestmark = pytest.mark.flow


def test_a_killed_worker_and_killed_stores_come_back(installation):
    installation.start()
    installation.wait_ready()

    installation.kill9("residents")
    installation.stores.kill_redis()
    installation.stores.stop_postgres()
    wait_for(lambda: not installation.readiness()["ready"], what="/readyz to notice")

    installation.stores.start_postgres()
    installation.stores.start_redis()
    installation.start("residents")
    installation.wait_ready(60)

    installation.terminate("web", "worker", "residents", "beat")
