"""The process that a strategy file runs in: it locks itself in, then answers what its parent asks over two pipes.

Started by `sandbox.py` with no environment, in a session of its own. It takes no file but those of the interpreter and
of our own packages, writes none, opens no socket and starts no process; how long and how large it may get its parent
and the kernel see to. That holds against accidents. It is no wall against somebody who wants out (docs/signals.md).

A message is its length (4 bytes, big-endian) and MessagePack.
"""

import contextlib
import dataclasses
import math
import os
import resource
import struct
import sys
import time
import types
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

LENGTH: Final = struct.Struct(">I")
# What a strategy has no business with, by the names of Python's audit events.
REFUSED: Final = (
    "os.", "socket.", "subprocess.", "shutil.", "ctypes.", "pty.", "fcntl.", "sqlite3.", "tempfile.", "webbrowser.",
    "ftplib.", "http.", "imaplib.", "nntplib.", "poplib.", "smtplib.", "syslog.", "telnetlib.", "urllib.",
    "signal.pthread_kill",
)  # fmt: skip
# Importing looks into folders.
ALLOWED: Final = frozenset({"os.listdir", "os.scandir"})
WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
PARAMETERS_MAX: Final = 50
# Sets of parameters that are kept made.
MADE_MAX: Final = 1_000
MESSAGE_MAX: Final = 500


class Columns(msgspec.Struct, frozen=True):
    """Candles, each array as its bytes: time_us, open, high, low, close, volume, session."""

    step_us: int
    arrays: list[bytes]


class Load(msgspec.Struct, frozen=True, tag=True):
    """Run the file. Answered by Loaded."""

    source: bytes
    cpu_s: int


class Make(msgspec.Struct, frozen=True, tag=True):
    """How many bars does it need with these parameters? Answered by Made."""

    parameters: dict[str, int | float]
    cpu_s: int


class Evaluate(msgspec.Struct, frozen=True, tag=True):
    """What does it say of these? Answered by Said."""

    parameters: dict[str, int | float]
    columns: Columns
    cpu_s: int


class Check(msgspec.Struct, frozen=True, tag=True):
    """Does it keep the rules on these? Answered by Checked."""

    columns: Columns
    cpu_s: int


Request = Load | Make | Evaluate | Check


class Parameter(msgspec.Struct, frozen=True):
    default: int | float
    whole: bool


class Described(msgspec.Struct, frozen=True):
    """The strategy of a file, as its parameters are by default."""

    name: str
    warmup: int
    summary: str
    parameters: dict[str, Parameter]


class Loaded(msgspec.Struct, frozen=True, tag=True):
    strategy: Described


class Made(msgspec.Struct, frozen=True, tag=True):
    warmup: int


class Said(msgspec.Struct, frozen=True, tag=True):
    """advice: an `Advice` as a mapping, which the parent looks at before it believes it."""

    advice: dict[str, Any] | None


class Checked(msgspec.Struct, frozen=True, tag=True):
    """spoke: at so many of the bars it had something to say."""

    problems: list[str]
    spoke: int


class Failed(msgspec.Struct, frozen=True, tag=True):
    """message: a sentence for the file's author."""

    message: str


class BrokenRule(Exception):
    """What the file is or gives is not what it has to. Its text is for the author."""


# --- Locking in -------------------------------------------------------------------------------------------------


def main() -> None:
    """argv: where our packages lie, and the most memory in bytes."""
    base, memory_max = sys.argv[1], int(sys.argv[2])
    requests, answers = _pipes()
    sys.path.insert(0, base)
    _import_first()
    _limit(memory_max)
    sys.addaudithook(_guard(base))
    serve(requests, answers)


def _pipes() -> tuple[int, int]:
    """The two pipes out of the way of whoever prints, reads or closes the standard ones."""
    requests, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    return requests, answers


def _import_first() -> None:
    """Whatever a strategy of ours needs. TA-Lib would import pandas, which takes longer than all else together."""
    absent = ("pandas", "polars")
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # None: there is no such module
    import talib  # noqa: F401

    for name in absent:
        del sys.modules[name]
    import signals.strategies.check  # noqa: F401


def _limit(memory_max: int) -> None:
    """By the kernel: no bytes in any file, no core, no further process (root's are not counted), so much memory."""
    for what, most in (
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_AS, memory_max),
    ):
        resource.setrlimit(what, (most, most))


