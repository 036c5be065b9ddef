"""Starting the processes of one measurement, each on its core, and what the system says of them."""

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

START_TIMEOUT_S = 30.0


def cores() -> tuple[set[int], set[int]]:
    """Those for the server that is measured, and those for everything else."""
    first, *rest = sorted(os.sched_getaffinity(0))
    return {first}, set(rest) or {first}


@contextlib.contextmanager
def running(
    command: Sequence[str], on: set[int], environment: Mapping[str, str], log: Path
) -> Iterator["subprocess.Popen[str]"]:
    """A process that is spoken to in lines; what it complains of goes to the log."""
    with log.open("a") as complaints:
        process = subprocess.Popen(
            command, env=os.environ | environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints,
            preexec_fn=lambda: os.sched_setaffinity(0, on),
        )  # fmt: skip
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def say(process: "subprocess.Popen[str]", line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()


def hear(process: "subprocess.Popen[str]") -> str:
    """The next line. Raises RuntimeError when the process has ended instead."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"{process.args} ended with {process.wait()}")
    return line.strip()


def wait_for_port(port: int, process: "subprocess.Popen[str]") -> None:
    """Until somebody listens there. Raises RuntimeError when the process ends, TimeoutError when it takes too long."""
    until = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    if process.poll() is not None:
        raise RuntimeError(f"{process.args} ended with {process.returncode}")
    raise TimeoutError(f"{process.args} does not listen on {port}")


def cpu_s(pid: int) -> float:
    """User and system time of all threads of the process so far, as /proc/<pid>/stat has it but in nanoseconds."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def rss_bytes(pid: int) -> int:
    """Memory of the process that is not swapped out."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
