"""A whole installation for one test: its own PostgreSQL and Redis, its own ports, real processes that may be killed.

with Installation(tmp_path, prepared, FEEDS="simulated") as installation:
    installation.start("web", "worker", "residents", "beat")
    installation.wait_ready()
    installation.kill9("residents")
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Self

import psycopg2
import redis

from project.localservices import free_port
from project.service import SUPERVISOR
from tests.processes import ROOT, wait_for
from tests.services import OwnServices

SERVICES = ("web", "worker", "residents", "beat")
STOP_TIMEOUT_S = 20.0
LOG_TAIL_CHARS = 6000


class Installation:
    """The services of `project.service` on stores of their own, everything they say in files under `folder`.

    prepared: a folder made by `prepare`, copied instead of migrating anew.
    settings: further environment, such as FEEDS="binance" or BINANCE_WS_URL=…
    """

    def __init__(self, folder: Path, prepared: Path | None = None, **settings: str) -> None:
        self.folder = folder
        if prepared is not None:
            shutil.copytree(prepared, folder / "stores", symlinks=True)
        self.stores = OwnServices(folder / "stores")
        self.port = free_port()
        self.settings = settings
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.logs = folder / "logs"

    def open(self) -> None:
        """Start the stores, and nothing else."""
        self.logs.mkdir(parents=True, exist_ok=True)
        self.stores.start_postgres()
        self.stores.start_redis()

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.stores.delete()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def websocket_address(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What every process of this installation is given."""
        return {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "project.settings",
            "DEVELOPMENT": "1",
            "PYTHONUNBUFFERED": "1",
            "DATA_DIR": str(self.folder / "data"),
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "REDIS_PREFIX": "flow",
            **self.stores.environment,
            **self.settings,
        }

    # --- Services ---

    def start(self, *names: str) -> None:
        """Start services by name (project.service.NAMES); those that run already are left alone."""
        # A service ends with the *thread* that started it: one of a pool may end early.
        assert threading.current_thread() is threading.main_thread()
        for name in names or SERVICES:
            if not self.runs(name):
                self.processes[name] = self._spawn(name, name)

    def start_another(self, service: str, name: str) -> None:
        """One more process of a service, under a name of its own, such as a second worker for the residents."""
        assert threading.current_thread() is threading.main_thread()
        self.processes[name] = self._spawn(service, name)

    def runs(self, name: str) -> bool:
        return name in self.processes and self.processes[name].poll() is None

    def pid(self, name: str) -> int:
        return self.processes[name].pid

    def kill9(self, name: str) -> None:
        """Sudden death, waited for."""
        self.processes[name].send_signal(signal.SIGKILL)
        self.processes[name].wait(STOP_TIMEOUT_S)

    def terminate(self, *names: str) -> None:
        """SIGTERM, as a deploy does; returns when they have ended. Raises TimeoutError for one that does not."""
        for name in names:
            self.processes[name].terminate()
        for name in names:
            try:
                self.processes[name].wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.kill9(name)
                raise TimeoutError(f"{name} did not end in {STOP_TIMEOUT_S:g} s after SIGTERM") from None

    def stop(self) -> None:
        """End whatever runs; one that does not end in time is killed without a word."""
        running = [process for process in self.processes.values() if process.poll() is None]
        for process in running:
            process.terminate()
        for process in running:
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _spawn(self, service: str, name: str) -> subprocess.Popen[bytes]:
        with (self.logs / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "project.service", service],
                cwd=ROOT,
                env=self.environment | {SUPERVISOR: str(os.getpid())},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    # --- What it says ---

    def readiness(self) -> dict[str, Any]:
        """What /readyz says; empty while the web does not answer."""
        try:
            with urllib.request.urlopen(f"{self.address}/readyz", timeout=5) as answer:
                return dict(json.load(answer))
        except urllib.error.HTTPError as refusal:
            with refusal:
                return dict(json.load(refusal))
        except OSError:
            return {}

    def wait_ready(self, timeout_s: float = 40.0) -> None:
        """Until /readyz says yes. Raises TimeoutError with what it said last, and the ends of the logs."""
        try:
            wait_for(lambda: self.readiness().get("ready"), timeout_s, "/readyz", step_s=0.2)
        except TimeoutError as error:
            raise TimeoutError(f"{error}; it says {self.readiness()}\n{self.said()}") from None

    def log(self, name: str) -> str:
        path = self.logs / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def said(self) -> str:
        """The end of every log, for a failed test's report."""
        return "\n".join(f"--- {name}\n{self.log(name)[-LOG_TAIL_CHARS:]}" for name in self.processes)

    # --- Its doors ---

    def manage(self, *arguments: str, timeout_s: float = 120.0) -> str:
        """Run `manage.py`; returns what it printed. Raises CalledProcessError, with the output in it."""
        command = [sys.executable, "manage.py", *arguments]
        return self._run(command, timeout_s)

    def migrate(self) -> None:
        self._run([sys.executable, "-m", "project.service", "migrate"], 180.0)

    def _run(self, command: list[str], timeout_s: float) -> str:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}"
        return done.stdout

    def sql(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Rows, on a connection of their own, committed; none for a statement that returns nothing."""
        connection = psycopg2.connect(self.stores.postgres.url)
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement, parameters or None)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def redis(self) -> redis.Redis:
        """A client of its Redis; `with installation.redis() as client`. Keys begin with `flow:`."""
        return redis.Redis.from_url(self.stores.redis.url)


def prepare(folder: Path) -> Path:
    """A stopped PostgreSQL that is migrated and holds the demo data, for `Installation` to copy."""
    installation = Installation(folder)
    stores = installation.stores
    try:
        installation.open()
        installation.migrate()
    finally:
        stores.stop_redis()
        stores.stop_postgres()
    shutil.rmtree(stores.redis.data)
    return stores.folder
