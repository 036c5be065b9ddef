"""Where ticks come from: a venue's sockets. These only move bytes; the simulated market is in `simulated_feed.py`.

A venue feed never gives up. Its symbols are spread over as many connections as the venue's limit on streams asks for,
each on a `Line` of its own. Once a second it looks which streams spoke: one that used to and is mute far longer than
its own measure, while its market is open, is first subscribed anew; stays it mute, the connection is replaced.
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, Protocol

from django.conf import settings

from ingestion import pacing, status
from ingestion.connection import end
from ingestion.line import Line
from ingestion.pipeline import Pipeline
from ingestion.providers import BOOK, BookRule, Provider
from ingestion.rhythm import Rhythm
from ingestion.status import ConnectionStatus
from worker import metrics

logger = logging.getLogger(__name__)

WATCH_INTERVAL_S: Final = 1.0
# More than this part of a connection's streams mute at once: it is the connection.
MOST_MUTE: Final = 0.5

FRAMES_MISSING: Final = "frames missing"

Key = tuple[str, str]  # kind, symbol


class Feed(Protocol):
    """One source of ticks, run by the listener until it is cancelled."""

    @property
    def state(self) -> str: ...
    @property
    def reconnects(self) -> int: ...
    @property
    def venue_errors(self) -> int: ...

    async def run(self) -> None: ...

    def follow(self, symbols: Sequence[str]) -> None:
        """From now on these, in the venue's spelling."""

    def resubscribe_books(self, symbols: Sequence[str]) -> None:
        """Begin these order books anew."""

    def unheard(self) -> list[str]:
        """Symbols subscribed a while ago that nothing was ever heard of."""

    def mute(self) -> list[str]:
        """Streams that used to speak and do not, such as `trades BTCUSDT`."""

    def refused(self) -> list[str]:
        """Streams that the venue does not give, and symbols that have no room."""

    def connections(self) -> list[ConnectionStatus]: ...


class Owner(Protocol):
    """The listener, as its feed sees it. A line is any hashable mark of one connection's place."""

    async def allowed(self) -> bool:
        """Asked before each connect; false means not now (the lease is lost, or cannot be asked for)."""

    def still_ours(self) -> bool:
        """The same by our own clock, at once."""

    def is_open(self, symbol: str) -> bool:
        """Whether its market trades now."""

    def lost(self, line: object, since_us: int) -> None:
        """Nothing is heard on this line any more, since then."""

    def found(self, line: object) -> None:
        """It is live again."""

    def missed(self, since_us: int, reason: str) -> None:
        """Something is missing between then and now, and it goes on."""


