"""`make run` itself: everything on one command, ended by one signal, found again with its data."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2
import pytest

from project.localservices import LocalServices, free_port
from tests.processes import ROOT, wait_for

pytestmark = [pytest.mark.flow, pytest.mark.timeout(300)]
GIVEN_TO_TESTS = {"DATABASE_URL", "REDIS_URL", "REDIS_PREFIX", "DJANGO_SETTINGS_MODULE"}


class Run:
    """`python -m project.run` in a data folder of its own, with what it prints in a file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.flower_port = free_port(), free_port()
        self.said_at = folder.parent / "run.log"

    @property
    def environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if name not in GIVEN_TO_TESTS}
        own = {"DATA_DIR": str(self.folder), "PORT": str(self.port), "FLOWER_PORT": str(self.flower_port)}
        return inherited | own | {"DEVELOPMENT": "1", "HOST": "127.0.0.1"}

    @property
    def said(self) -> str:
        return self.said_at.read_text(errors="replace")

    @contextmanager
    def started(self) -> Iterator[subprocess.Popen[bytes]]:
        with self.said_at.open("wb") as log:
            command = [sys.executable, "-m", "project.run"]
            process = subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def wait_running(self) -> None:
        wait_for(lambda: "Tapehouse is running" in self.said, 120, f"the banner in:\n{self.said}")


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    run = Run(tmp_path / "data")
    yield run
    LocalServices(run.folder).delete()


def _tree(pid: int) -> list[int]:
    """The supervisor's children: the services, not the stores (which have left it)."""
    shown = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(child) for child in shown.stdout.split()]


def test_one_command_starts_everything_and_one_signal_ends_it(run):
    with run.started() as process:
        run.wait_running()
        assert f"http://127.0.0.1:{run.port}/ " in run.said
        assert "demo / demo" in run.said
        for name in ("web", "worker", "residents", "beat", "flower"):
            assert re.search(rf"^{name} *\| ", run.said, re.M), name
        children = _tree(process.pid)
        users = _users(run)

        again = subprocess.run(
            [sys.executable, "-m", "project.run"],
            cwd=ROOT,
            env=run.environment | {"PORT": str(free_port()), "FLOWER_PORT": str(free_port())},
            capture_output=True,
            text=True,
            check=False,
        )
        assert again.returncode == 1
        assert f"is in use by another copy (process {process.pid})" in again.stderr

        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert run.said.rstrip().endswith("Stopped.")
    services = LocalServices(run.folder)
    assert (services.postgres.pid(), services.redis.pid()) == (None, None)
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]

    with run.started() as process:
        run.wait_running()
        assert _users(run) == users
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0


def _users(run: Run) -> list[str]:
    connection = psycopg2.connect(LocalServices(run.folder).postgres.url)
    try:
        with connection.cursor() as cursor:
            cursor.execute("select username from auth_user order by 1")
            return [name for (name,) in cursor.fetchall()]
    finally:
        connection.close()


def test_a_taken_port_is_named_with_its_variable_before_anything_starts(run):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", run.flower_port))
        taken.listen()
        with run.started() as process:
            assert process.wait(30) == 1
    assert f"127.0.0.1:{run.flower_port} is taken by another program. Set FLOWER_PORT to a free port." in run.said
    assert not (run.folder / "postgres").exists()
