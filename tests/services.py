"""PostgreSQL and Redis for the tests: the ones that DATABASE_URL and REDIS_URL name, else embedded ones."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from project.localservices import Postgres, Redis, free_port


def provide() -> None:
    """Complete the environment before Django reads it. Safe to repeat, as a process that a test starts does.

    An xdist worker inherits the controller's environment and adds its name to the prefix.
    """
    os.environ.setdefault("DEVELOPMENT", "1")
    os.environ.setdefault("REDIS_PREFIX", f"test-{os.getpid()}")
    suffix = f"-{worker}" if (worker := os.environ.get("PYTEST_XDIST_WORKER")) else ""
    os.environ["REDIS_PREFIX"] = os.environ["REDIS_PREFIX"].removesuffix(suffix) + suffix
    missing = {"DATABASE_URL", "REDIS_URL"} - set(os.environ)
    if missing:
        os.environ |= _embedded(missing)


def _embedded(names: set[str]) -> dict[str, str]:
    """Servers that end, and whose folder goes, with this process."""
    folder = Path(tempfile.mkdtemp(prefix="tapehouse-test-"))
    own = OwnServices(folder)
    atexit.register(own.delete)
    starts = {"DATABASE_URL": own.start_postgres, "REDIS_URL": own.start_redis}
    return {name: starts[name]() for name in names}


class OwnServices:
    """A PostgreSQL and a Redis that one test may stop and kill; they come back on the same ports with their data."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.postgres = Postgres(folder, durable=False, tied=True, port=free_port())
        self.redis = Redis(folder, tied=True, port=free_port())

    @property
    def environment(self) -> dict[str, str]:
        return {"DATABASE_URL": self.postgres.url, "REDIS_URL": self.redis.url}

    def start_postgres(self) -> str:
        return self.postgres.start()

    def stop_postgres(self) -> None:
        self.postgres.stop()

    def kill_postgres(self) -> None:
        self.postgres.kill()

    def start_redis(self) -> str:
        return self.redis.start()

    def stop_redis(self) -> None:
        self.redis.stop()

    def kill_redis(self) -> None:
        self.redis.kill()

    def delete(self) -> None:
        self.redis.stop()
        self.postgres.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
