"""What one connection is subscribed to, as against what is wanted. Pure: requests and answers in, requests out.

Each wanted stream is asked for, and is live when the venue says so: by the request's id, by the stream's name, with a
list of all that the connection has, or by its data alone. What the venue refuses is left alone for a while; a request
for several streams that is refused as a whole is asked for again in halves, until only the bad ones are left out.
"""

import enum
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from ingestion.providers import Ack, Ask, VenueError

# A stream whose request was never answered is asked for so often, then left alone as if refused.
TRIES: Final = 2


class State(enum.Enum):
    ASKED = "asked"
    LIVE = "live"
    LEAVING = "leaving"  # the end of its subscription is asked for


class _Stream(msgspec.Struct):
    state: State
    since_s: float


class _Request(msgspec.Struct):
    streams: tuple[str, ...]
    asked_s: float


class Wish(msgspec.Struct, frozen=True):
    """What to send now: these streams to be subscribed, or unsubscribed."""

    subscribe: bool
    streams: tuple[str, ...]


class Subscriptions:
    """Of one connection, from its opening to its end. Times are seconds on a steady clock.

    acknowledges: false where the venue answers a subscription by its data alone.
    refusals: stream → when it may be asked for again; shared by a feed's connections, so that it outlives each.
    """

    def __init__(
        self, *, acknowledges: bool, refusals: dict[str, float], answer_within_s: float, refused_for_s: float
    ) -> None:
        self._acknowledges, self._refusals = acknowledges, refusals
        self._answer_within_s, self._refused_for_s = answer_within_s, refused_for_s
        self._wanted: set[str] = set()
        self._streams: dict[str, _Stream] = {}
        self._requests: dict[int, _Request] = {}
        self._apart: deque[tuple[str, ...]] = deque()
        self._tries: dict[str, int] = {}
        self._again: set[str] = set()
        self.answered = False

    # --- Wishes -----------------------------------------------------------------------------------------------

    def want(self, streams: Iterable[str]) -> None:
        """From now on these, and no others."""
        self._wanted = set(streams)

    def again(self, streams: Iterable[str]) -> None:
        """End these subscriptions and ask for them anew."""
        self._again.update(stream for stream in streams if self._state(stream) is State.LIVE)

    def due(self, now_s: float) -> list[Wish]:
        """What is to be asked for now, that was not: first what is to end, since it makes room."""
        leaving = [s for s in self._streams if s not in self._wanted and self._state(s) is not State.LEAVING]
        leaving += [s for s in self._again & self._wanted if self._state(s) is State.LIVE]
        self._again.clear()
        wishes = [Wish(False, tuple(sorted(leaving)))] if leaving else []
        missing = {s for s in self._wanted if s not in self._streams and not self._is_refused(s, now_s)}
        while self._apart:
            group = tuple(s for s in self._apart.popleft() if s in missing)
            missing.difference_update(group)
            wishes += [Wish(True, group)] if group else []
        return [*wishes, Wish(True, tuple(sorted(missing)))] if missing else wishes

    def asked(self, ask: Ask, subscribe: bool, now_s: float) -> None:
        """This was sent."""
        if not subscribe and not self._acknowledges:
            self._forget(ask.streams)
            return
        for stream in ask.streams:
            self._streams[stream] = _Stream(State.ASKED if subscribe else State.LEAVING, now_s)
        if self._acknowledges and ask.streams:
            self._requests[ask.request_id] = _Request(ask.streams, now_s)

    # --- Answers ----------------------------------------------------------------------------------------------

    def accepted(self, ack: Ack, now_s: float) -> bool:
        """The venue's yes. False if it answers nothing that was asked."""
        self.answered = True
        if ack.whole:
            self._compare(set(ack.streams), now_s)
            return True
        request = self._requests.get(ack.request_id) if isinstance(ack.request_id, int) else None
        names = ack.streams or (request.streams if request is not None else ())
        for stream in names:
            self._settle(stream, now_s)
        self._close_requests()
        return bool(names)

    def refused(self, error: VenueError, now_s: float) -> list[str]:
        """The venue's no. Returns the streams that are left alone from now on, if it is known which."""
        self.answered = True
        request_id = error.request_id if isinstance(error.request_id, int) else None
        if error.streams:
            names = [s for s in error.streams if self._state(s) in (State.ASKED, State.LEAVING)]
            return self._refuse(names, now_s)
        if request_id not in self._requests:
            # Who numbers no requests means the oldest that is not answered.
            request_id = next(iter(self._requests), None)
        if request_id is None:
            return []
        return self._divide(self._pending(self._requests.pop(request_id)), now_s)

    def heard(self, streams: Iterable[str], now_s: float) -> None:
        """Data came: an answer as good as any, and often the first; better than a refusal."""
        for stream in streams:
            if self._state(stream) is State.ASKED:
                self._settle(stream, now_s)
            elif stream in self._refusals and stream in self._wanted and stream not in self._streams:
                self._streams[stream] = _Stream(State.LIVE, now_s)
                del self._refusals[stream]
        self._close_requests()

    def overdue(self, now_s: float) -> list[str]:
        """The streams whose request was not answered in time; each is asked for again, and then left alone."""
        late = [i for i, request in self._requests.items() if now_s - request.asked_s >= self._answer_within_s]
        found: list[str] = []
        for request_id in late:
            found += self._try_again(self._pending(self._requests.pop(request_id)), now_s)
        return found

    # --- What stands ------------------------------------------------------------------------------------------

    @property
    def live(self) -> set[str]:
        return {name for name, stream in self._streams.items() if stream.state is State.LIVE}

    @property
    def asking(self) -> set[str]:
        return {name for name, stream in self._streams.items() if stream.state is State.ASKED}

    def settled(self, now_s: float) -> bool:
        """Whether everything wanted was answered, or is refused; where nothing is answered, whether it was asked."""
        if self._acknowledges and self.asking & self._wanted:
            return False
        return all(s in self._streams or self._is_refused(s, now_s) for s in self._wanted)

    def next_s(self, now_s: float) -> float | None:
        """How long until `due` or `overdue` have something new without anything happening."""
        times = [request.asked_s + self._answer_within_s for request in self._requests.values()]
        times += [self._refusals[s] for s in self._wanted if s in self._refusals and s not in self._streams]
        return max(0.0, min(times) - now_s) if times else None

    # --- Inside -----------------------------------------------------------------------------------------------

    def _state(self, stream: str) -> State | None:
        found = self._streams.get(stream)
        return None if found is None else found.state

    def _is_refused(self, stream: str, now_s: float) -> bool:
        return self._refusals.get(stream, now_s) > now_s

    def _forget(self, streams: Iterable[str]) -> None:
        for stream in streams:
            self._streams.pop(stream, None)
            self._tries.pop(stream, None)

    def _settle(self, stream: str, now_s: float) -> None:
        """What was asked of it is so."""
        found = self._state(stream)
        if found is State.LEAVING:
            self._forget([stream])
        elif found is State.ASKED:
            self._streams[stream] = _Stream(State.LIVE, now_s)
            self._refusals.pop(stream, None)
            self._tries.pop(stream, None)

    def _compare(self, whole: set[str], now_s: float) -> None:
        """The venue's list of all that this connection has; it may be older than what was asked since."""
        for name in list(self._streams):
            state = self._state(name)
            if (name in whole) is (state is State.ASKED) and state is not State.LIVE:
                self._settle(name, now_s)
            elif state is State.LIVE and name not in whole and name in self._wanted:
                self._refuse([name], now_s)
        self._close_requests()

    def _pending(self, request: _Request) -> list[str]:
        return [s for s in request.streams if self._state(s) in (State.ASKED, State.LEAVING)]

    def _close_requests(self) -> None:
        self._requests = {i: request for i, request in self._requests.items() if self._pending(request)}

    def _refuse(self, names: Sequence[str], now_s: float) -> list[str]:
        refused = [name for name in names if self._state(name) is not State.LEAVING]
        self._forget(names)
        for name in refused:
            self._refusals[name] = now_s + self._refused_for_s
        self._close_requests()
        return refused

    def _divide(self, names: Sequence[str], now_s: float) -> list[str]:
        """A request was refused as a whole: its streams are asked for in halves, the last one alone is refused."""
        asked = [name for name in names if self._state(name) is State.ASKED]
        if len(asked) <= 1:
            return self._refuse(names, now_s)
        self._forget(names)
        middle = len(asked) // 2
        self._apart += (tuple(asked[:middle]), tuple(asked[middle:]))
        return []

    def _try_again(self, names: Sequence[str], now_s: float) -> list[str]:
        tries = {name: self._tries.get(name, 1) for name in names if self._state(name) is State.ASKED}
        self._forget(names)
        for name, tried in tries.items():
            if tried < TRIES:
                self._tries[name] = tried + 1
            else:
                self._refuse([name], now_s)
        return list(tries)
