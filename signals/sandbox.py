"""A strategy file in a process of its own, asked over pipes, with an end to everything it may do.

What it raises, prints, leaks or does for ever concerns that process alone: past its limits it is killed, with whatever
it started, and the next question gets a new one. See `sandbox_child.py` for the other end.
"""

import contextlib
import math
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import numpy as np

from signals.candles import COLUMNS, Candles
from signals.sandbox_child import (
    LENGTH,
    Check,
    Checked,
    Columns,
    Described,
    Evaluate,
    Failed,
    Load,
    Loaded,
    Made,
    Make,
    Request,
    Said,
)
from signals.strategies.check import unsound
from signals.strategies.strategy import Advice

# The packages that the child imports lie beside this one.
HOME: Final = Path(__file__).resolve().parent.parent
CHILD: Final = Path(__file__).with_name("sandbox_child.py")
ANSWER_MAX_BYTES: Final = 256 * 1024
REASON_MAX: Final = 200

_Answer = TypeVar("_Answer", Loaded, Made, Said, Checked)


class Limits(msgspec.Struct, frozen=True):
    """load_s: of running the file, its process's start included; check_s: of the whole check; call_s: of one question.
    Each both by the clock and of CPU."""

    call_s: float
    load_s: float
    check_s: float
    memory_max_bytes: int


class Misbehaved(Exception):
    """The file did what it may not, or gave what it should not. Its text is a sentence for the file's author."""


class Stopped(Misbehaved):
    """It did not come back by itself, and was killed, or ended its process."""


class Sandbox:
    """One file's process. It starts when first asked, and anew after it was killed. Safe to ask from several threads:
    one after the other."""

    def __init__(self, source: bytes, limits: Limits) -> None:
        self.source, self.limits = source, limits
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._described: Described | None = None

    def describe(self) -> Described:
        """The strategy in it. Raises Misbehaved."""
        with self._lock:
            self._ready()
            assert self._described is not None
            return self._described

    def warmup(self, parameters: Mapping[str, float]) -> int:
        """Bars that it needs with these parameters. Raises Misbehaved."""
        limit_s = self.limits.call_s
        return self._ask(Make(dict(parameters), _whole(limit_s)), Made, limit_s).warmup

    def check(self, candles: Candles) -> Checked:
        """What the test kit finds. Raises Misbehaved."""
        limit_s = self.limits.check_s
        return self._ask(Check(_columns(candles), _whole(limit_s)), Checked, limit_s)

    def evaluate(self, parameters: Mapping[str, float], candles: Candles) -> Advice | None:
        """Sound advice, or none. Raises Misbehaved."""
        limit_s = self.limits.call_s
        request = Evaluate(dict(parameters), _columns(candles), _whole(limit_s))
        told = self._ask(request, Said, limit_s).advice
        if told is None:
            return None
        try:
            advice = msgspec.convert(told, Advice)
        except msgspec.ValidationError as error:
            raise Misbehaved(f"Its advice is none: {error}.") from error
        if wrong := unsound(advice, candles):
            raise Misbehaved(" ".join(wrong))
        return msgspec.structs.replace(advice, reason=advice.reason.replace("\0", "")[:REASON_MAX])

    def close(self) -> None:
        """End its process."""
        with self._lock:
            self._kill()

    def _ask(self, request: Request, kind: type[_Answer], limit_s: float) -> _Answer:
        with self._lock:
            self._ready()
            return self._call(request, kind, limit_s)

    def _ready(self) -> None:
        """A process that has loaded the file."""
        if self._process is not None:
            return
        self._process = _start(self.limits.memory_max_bytes)
        request = Load(self.source, _whole(self.limits.load_s))
        try:
            self._described = self._call(request, Loaded, self.limits.load_s).strategy
        except Misbehaved:
            self._kill()
            raise

    def _call(self, request: Request, kind: type[_Answer], limit_s: float) -> _Answer:
        """One question, one answer. A process that failed to give one is killed."""
        assert self._process is not None
        deadline = time.monotonic() + limit_s
        try:
            packed = msgspec.msgpack.encode(request)
            _send(self._process, LENGTH.pack(len(packed)) + packed, deadline)
            answer = msgspec.msgpack.decode(_receive(self._process, deadline), type=kind | Failed)
        except _TooLate as late:
            self._kill()
            raise Stopped(f"It took longer than {limit_s:g} s, and was stopped.") from late
        except _Gone as gone:
            # Its pipe is closed a moment before it has ended.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(1)
            raise Stopped(_last_words(self._kill())) from gone
        except (msgspec.DecodeError, _TooLong) as error:
            self._kill()
            raise Stopped("It wrote something else than an answer to us, and was stopped.") from error
        if isinstance(answer, Failed):
            raise Misbehaved(answer.message)
        return answer

    def _kill(self) -> int | None:
        """End the process and whatever it started. Returns how it had ended by itself; None where it had not."""
        process, self._process = self._process, None
        if process is None:
            return None
        status = process.poll()
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # all of them are gone
        process.wait()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            pipe.close()
        return status


