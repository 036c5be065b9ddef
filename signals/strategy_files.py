"""Strategies that somebody dropped into STRATEGY_DIR: found, looked at, and asked in their sandboxes.

One task looks at what is new or has changed, and leaves a row for each file (`StrategyFile`). Everyone else reads the
rows: only whoever asks a strategy about candles runs its file. A file that does not keep the rules is refused, one that
fails again and again is switched off, and neither concerns any other strategy.
"""

import hashlib
import logging
import os
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
from django.conf import settings
from django.db import connection
from django.db.models import F
from django.utils import timezone

from ingestion import store
from ingestion.candles import MINUTE_US
from ingestion.models import Instrument
from ingestion.providers.simulated import Simulation
from ingestion.symbols import UnknownSymbol, resolve
from signals.candles import Candles
from signals.models import StrategyFile
from signals.sandbox import Limits, Misbehaved, Sandbox, Stopped
from signals.sandbox_child import Described
from signals.strategies import KINDS, InvalidParameters, Strategy, UnknownStrategy, checked
from signals.strategies.strategy import Advice

logger = logging.getLogger(__name__)

NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
# The same made-up market for everybody: where no history is stored, a file is checked on it.
SIMULATED_FROM: Final = datetime(2026, 1, 5, tzinfo=UTC)
_HISTORY_INTERVALS: Final = ("1h", "1m")


class Look(msgspec.Struct, frozen=True):
    """What came of looking at a file."""

    status: str
    message: str
    strategies: list[Described] = []

    @property
    def is_good(self) -> bool:
        return self.status == StrategyFile.Status.OK


class Market(msgspec.Struct, frozen=True):
    """Bars to check a file on. name: what they are, for its author."""

    name: str
    candles: Candles


# --- Looking at files -------------------------------------------------------------------------------------------


def refresh(now: datetime) -> list[StrategyFile]:
    """Look at each file that is new or has changed since its last look, and forget those that are gone. Re-running
    changes nothing; while another does so, nothing is done. Returns those that were looked at."""
    with _alone() as is_alone:
        return _refresh(now) if is_alone else []


@contextmanager
def _alone() -> Iterator[bool]:
    """Looking takes a while: whoever comes meanwhile leaves it to the first. The lock ends with its connection."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(hashtext('signals.strategy_files'))")
        is_alone = bool(cursor.fetchone()[0])
        try:
            yield is_alone
        finally:
            if is_alone:
                cursor.execute("SELECT pg_advisory_unlock(hashtext('signals.strategy_files'))")


def _refresh(now: datetime) -> list[StrategyFile]:
    rows = {row.path: row for row in StrategyFile.objects.all()}
    paths = _paths()
    StrategyFile.objects.exclude(path__in=[path.name for path in paths]).delete()
    return [row for path in paths if (row := _refreshed(path, rows.get(path.name), now))]


def _paths() -> list[Path]:
    """The files, by name; a folder that is not there has none. What begins with `_` or `.` is nobody's strategy."""
    try:
        found = sorted(path for path in Path(settings.STRATEGY_DIR).glob("[!_.]*.py") if path.is_file())
    except OSError as error:
        logger.warning("STRATEGY_DIR cannot be read: %s", error)
        return []
    if len(found) > settings.STRATEGY_FILES_MAX:
        logger.warning("of %s strategy files the first %s are taken", len(found), settings.STRATEGY_FILES_MAX)
    return [path for path in found[: settings.STRATEGY_FILES_MAX] if len(path.name) <= 200 and path.name.isprintable()]


def _refreshed(path: Path, row: StrategyFile | None, now: datetime) -> StrategyFile | None:
    try:
        source = read(path)
        digest = digest_of(source)
        if row is not None and row.digest == digest:
            return None
        look = look_at(source, taken=_names_of_others(path.name))
    except Misbehaved as unreadable:
        digest, look = "unreadable", Look(StrategyFile.Status.REFUSED, str(unreadable))
        if row is not None and row.digest == digest and row.message == look.message:
            return None
    found, _ = StrategyFile.objects.update_or_create(
        path=path.name,
        defaults={
            "digest": digest, "status": look.status, "message": look.message.replace("\0", ""), "failures": 0,
            "failed_at": None, "checked_at": now, "strategies": msgspec.to_builtins(look.strategies),
        },
    )  # fmt: skip
    logger.info("strategy file %s: %s. %s", path.name, look.status, look.message)
    return found


def read(path: Path) -> bytes:
    """The file. Raises Misbehaved where it can't be read, or is too long."""
    try:
        with path.open("rb") as file:
            source = file.read(settings.STRATEGY_FILE_MAX_BYTES + 1)
    except OSError as error:
        raise Misbehaved(f"It cannot be read: {error.strerror}.") from error
    if len(source) > settings.STRATEGY_FILE_MAX_BYTES:
        raise Misbehaved(f"It is longer than {settings.STRATEGY_FILE_MAX_BYTES} bytes.")
    return source


def digest_of(source: bytes) -> str:
    return hashlib.sha256(source).hexdigest()


