import pytest

from project.localservices import Redis, free_port


@pytest.fixture
def own_redis(tmp_path):
    """A Redis for this test alone, to be killed."""
    server = Redis(tmp_path / "redis", tied=True, port=free_port())
    server.start()
    yield server
    server.stop()
