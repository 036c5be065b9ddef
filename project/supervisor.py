"""Run several programs as one: prefixed output, restarts with backoff, and an orderly end."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TextIO

RESTART_DELAYS_S = (0.5, 1.0, 2.0, 5.0, 15.0, 30.0)
# Who has run for so long has started well: its next crash is its first.
SETTLED_S = 60.0
STOP_TIMEOUT_S = 20.0
LAST_WORDS_S = 1.0
LINE_MAX_BYTES = 64 * 1024
COLOURS = (36, 32, 33, 35, 34, 96, 92, 93, 95, 94)
FAULT_COLOUR = 31


@dataclass(frozen=True, slots=True)
class Program:
    """What to run. stop_timeout_s: how long it may take to end after SIGTERM before it is killed."""

    name: str
    command: Sequence[str]
    stop_timeout_s: float = STOP_TIMEOUT_S
    environment: dict[str, str] = field(default_factory=dict)


class Printer:
    """Lines from many mouths on one stream: `web        | Listening`."""

    def __init__(self, stream: TextIO, names: Sequence[str], coloured: bool | None = None) -> None:
        self.stream = stream
        self.width = max(map(len, names), default=0)
        self.colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(names)}
        self.coloured = _wants_colour(stream) if coloured is None else coloured
        self.gone = False  # nobody reads any more, as after `make run | head`

    def line(self, name: str, text: str, colour: int | None = None) -> None:
        prefix = f"{name:{self.width}} |"
        if self.coloured:
            prefix = f"\033[{colour or self.colours.get(name, 37)}m{prefix}\033[0m"
        self.write(f"{prefix} {text}")

    def write(self, text: str) -> None:
        try:
            self.stream.write(f"{text}\n")
            self.stream.flush()
        except (BrokenPipeError, ValueError):
            self.gone = True


def _wants_colour(stream: TextIO) -> bool:
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or stream.isatty()


def restart_delays() -> Iterator[float]:
    """0.5, 1, 2, 5, 15, 30, 30, … seconds."""
    yield from RESTART_DELAYS_S
    while True:
        yield RESTART_DELAYS_S[-1]


class Supervisor:
    """Keeps programs running until it is told to stop.

    stages: groups in the order they are *stopped*; all start together. Within a group they end side by side.
    """

    def __init__(self, stages: Sequence[Sequence[Program]], printer: Printer) -> None:
        self.stages, self.printer = stages, printer
        self.processes: dict[str, asyncio.subprocess.Process] = {}
        self.stopping = asyncio.Event()

    async def run(self, beside: Callable[[], Awaitable[None]] | None = None) -> None:
        """Run until `stop()`, then end every program. `beside` runs with them and is cancelled at the end."""
        programs = [program for stage in self.stages for program in stage]
        tending = {program.name: asyncio.create_task(self._tend(program)) for program in programs}
        extra = asyncio.ensure_future(beside()) if beside else None
        await self.stopping.wait()
        if extra:
            extra.cancel()
            await asyncio.wait([extra])
        for stage in self.stages:
            await asyncio.gather(*(self._end(program, tending[program.name]) for program in stage))

    def stop(self) -> None:
        self.stopping.set()

    async def _tend(self, program: Program) -> None:
        delays = restart_delays()
        while not self.stopping.is_set():
            started_at = time.monotonic()
            outcome = await self._run_once(program)
            if self.stopping.is_set():
                return
            if time.monotonic() - started_at > SETTLED_S:
                delays = restart_delays()
            delay_s = next(delays)
            self.printer.line(program.name, f"{outcome}; it starts again in {delay_s:g} s", FAULT_COLOUR)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.stopping.wait(), delay_s)

    async def _run_once(self, program: Program) -> str:
        try:
            process = await self._start(program)
        except OSError as error:
            return f"cannot be started: {error}"
        self.processes[program.name] = process
        speaking = asyncio.create_task(self._repeat(program.name, process))
        code = await process.wait()
        # What it left behind may hold the pipe open; the last words have had their time.
        await asyncio.wait([speaking], timeout=LAST_WORDS_S)
        self._signal_group(program.name, signal.SIGKILL)
        speaking.cancel()
        return describe_exit(code)

    async def _repeat(self, name: str, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in lines(process.stdout):
            self.printer.line(name, line)
            if self.printer.gone:
                self.stop()

    async def _start(self, program: Program) -> asyncio.subprocess.Process:
        # A session of its own: Ctrl-C in the terminal reaches us alone, and we stop the programs in order.
        return await asyncio.create_subprocess_exec(
            *program.command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **program.environment},
            start_new_session=True,
        )

    async def _end(self, program: Program, tending: "asyncio.Task[None]") -> None:
        self._signal(program.name, signal.SIGTERM)
        _, unfinished = await asyncio.wait([tending], timeout=program.stop_timeout_s)
        if unfinished:
            self.printer.line(program.name, f"did not end in {program.stop_timeout_s:g} s: killed", FAULT_COLOUR)
            self._signal_group(program.name, signal.SIGKILL)
            await asyncio.wait([tending], timeout=program.stop_timeout_s)

    def _signal(self, name: str, sign: signal.Signals) -> None:
        process = self.processes.get(name)
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(sign)

    def _signal_group(self, name: str, sign: signal.Signals) -> None:
        """Its children too: one of them may hold the pipe open."""
        if name in self.processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.processes[name].pid, sign)


async def lines(reader: asyncio.StreamReader) -> AsyncIterator[str]:
    """Its lines without their ends; one of more than LINE_MAX_BYTES comes in pieces."""
    waiting = b""
    while part := await reader.read(LINE_MAX_BYTES):
        *whole, waiting = (waiting + part).split(b"\n")
        for line in whole:
            yield line.decode(errors="replace").rstrip("\r")
        if len(waiting) > LINE_MAX_BYTES:
            yield waiting.decode(errors="replace")
            waiting = b""
    if waiting:
        yield waiting.decode(errors="replace")


def describe_exit(code: int) -> str:
    """`exit code 1`, or the signal that ended it."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