def _whole(seconds: float) -> int:
    """CPU time is limited by the second."""
    return max(1, math.ceil(seconds))


class _TooLate(Exception):
    """The time is over."""


class _Gone(Exception):
    """The process has closed its end."""


class _TooLong(Exception):
    """An answer of more than ANSWER_MAX_BYTES."""


def _start(memory_max_bytes: int) -> subprocess.Popen[bytes]:
    """With nothing of ours: no environment, no open file or connection, and in a session that can be killed as one."""
    process = subprocess.Popen(
        [sys.executable, "-I", "-B", str(CHILD), str(HOME), str(memory_max_bytes)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0,
        env={"LANG": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        cwd="/", start_new_session=True,
    )  # fmt: skip
    assert process.stdin is not None
    os.set_blocking(process.stdin.fileno(), False)
    return process


def _send(process: subprocess.Popen[bytes], data: bytes, deadline: float) -> None:
    assert process.stdin is not None
    place, view = process.stdin.fileno(), memoryview(data)
    while view:
        _wait_for(place, select.POLLOUT, deadline)
        try:
            view = view[os.write(place, view) :]
        except BlockingIOError:
            continue  # less room than a page
        except BrokenPipeError as error:
            raise _Gone from error


def _receive(process: subprocess.Popen[bytes], deadline: float) -> bytes:
    assert process.stdout is not None
    place = process.stdout.fileno()
    length = LENGTH.unpack(_read(place, LENGTH.size, deadline))[0]
    if length > ANSWER_MAX_BYTES:
        raise _TooLong
    return _read(place, length, deadline)


def _read(place: int, count: int, deadline: float) -> bytes:
    parts = bytearray()
    while len(parts) < count:
        _wait_for(place, select.POLLIN, deadline)
        part = os.read(place, count - len(parts))
        if not part:
            raise _Gone
        parts += part
    return bytes(parts)


def _wait_for(place: int, event: int, deadline: float) -> None:
    """Until it can be read or written, or was closed."""
    poll = select.poll()
    poll.register(place, event)
    left_s = deadline - time.monotonic()
    if left_s <= 0 or not poll.poll(left_s * 1000):
        raise _TooLate


def _last_words(status: int | None) -> str:
    if status is None:
        return "It closed its connection to us, and was stopped."
    if status == -signal.SIGXCPU:
        return "It used more CPU time than it may, and was stopped."
    if status < 0:
        return f"Its process was ended by signal {-status} ({signal.Signals(-status).name})."
    return f"It ended its own process (exit code {status})."


def _columns(candles: Candles) -> Columns:
    arrays = [candles.time_us, *(getattr(candles, name) for name in COLUMNS), candles.session]
    kinds: list[Any] = [np.int64, *[np.float64] * len(COLUMNS), np.int64]
    return Columns(
        candles.step_us,
        [np.ascontiguousarray(array, kind).tobytes() for array, kind in zip(arrays, kinds, strict=True)],
    )