def _guard(base: str) -> Callable[[str, tuple[Any, ...]], None]:
    """Refuses what a pure function of candles never does, in the interpreter, with a message."""
    own = tuple(os.path.join(base, package) + os.sep for package in ("signals", "ingestion"))
    python = tuple({os.path.realpath(root) + os.sep for root in (sys.prefix, sys.base_prefix, sys.exec_prefix)})
    readable = (*own, *python, "/usr/share/zoneinfo/")
    secret = os.path.realpath(base) + os.sep

    def may_read(path: object) -> bool:
        if isinstance(path, int):
            return True  # opened before
        real = os.path.realpath(os.fsdecode(path))  # type: ignore[arg-type]
        if real.startswith(secret) and not real.startswith((*own, *(root for root in python if root != secret))):
            return False
        return real.startswith(readable) or real in (os.devnull, "/dev/urandom", "/etc/localtime")

    def guard(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & WRITING:
                raise PermissionError(f"a strategy may not write files ({path!s:.100})")
            if not may_read(path):
                raise PermissionError(f"a strategy may not read files ({path!s:.100})")
        elif event.startswith(REFUSED) and event not in ALLOWED:
            raise PermissionError(f"a strategy may not do this: {event}")

    return guard


# --- Answering --------------------------------------------------------------------------------------------------


def serve(requests: int, answers: int) -> None:
    """Answer until the parent is gone."""
    decoder = msgspec.msgpack.Decoder(Request)
    file = _File()
    while (frame := _read_frame(requests)) is not None:
        packed = _answer(file, decoder.decode(frame))
        _write(answers, LENGTH.pack(len(packed)) + packed)


def _answer(file: "_File", request: Request) -> bytes:
    """Packed: an advice may hold what can't be."""
    used_s = math.ceil(time.process_time())
    resource.setrlimit(resource.RLIMIT_CPU, (used_s + request.cpu_s, resource.RLIM_INFINITY))
    try:
        return msgspec.msgpack.encode(file.answer(request))
    except BrokenRule as broken:
        told = str(broken)
    # SystemExit and KeyboardInterrupt as well: this is not the strategy's process to end.
    except BaseException as error:
        told = _told(error)
    return msgspec.msgpack.encode(Failed(told.encode("utf-8", "replace").decode()[:MESSAGE_MAX]))


def _told(error: BaseException) -> str:
    """Where in the file, and what. An exception's own `__str__` may raise as well."""
    line, at = 0, error.__traceback__
    while at is not None:
        if at.tb_frame.f_code.co_filename == _File.SHOWN:
            line = at.tb_lineno
        at = at.tb_next
    if isinstance(error, SyntaxError) and error.lineno:
        line = error.lineno
    try:
        text = str(error)
    except BaseException:
        text = ""
    place = f" in line {line}" if line else ""
    return f"It raises {type(error).__name__}{place}: {text}"[:MESSAGE_MAX]


def _read_frame(requests: int) -> bytes | None:
    head = _read(requests, LENGTH.size)
    return head and _read(requests, LENGTH.unpack(head)[0])


def _read(requests: int, count: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < count:
        part = os.read(requests, count - len(parts))
        if not part:
            return None
        parts += part
    return bytes(parts)


def _write(answers: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(answers, view) :]


class _File:
    """The file as a module, and its strategy."""

    SHOWN: Final = "<strategy file>"

    def __init__(self) -> None:
        self.kind: Any = None
        self.made: dict[tuple[tuple[str, float], ...], Any] = {}

    def answer(self, request: Request) -> Loaded | Made | Said | Checked:
        match request:
            case Load():
                return Loaded(self.load(request))
            case Make():
                return Made(_warmup(self._strategy(request.parameters)))
            case Evaluate():
                return Said(_plain(self._strategy(request.parameters).evaluate(_candles(request.columns))))
            case Check():
                return self.check(request)

    def load(self, request: Load) -> Described:
        module = types.ModuleType("strategy_file")
        sys.modules[module.__name__] = module  # dataclasses look for their module there
        # The file is the one that is asked for; where it runs is what this process is for.
        exec(compile(request.source, self.SHOWN, "exec"), module.__dict__)  # noqa: S102
        kinds = list(_kinds(module))
        if not kinds:
            raise BrokenRule("It holds no strategy: a class with `name`, `warmup` and `evaluate(candles)`.")
        if len(kinds) > 1:
            names = ", ".join(kind.__name__ for kind in kinds)
            raise BrokenRule(
                f"It holds several strategies: {names}. A file holds one; what else it needs begins with _."
            )
        self.kind = kinds[0]
        return _described(self.kind)

    def check(self, request: Check) -> Checked:
        """What the kit says, of a strategy with its own parameters."""
        from signals.strategies.check import looks_ahead, problems

        strategy, candles = self._strategy({}), _candles(request.columns)
        found = problems(strategy, candles)
        with contextlib.suppress(Exception):  # what it raises was found before
            if looks_ahead(strategy, candles):
                found.insert(0, "It looks ahead: what it says at a bar depends on bars after it.")
        return Checked(found, 0 if found else _spoke(strategy, candles))

    def _strategy(self, parameters: dict[str, int | float]) -> Any:
        key = tuple(sorted(parameters.items()))
        if key not in self.made:
            if len(self.made) >= MADE_MAX:
                self.made.clear()
            self.made[key] = self.kind(**parameters)
        return self.made[key]


def _spoke(strategy: Any, candles: Any) -> int:
    told = (strategy.evaluate(candles.until(length).last(strategy.warmup)) for length in range(1, len(candles) + 1))
    return sum(advice is not None for advice in told)


def _kinds(module: types.ModuleType) -> Iterator[type]:
    for name, value in list(vars(module).items()):
        is_own = isinstance(value, type) and value.__module__ == module.__name__ and not name.startswith("_")
        if is_own and callable(getattr(value, "evaluate", None)):
            yield value


def _described(kind: type) -> Described:
    strategy = kind()
    name = getattr(strategy, "name", None)
    if not isinstance(name, str):
        raise BrokenRule(f"The `name` of {kind.__name__} is no text.")
    summary = (kind.__doc__ or "").replace("\0", "").strip().partition("\n")[0]
    # A dataclass without a docstring has its signature for one.
    summary = "" if summary.startswith(f"{kind.__name__}(") else summary[:200]
    return Described(name, _warmup(strategy), summary, _parameters(kind))


def _warmup(strategy: Any) -> int:
    warmup = strategy.warmup
    if isinstance(warmup, bool) or not isinstance(warmup, int):
        raise BrokenRule("Its `warmup` is no whole number of bars.")
    return warmup


def _parameters(kind: type) -> dict[str, Parameter]:
    """The fields of a dataclass or a msgspec struct, all of them numbers with a default."""
    found: dict[str, Parameter] = {}
    for name, declared, default in _fields(kind):
        if name in ("name", "warmup"):
            continue
        if isinstance(default, bool) or not isinstance(default, int | float) or not math.isfinite(default):
            raise BrokenRule(f"Its parameter `{name}` needs a number as default.")
        found[name[:64]] = Parameter(default, declared in (int, "int"))
    if len(found) > PARAMETERS_MAX:
        raise BrokenRule(f"It has more than {PARAMETERS_MAX} parameters.")
    return found


def _fields(kind: type) -> list[tuple[str, Any, Any]]:
    if dataclasses.is_dataclass(kind):
        return [(field.name, field.type, field.default) for field in dataclasses.fields(kind) if field.init]
    if issubclass(kind, msgspec.Struct):
        return [(field.name, field.type, field.default) for field in msgspec.structs.fields(kind)]
    return []


def _candles(columns: Columns) -> Any:
    """Arrays of the strategy's own: what it does to them concerns nobody else."""
    import numpy as np

    from signals.candles import Candles

    kinds = (np.int64, *[np.float64] * 5, np.int64)
    arrays = [np.frombuffer(data, kind).copy() for data, kind in zip(columns.arrays, kinds, strict=True)]
    return Candles(columns.step_us, *arrays)


def _plain(said: Any) -> dict[str, Any] | None:
    """An advice as a mapping; numbers of numpy as Python's."""
    import numpy as np

    from signals.strategies.strategy import Advice

    if said is None:
        return None
    if not isinstance(said, Advice):
        raise BrokenRule(f"It gives a {type(said).__name__}, and not Advice or None.")
    plain: dict[str, Any] = {}
    for name, value in msgspec.structs.asdict(said).items():
        value = value.item() if isinstance(value, np.generic) else value
        if not isinstance(value, str | int | float | None):
            raise BrokenRule(f"The `{name}` of its advice is a {type(value).__name__}.")
        plain[name] = value[:1_000] if isinstance(value, str) else value
    return plain


if __name__ == "__main__":
    main()
