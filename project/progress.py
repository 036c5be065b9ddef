"""Slow steps, shown while they run and with how long they took. Standard library only: the bootstrap uses it."""

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

# Where the last line cannot be rewritten (a log file), a step that goes on says so this often.
STILL_INTERVAL_S = 15.0


class StepFailed(Exception):
    """A command that did not succeed. `output` is the end of what it said."""

    def __init__(self, command: Sequence[str], code: int, output: str) -> None:
        super().__init__(f"{' '.join(map(str, command))}\nended with exit code {code}:\n{output}")
        self.command, self.code, self.output = command, code, output


@contextlib.contextmanager
def step(title: str) -> Iterator[None]:
    """Show `title` with the seconds that it takes."""
    started_at = time.monotonic()
    ended = threading.Event()
    ticker = threading.Thread(target=_tick, args=(title, started_at, ended), daemon=True)
    ticker.start()
    outcome = "failed after"
    try:
        yield
        outcome = "took"
    finally:
        ended.set()
        ticker.join()
        _say(f"{title}: {outcome} {time.monotonic() - started_at:.1f} s", final=True)


def _tick(title: str, started_at: float, ended: threading.Event) -> None:
    _say(f"{title} …", final=not sys.stdout.isatty())
    while not ended.wait(1.0 if sys.stdout.isatty() else STILL_INTERVAL_S):
        _say(f"{title} … {time.monotonic() - started_at:.0f} s", final=not sys.stdout.isatty())


def _say(text: str, final: bool) -> None:
    if sys.stdout.isatty():
        print(f"\r\033[K  {text}", end="\n" if final else "", flush=True)
    else:
        print(f"  {text}", flush=True)


def run(command: Sequence[str | Path], *, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """Run it silently; returns what it said. Raises StepFailed with the end of that."""
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        raise StepFailed(list(map(str, command)), done.returncode, done.stdout[-3000:])
    return done.stdout