def look_at(source: bytes, market: Market | None = None, taken: Mapping[str, str] | None = None) -> Look:
    """Run the file in a sandbox and check its strategy by the kit, on these bars or else on what is stored.

    taken: names that are others', and whose.
    """
    sandbox = Sandbox(source, limits())
    try:
        described = sandbox.describe()
        _refuse_misnamed(described, taken or {})
        market = market or market_for(described.warmup)
        found = sandbox.check(market.candles)
    except Misbehaved as error:
        return Look(StrategyFile.Status.REFUSED, str(error))
    finally:
        sandbox.close()
    on = f"{len(market.candles)} bars of {market.name}"
    if found.problems:
        return Look(StrategyFile.Status.REFUSED, f"{' '.join(found.problems)} (Checked on {on}.)")
    return Look(StrategyFile.Status.OK, f"Checked on {on}: it spoke at {found.spoke} of them.", [described])


def _refuse_misnamed(described: Described, taken: Mapping[str, str]) -> None:
    if not NAME.fullmatch(described.name):
        raise Misbehaved(
            "Its `name` is made of small letters, digits and _, begins with a letter, and is at most 64 long."
        )
    if described.name in KINDS:
        raise Misbehaved(f"“{described.name}” is the name of one of the strategies that come with Tapehouse.")
    if described.name in taken:
        raise Misbehaved(f"“{described.name}” is the name of the strategy in {taken[described.name]}.")
    if wrong := _unusable(described.warmup):
        raise Misbehaved(wrong)


def _unusable(warmup: int) -> str:
    most = settings.STRATEGY_WARMUP_MAX_BARS
    return "" if 1 <= warmup <= most else f"Its `warmup` is {warmup}: it lies between 1 and {most}."


def _names_of_others(path: str) -> dict[str, str]:
    others = StrategyFile.objects.exclude(path=path)
    return {described.name: row.path for row in others for described in _described(row)}


def _described(row: StrategyFile) -> list[Described]:
    return msgspec.convert(row.strategies, list[Described])


def limits() -> Limits:
    return Limits(
        call_s=settings.STRATEGY_CALL_TIMEOUT_S,
        load_s=settings.STRATEGY_LOAD_TIMEOUT_S,
        check_s=settings.STRATEGY_CHECK_TIMEOUT_S,
        memory_max_bytes=settings.STRATEGY_MEMORY_MAX_MIB * 1024 * 1024,
    )


def market_for(warmup: int) -> Market:
    """Stored bars of an instrument that has enough of them, else made-up ones."""
    count = warmup + settings.STRATEGY_CHECK_BARS
    for instrument in _known_best():
        for interval in _HISTORY_INTERVALS:
            bars = [bar for bar in store.candles(instrument.id, interval, limit=count + 1) if bar.final]
            if len(bars) >= count:
                return Market(f"{instrument.symbol} ({interval})", Candles.of(bars[-count:], interval))
    return simulated(count)


def simulated(count: int) -> Market:
    """So many minutes of a made-up market, always the same."""
    start_us = store.to_us(SIMULATED_FROM)
    bars = Simulation(1, ["BTC-USDT"], 1.0).candles("BTC-USDT", start_us, start_us + count * MINUTE_US)
    return Market("a simulated market (1m)", Candles.of(bars, "1m"))


def _known_best() -> Iterator[Instrument]:
    """A few of those that the installation follows."""
    for symbol in settings.SYMBOLS[:5]:
        try:
            yield resolve(symbol)
        except UnknownSymbol:
            continue
    if not settings.SYMBOLS:
        yield from Instrument.objects.filter(followed=True).order_by("id")[:5]


# --- Asking them ------------------------------------------------------------------------------------------------