class VenueFeed:
    """A provider's sockets, always there. key: the installation's, for a venue that needs one."""

    def __init__(self, provider: Provider, base_url: str, pipeline: Pipeline, owner: Owner, key: str = "") -> None:
        self.provider, self.pipeline, self._owner = provider, pipeline, owner
        self._base_url, self._key = base_url, key
        self.venue_errors = 0
        self.lines: list[Line] = []
        self.refusals: dict[str, float] = {}
        self._symbols: tuple[str, ...] = ()
        self._left_out: list[str] = []
        self._ended_reconnects = 0
        self._changed = asyncio.Event()
        self._connects = pacing.connects(provider.limits)
        self._names: dict[Key, list[str]] = {}
        self._line_of: dict[str, Line] = {}
        self._rhythm = Rhythm(settings.LISTENER_MUTE_FACTOR, settings.LISTENER_MUTE_MIN_S, settings.LISTENER_MUTE_MAX_S)

    # --- What the listener asks -------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """That of the least advanced connection: as long as one is missing, something is."""
        if self.lacks_key:
            return status.REFUSED
        if not self._symbols:
            return status.IDLE
        states = [line.state for line in self.lines] or [status.CONNECTING]
        return min(states, key=status.ORDER.index)

    @property
    def lacks_key(self) -> bool:
        return self.provider.needs_key and not self._key

    @property
    def reconnects(self) -> int:
        return self._ended_reconnects + sum(line.reconnects for line in self.lines)

    def follow(self, symbols: Sequence[str]) -> None:
        wanted = tuple(sorted(symbols))
        if wanted != self._symbols:
            self._symbols = wanted
            self._changed.set()

    def resubscribe_books(self, symbols: Sequence[str]) -> None:
        for symbol in symbols:
            line = self._line_of.get(symbol)
            if line is not None:
                line.resubscribe(self.provider.streams([symbol], [BOOK]))

    def unheard(self) -> list[str]:
        """Symbols of which no stream ever spoke, the refused ones left out: those are told of anyway."""
        unheard = self._rhythm.unheard(time.monotonic(), settings.LISTENER_UNHEARD_AFTER_S)
        silent: set[Any] = {key for key in unheard if not self._is_refused(key)}
        speaking = {symbol for _, symbol in self._names.keys() - silent if not self._is_refused((_, symbol))}
        return sorted({symbol for _, symbol in silent} - speaking)

    def mute(self) -> list[str]:
        return sorted(" ".join(key) for key in self._rhythm.alarmed() if isinstance(key, tuple))

    def refused(self) -> list[str]:
        return [*sorted(self.refusals), *self._left_out]

    def connections(self) -> list[ConnectionStatus]:
        now = time.monotonic()
        if self.lacks_key:
            return [ConnectionStatus(status.REFUSED, last_error=f"{self.provider.name} needs a key, and none is set")]
        return [line.status(now) for line in self.lines]

    # --- What lines ask and tell ------------------------------------------------------------------------------

    def url(self) -> str:
        return self.provider.url(self._base_url, key=self._key)

    def without_key(self, text: str) -> str:
        """For logs and status."""
        return text.replace(self._key, "…") if self._key else text

    async def turn_to_connect(self) -> None:
        """Wait until the venue allows one more connection."""
        while (wait_s := self._connects.wait_s(time.monotonic())) > 0:
            await asyncio.sleep(wait_s)
        self._connects.note(time.monotonic())

    async def allowed(self) -> bool:
        return await self._owner.allowed()

    def still_ours(self) -> bool:
        return self._owner.still_ours()

    def complained(self, refused: Sequence[str]) -> None:
        self.venue_errors += 1
        metrics.count(f"ingestion.venue_errors.{self.provider.name}")
        if refused:
            metrics.count(f"ingestion.refused_streams.{self.provider.name}", len(refused))

    def lost(self, line: Line, since_us: int) -> None:
        """Its streams begin anew: their books are void."""
        self.doubt(line, since_us)
        self.pipeline.lost(line.symbols)

    def doubt(self, line: Line, since_us: int) -> None:
        """Something may be missing of it since then, until it is found again."""
        self._owner.lost(line, since_us)

    def found(self, line: Line) -> None:
        self._rhythm.pause([key for key in self._names if key[1] in line.symbols], time.monotonic())
        self._owner.found(line)

    def skipped(self, line: Line, first: int, last: int, since_us: int) -> None:
        """Frames are missing: nobody knows of which streams, so the books of all begin anew."""
        logger.warning("%s: frames %d to %d are missing", self.provider.name, first, last)
        metrics.count(f"ingestion.frames_missing.{self.provider.name}", last - first + 1)
        self._owner.missed(since_us, FRAMES_MISSING)
        self.pipeline.lost(line.symbols)
        if self.provider.book is BookRule.NUMBERED_FRAMES:
            line.resubscribe(self.provider.streams(line.symbols, [BOOK]))

    # --- Life -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        if self.lacks_key:
            logger.error("%s needs a key, and none is set", self.provider.name)
            await asyncio.Event().wait()
        tasks: dict[asyncio.Task[None], Line | None] = {asyncio.create_task(self._keep_watching()): None}
        try:
            while True:
                self._changed.clear()
                await self._spread(tasks)
                await self._until_changed(tasks)
        finally:
            for task in tasks:
                await end(task)

    async def _until_changed(self, tasks: Iterable["asyncio.Task[None]"]) -> None:
        """Raises what ended a line."""
        changed: asyncio.Task[Any] = asyncio.create_task(self._changed.wait())
        try:
            done, _ = await asyncio.wait([changed, *tasks], return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()
        for task in done:
            task.result()

    async def _spread(self, tasks: "dict[asyncio.Task[None], Line | None]") -> None:
        """Bring the lines to what is wanted: some get more symbols, some less, some begin and some end."""
        parts = spread([line.symbols for line in self.lines], self._symbols, self._symbols_per_line())
        if self.provider.limits.exclusive:
            parts, beyond = parts[:1], parts[1:]
            self._leave_out([symbol for part in beyond for symbol in part])
        while len(self.lines) < len(parts):
            self.lines.append(Line(self, len(self.lines)))
        for line, symbols in zip(self.lines, parts, strict=True):
            line.follow(symbols)
        running = {line for line in tasks.values() if line is not None}
        for line in [line for line in self.lines if line.symbols and line not in running]:
            tasks[asyncio.create_task(line.run())] = line
        for task in [task for task, line in tasks.items() if line is not None and not line.symbols]:
            del tasks[task]
            await end(task)
        self._know()

    def _symbols_per_line(self) -> int:
        return max(1, self.provider.limits.streams_per_connection // max(1, len(self.provider.streams(["A"]))))

    def _leave_out(self, symbols: list[str]) -> None:
        if symbols and symbols != self._left_out:
            logger.error("%s: there is no room for %s", self.provider.name, ", ".join(symbols))
        self._left_out = symbols

    def _know(self) -> None:
        """Note which streams there are, and where."""
        self._line_of = {symbol: line for line in self.lines for symbol in line.symbols}
        self._names = {}
        for symbol in self._line_of:
            for name in self.provider.streams([symbol]):
                kind, _ = self.provider.stream(name)
                self._names.setdefault((kind, symbol), []).append(name)
        self._rhythm.follow(self._names, time.monotonic())

    # --- Watching ---------------------------------------------------------------------------------------------

    async def _keep_watching(self) -> None:
        while True:
            await asyncio.sleep(WATCH_INTERVAL_S)
            self.watch(time.monotonic())

    def watch(self, now_s: float) -> None:
        """Note who spoke, and do something about those who should have."""
        heard = self.pipeline.take_heard()
        self._rhythm.heard(heard, now_s)
        self._answer(heard)
        closed = {symbol for symbol in self._line_of if not self._owner.is_open(symbol)}
        away = {s for line in self.lines if line.state != status.LIVE for s in line.symbols}
        self._rhythm.pause([key for key in self._names if key[1] in closed or key[1] in away], now_s)
        mute: dict[Line, list[tuple[Key, int]]] = {}
        for key, alarms in self._rhythm.mute(now_s):
            assert isinstance(key, tuple)
            mute.setdefault(self._line_of[key[1]], []).append((key, alarms))
        for line, found in mute.items():
            self._mend(line, found)

    def _answer(self, heard: Iterable[Key]) -> None:
        """Data is an answer to the subscription."""
        names: dict[Line, list[str]] = {}
        for key in heard:
            line = self._line_of.get(key[1])
            if line is not None:
                names.setdefault(line, []).extend(self._names.get(key, ()))
        for line, streams in names.items():
            if line.connection is not None and (line.connection.subscriptions.asking or self.refusals):
                line.connection.heard(streams)

    def _mend(self, line: Line, mute: Sequence[tuple[Key, int]]) -> None:
        """Subscribe mute streams anew; a second time, or where most are mute, replace the connection; then leave it.

        A market may be halted without a word: nothing is replaced for ever.
        """
        shown = ", ".join(" ".join(key) for key, _ in mute[:5])
        logger.warning("%s: mute for long: %d streams, such as %s", self.provider.name, len(mute), shown)
        metrics.count(f"ingestion.mute_streams.{self.provider.name}", len(mute))
        first = [key for key, alarms in mute if alarms == 1]
        second = [key for key, alarms in mute if alarms == 2]
        here = sum(1 for _, symbol in self._spoken() if self._line_of[symbol] is line)
        if second or (len(first) > 1 and len(first) > MOST_MUTE * here):
            line.replace(f"{shown} mute for long")
        elif first:
            line.resubscribe([name for key in first for name in self._names[key]])

    def _spoken(self) -> Iterator[Key]:
        """The streams that ever spoke."""
        return (key for key in self._rhythm.spoken() if isinstance(key, tuple))

    def _is_refused(self, key: Any) -> bool:
        names = self._names.get(key, [])
        return bool(names) and all(name in self.refusals for name in names)


def spread(current: Sequence[Sequence[str]], wanted: Iterable[str], most: int) -> list[list[str]]:
    """The wanted symbols over lines of at most `most`: each stays where it is, new ones go where there is room.

    >>> spread([["A", "B"], ["C"]], ["B", "C", "D", "E", "F"], 2)
    [['B', 'D'], ['C', 'E'], ['F']]
    """
    left = dict.fromkeys(wanted)
    parts = []
    for symbols in current:
        kept = [symbol for symbol in symbols if symbol in left][:most]
        parts.append(kept)
        for symbol in kept:
            del left[symbol]
    waiting = list(left)
    for part in parts:
        room = most - len(part)
        part += waiting[:room]
        del waiting[:room]
    return parts + [waiting[at : at + most] for at in range(0, len(waiting), most)]
