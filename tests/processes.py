"""Real processes of ours, for the flow tests: started, watched, and ended whatever happens."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
ROOT = Path(__file__).resolve().parent.parent


def wait_for(condition: Callable[[], T], timeout_s: float = 20.0, what: str = "", step_s: float = 0.02) -> T:
    """The condition's first true value. Raises TimeoutError, which says `what` was waited for."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout_s:g} s for {what or condition}")
        time.sleep(step_s)
    return value


class Process:
    """A command in a process group of its own, its output in a file."""

    def __init__(self, command: list[str], log: Path, **environment: str) -> None:
        self.log = log
        with log.open("wb") as output:
            self.popen = subprocess.Popen(
                command,
                cwd=ROOT,
                env=os.environ | {"PYTHONUNBUFFERED": "1", "DJANGO_SETTINGS_MODULE": "project.settings"} | environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def says(self, text: str) -> bool:
        assert self.popen.poll() is None or text in self.output(), f"it ended:\n{self.output()}"
        return text in self.output()

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def kill(self) -> None:
        """kill -9, with all its children."""
        try:
            os.killpg(self.popen.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.popen.wait()

    def terminate(self, timeout_s: float = 15.0) -> int:
        """SIGTERM to the main process. Returns its exit code."""
        self.popen.terminate()
        return self.popen.wait(timeout_s)


@contextmanager
def started(command: list[str], log: Path, **environment: str) -> Iterator[Process]:
    process = Process(command, log, **environment)
    try:
        yield process
    finally:
        process.kill()


def celery(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "celery", "-A", "worker", *arguments]


def worker(pool: str, queues: str, *arguments: str, concurrency: int = 4) -> list[str]:
    """A Celery worker's command, as `make run` starts it."""
    return celery(
        "worker", "-P", pool, "-Q", queues, "-c", str(concurrency), "-n", f"{pool}-{os.urandom(3).hex()}@%h",
        "--without-mingle", "--without-gossip", "-l", "INFO", *arguments,
    )  # fmt: skip