class FileStrategy:
    """The strategy of a file, with its parameters, as one of ours: asked in its sandbox.

    Where it can't be asked, or gives nonsense, it raises Misbehaved, having noted it on the file's row: that is not the
    same as having nothing to say.
    """

    def __init__(self, path: str, digest: str, failures: int, described: Described) -> None:
        self.path, self.digest, self.described = path, digest, described
        self.parameters: dict[str, float] = {}
        self.name, self.warmup = described.name, described.warmup
        self._failures, self._off = failures, ""

    @property
    def defaults(self) -> dict[str, float]:
        return {name: parameter.default for name, parameter in self.described.parameters.items()}

    def with_parameters(self, parameters: Mapping[str, Any]) -> "FileStrategy":
        """The same with these. Raises InvalidParameters."""
        whole = {name: parameter.whole for name, parameter in self.described.parameters.items()}
        given = checked(self.name, whole, parameters)
        other = FileStrategy(self.path, self.digest, self._failures, self.described)
        other.parameters = {name: value for name, value in given.items() if value != self.defaults[name]}
        if other.parameters:
            other.warmup = other._warmup_of_parameters()
        return other

    def evaluate(self, candles: Candles) -> Advice | None:
        """What it says of the last bar. Raises Misbehaved."""
        if self._off:
            raise Misbehaved(self._off)
        if len(candles) < self.warmup:
            return None
        sandbox = self._sandbox()
        try:
            with _spending(self.path):
                advice = sandbox.evaluate(self.parameters, candles.last(self.warmup))
        except Misbehaved as error:
            self._note(str(error))
            raise
        if self._failures:
            self._failures = 0
            self._row.update(failures=0)
        return advice

    def _sandbox(self) -> Sandbox:
        sandbox = _sandbox(self.path, self.digest)
        if sandbox is None:
            raise Misbehaved("The file has changed, and is being looked at.")
        return sandbox

    def _warmup_of_parameters(self) -> int:
        key = (self.path, self.digest, tuple(sorted(self.parameters.items())))
        if key not in _warmups:
            try:
                warmup = self._sandbox().warmup(self.parameters)
            except Stopped as error:
                self._note(str(error))
                raise InvalidParameters(str(error)) from error
            except Misbehaved as error:
                raise InvalidParameters(str(error)) from error
            if wrong := _unusable(warmup):
                raise InvalidParameters(wrong)
            if len(_warmups) >= _WARMUPS_MAX:
                _warmups.clear()
            _warmups[key] = warmup
        return _warmups[key]

    @property
    def _row(self) -> Any:
        """Of this very content: what has changed meanwhile starts anew."""
        return StrategyFile.objects.filter(path=self.path, digest=self.digest, status=StrategyFile.Status.OK)

    def _note(self, message: str) -> None:
        logger.warning("strategy file %s failed: %s", self.path, message)
        message, most = message.replace("\0", ""), settings.STRATEGY_FAILURES_MAX
        self._failures += 1
        self._row.update(failures=F("failures") + 1, message=message, failed_at=timezone.now())
        off = f"Switched off after {most} failures in a row, until the file changes. The last: {message}"
        failing = self._row.filter(failures__gte=most)
        if failing.update(status=StrategyFile.Status.FAILING, message=off) or not self._row.exists():
            self._off = off


def available() -> dict[str, Strategy]:
    """The strategies in files that keep the rules, by name, with their own parameters. One query; runs nothing."""
    return dict[str, Strategy](_available())


def defaults(name: str) -> dict[str, float]:
    """The parameters of one, with what they are unless one says otherwise. Raises UnknownStrategy."""
    return _called(name).defaults


def make(name: str, parameters: Mapping[str, Any]) -> Strategy:
    """One with these parameters, the others as they are by default. Raises UnknownStrategy, InvalidParameters."""
    return _called(name).with_parameters(parameters)


def _available() -> dict[str, FileStrategy]:
    rows = StrategyFile.objects.filter(status=StrategyFile.Status.OK)
    return {
        described.name: FileStrategy(row.path, row.digest, row.failures, described)
        for row in rows
        for described in _described(row)
    }


def _called(name: str) -> FileStrategy:
    found = _available()
    if name not in found:
        raise UnknownStrategy(f"There is no strategy file with “{name}”.")
    return found[name]


# --- Sandboxes of this process ----------------------------------------------------------------------------------

_lock = threading.Lock()
_running: OrderedDict[tuple[str, str], Sandbox] = OrderedDict()
_warmups: dict[tuple[str, str, tuple[tuple[str, float], ...]], int] = {}
_WARMUPS_MAX: Final = 10_000
# By file: when its minute began, and the seconds that it has taken since.
_spent: dict[str, tuple[float, float]] = {}
MINUTE_S: Final = 60.0


def _sandbox(path: str, digest: str) -> Sandbox | None:
    """The one of a file with this content; none where the file has changed since it was looked at."""
    with _lock:
        found = _running.get((path, digest))
        if found is None:
            source = read(Path(settings.STRATEGY_DIR) / path)
            if digest_of(source) != digest:
                return None
            found = _running[path, digest] = Sandbox(source, limits())
        _running.move_to_end((path, digest))
        surplus = [key for key in _running if key[0] == path and key[1] != digest]
        surplus += list(_running)[: max(0, len(_running) - len(surplus) - settings.STRATEGY_PROCESSES_MAX)]
        closing = [_running.pop(key) for key in dict.fromkeys(surplus)]
    for sandbox in closing:
        sandbox.close()
    return found


@contextmanager
def _spending(path: str) -> Iterator[None]:
    """A file's share of a minute: one that is slow each time keeps the others waiting as well."""
    begun = time.monotonic()
    since, spent_s = _spent.get(path, (begun, 0.0))
    if begun - since >= MINUTE_S:
        since, spent_s = begun, 0.0
    if spent_s >= (most := settings.STRATEGY_BUDGET_S_PER_MINUTE):
        raise Misbehaved(f"It has used up its {most:g} s of this minute.")
    try:
        yield
    finally:
        _spent[path] = since, spent_s + time.monotonic() - begun


def close() -> None:
    """End the sandboxes of this process."""
    with _lock:
        closing = list(_running.values())
        _running.clear()
    _spent.clear()
    for sandbox in closing:
        sandbox.close()


def _forget() -> None:
    """A forked worker starts its own: two that write to one pipe would get each other's answers."""
    global _lock
    _lock = threading.Lock()
    _running.clear()


os.register_at_fork(after_in_child=_forget)
