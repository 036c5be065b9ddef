"""The supervisor: what it prints, how it restarts, in which order it ends."""

import asyncio
import io
import itertools
import os
import sys
import time

import pytest

from project import supervisor
from project.localservices import alive
from project.supervisor import Printer, Program, Supervisor, describe_exit, restart_delays

# Says that it has started, and its end when SIGTERM comes.
POLITE = (
    "import signal, sys\n"
    "def end(*_): print('goodbye', flush=True); sys.exit(0)\n"
    "signal.signal(signal.SIGTERM, end)\n"
    "print('hello', flush=True)\n"
    "signal.pause()\n"
)
STUBBORN = POLITE.replace(
    "def end(*_): print('goodbye', flush=True); sys.exit(0)", "def end(*_): print('no', flush=True)"
)
STUBBORN += "while True: signal.pause()\n"


def python(name: str, code: str, stop_timeout_s: float = 10.0) -> Program:
    return Program(name, [sys.executable, "-c", code], stop_timeout_s)


class Spoken:
    """A supervisor with what it prints."""

    def __init__(self, *stages: list[Program]) -> None:
        self.stream = io.StringIO()
        names = [program.name for stage in stages for program in stage]
        self.supervisor = Supervisor(stages, Printer(self.stream, names, coloured=False))

    @property
    def lines(self) -> list[str]:
        return self.stream.getvalue().splitlines()

    def count(self, line: str) -> int:
        return self.lines.count(line)

    async def says(self, line: str, times: int = 1, timeout_s: float = 20.0) -> None:
        async with asyncio.timeout(timeout_s):
            while self.count(line) < times:
                await asyncio.sleep(0.01)

    async def run_until(self, *lines: str) -> None:
        """Run, wait for the lines, stop."""
        running = asyncio.create_task(self.supervisor.run())
        for line in lines:
            await self.says(line)
        self.supervisor.stop()
        await asyncio.wait_for(running, 30)


async def test_lines_carry_the_name_of_who_said_them():
    spoken = Spoken([python("web", POLITE), python("residents", POLITE)])
    await spoken.run_until("web       | hello", "residents | hello")
    assert spoken.count("web       | goodbye") == 1


async def test_stages_end_one_after_the_other():
    spoken = Spoken([python("beat", POLITE)], [python("web", POLITE)], [python("worker", POLITE)])
    await spoken.run_until("beat   | hello", "web    | hello", "worker | hello")
    assert [line for line in spoken.lines if "goodbye" in line] == [
        "beat   | goodbye",
        "web    | goodbye",
        "worker | goodbye",
    ]


async def test_one_that_crashes_starts_again_after_a_pause(monkeypatch):
    monkeypatch.setattr(supervisor, "RESTART_DELAYS_S", (0.01, 0.02))
    spoken = Spoken([python("web", "print('up', flush=True); raise SystemExit(3)")])
    running = asyncio.create_task(spoken.supervisor.run())
    await spoken.says("web | up", times=3)
    spoken.supervisor.stop()
    await asyncio.wait_for(running, 20)
    assert "web | ended with exit code 3; it starts again in 0.01 s" in spoken.lines
    assert "web | ended with exit code 3; it starts again in 0.02 s" in spoken.lines


async def test_a_killed_one_is_replaced_by_another_process(monkeypatch):
    monkeypatch.setattr(supervisor, "RESTART_DELAYS_S", (0.01,))
    spoken = Spoken([python("web", POLITE)])
    running = asyncio.create_task(spoken.supervisor.run())
    await spoken.says("web | hello")
    first = spoken.supervisor.processes["web"].pid
    os.kill(first, 9)
    await spoken.says("web | hello", times=2)
    assert spoken.supervisor.processes["web"].pid != first
    spoken.supervisor.stop()
    await asyncio.wait_for(running, 20)
    assert any("was ended by SIGKILL" in line for line in spoken.lines)


async def test_one_that_does_not_end_in_time_is_killed_and_so_said():
    spoken = Spoken([python("web", STUBBORN, stop_timeout_s=0.3)])
    await spoken.run_until("web | hello")
    assert "web | did not end in 0.3 s: killed" in spoken.lines
    assert spoken.supervisor.processes["web"].returncode == -9


async def test_a_grandchild_that_holds_the_pipe_ends_too(monkeypatch):
    monkeypatch.setattr(supervisor, "LAST_WORDS_S", 0.1)
    code = (
        "import subprocess, sys\nchild = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)\n"
    )
    spoken = Spoken([python("web", code + "print(child.pid, flush=True); raise SystemExit(0)")])
    running = asyncio.create_task(spoken.supervisor.run())
    await spoken.says("web | ended with exit code 0; it starts again in 0.5 s")
    spoken.supervisor.stop()
    await asyncio.wait_for(running, 20)
    grandchild = int(spoken.lines[0].removeprefix("web | "))
    deadline = time.monotonic() + 10
    while alive(grandchild):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_a_program_that_is_not_there_does_not_stop_the_others(monkeypatch):
    monkeypatch.setattr(supervisor, "RESTART_DELAYS_S", (60,))
    spoken = Spoken([Program("gone", ["/nowhere/at/all"]), python("web", POLITE)])
    await spoken.run_until("web  | hello")
    assert any(line.startswith("gone | cannot be started: ") for line in spoken.lines)


async def test_an_overlong_line_comes_in_pieces():
    reader = asyncio.StreamReader()
    reader.feed_data(b"a" * (supervisor.LINE_MAX_BYTES + 1) + b"\nshort\r\nrest")
    reader.feed_eof()
    found = [line async for line in supervisor.lines(reader)]
    assert "".join(found[:-2]) == "a" * (supervisor.LINE_MAX_BYTES + 1)
    assert found[-2:] == ["short", "rest"]


def test_the_delays_grow_to_a_bound():
    assert list(itertools.islice(restart_delays(), 8)) == [0.5, 1.0, 2.0, 5.0, 15.0, 30.0, 30.0, 30.0]


@pytest.mark.parametrize(
    ("code", "words"), [(0, "ended with exit code 0"), (-15, "was ended by SIGTERM"), (-99, "was ended by signal 99")]
)
def test_an_exit_is_described(code, words):
    assert describe_exit(code) == words


def test_colours_are_for_terminals_and_can_be_refused(monkeypatch):
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    assert not Printer(io.StringIO(), ["web"]).coloured
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert Printer(io.StringIO(), ["web"]).coloured
    monkeypatch.setenv("NO_COLOR", "1")
    assert not Printer(io.StringIO(), ["web"]).coloured


class Deserted(io.StringIO):
    """A pipe whose reader has gone."""

    def flush(self) -> None:
        raise BrokenPipeError


async def test_nobody_reading_any_more_ends_everything():
    deserted = Supervisor([[python("web", POLITE)]], Printer(Deserted(), ["web"]))
    await asyncio.wait_for(deserted.run(), 20)
    assert deserted.processes["web"].returncode == 0
