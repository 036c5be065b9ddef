"""One connection's conversation: what a client's message means, and what it may cost. Pure.

`receive(text, now)` gives the effects to carry out, in order; `connection.py` carries them out and reports back which
subscriptions were granted. No socket, no clock, no Django.
"""

from collections import deque
from typing import Any, Final

import msgspec

from streaming.dialects import Dialect, Misunderstood
from streaming.effects import Close, Effect, Send, Subscribe, Subscription
from streaming.protocol import Code

MINUTE_US: Final = 60_000_000
# Order books, which the paths that count symbols do not count.
BOOKS: Final = "book:"

_decode = msgspec.json.Decoder().decode


class Limits(msgspec.Struct, frozen=True):
    """What one connection may do; from the settings of the same names."""

    messages_per_minute: int
    message_bytes: int
    broken_messages: int
    subscriptions: int
    symbols: int


class Session:
    """held: the granted subscriptions by name, in the order granted."""

    def __init__(self, dialect: Dialect, limits: Limits) -> None:
        self.dialect, self.limits = dialect, limits
        self.held: dict[str, Subscription] = {}
        self._received: deque[int] = deque(maxlen=limits.messages_per_minute)
        self._broken = 0

    def receive(self, text: str | None, now_us: int) -> list[Effect]:
        """The effects of one message. text: None for a binary one. now_us: microseconds since 1970."""
        if self._too_fast(now_us):
            why = f"More than {self.limits.messages_per_minute} messages a minute"
            return [self._error(Code.TOO_FAST, why + ".", now_us), Close(Code.TOO_FAST, why)]
        said: dict[str, Any] = {}
        try:
            said = self._parse(text)
            effects = self.dialect.interpret(said, self.held, now_us)
            return [kept for effect in effects for kept in self._within_limits(effect, now_us)]
        except Misunderstood as error:
            return self._misunderstood(error, said.get("id"), now_us)

    def granted(self, subscription: Subscription) -> None:
        self.held[subscription.address.name] = subscription

    def left(self, name: str) -> None:
        self.held.pop(name, None)

    def _too_fast(self, now_us: int) -> bool:
        full = len(self._received) == self._received.maxlen
        if full and now_us - self._received[0] < MINUTE_US:
            return True
        self._received.append(now_us)
        return False

    def _parse(self, text: str | None) -> dict[str, Any]:
        if text is None:
            raise Misunderstood("Only text messages are understood here.")
        # Four bytes a character at most: most messages need not be encoded to be measured.
        size = len(text) if len(text) * 4 <= self.limits.message_bytes else len(text.encode("utf-8", "replace"))
        if size > self.limits.message_bytes:
            raise Misunderstood(f"A message of {size} bytes; the limit is {self.limits.message_bytes}.")
        try:
            said = _decode(text)
            # What cannot be said back (half a surrogate pair, a number beyond 64 bits) is refused at once.
            msgspec.json.encode(said)
        except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as error:
            raise Misunderstood("Invalid JSON format") from error
        if not isinstance(said, dict):
            raise Misunderstood("A message is a JSON object.")
        return said

    def _within_limits(self, effect: Effect, now_us: int) -> list[Effect]:
        if not isinstance(effect, Subscribe):
            return [effect]
        limit, what = self._limit()
        room = limit - sum(map(self._counts, self.held))
        new = [name for name in effect.names if name not in self.held and self._counts(name)]
        if len(new) <= room:
            return [effect]
        over = set(new[max(room, 0) :])
        named = ", ".join(sorted(over))[:200]
        why = f"At most {limit} {what} per connection; refused: {named}"
        kept = tuple(name for name in effect.names if name not in over)
        return [
            self._error(Code.OVER_LIMIT, why, now_us, effect.request),
            msgspec.structs.replace(effect, names=kept),
        ]

    def _limit(self) -> tuple[int, str]:
        if self.dialect.counts_symbols:
            return self.limits.symbols, "symbols"
        return self.limits.subscriptions, "subscriptions"

    def _counts(self, name: str) -> bool:
        return not (self.dialect.counts_symbols and name.startswith(BOOKS))

    def _misunderstood(self, error: Misunderstood, request: Any, now_us: int) -> list[Effect]:
        answer = self._error(error.code, error.why, now_us, request)
        if error.code != Code.BROKEN:
            return [answer]
        self._broken += 1
        if self._broken <= self.limits.broken_messages:
            return [answer]
        return [answer, Close(Code.BROKEN, f"More than {self.limits.broken_messages} broken messages")]

    def _error(self, code: int, why: str, now_us: int, request: Any = None) -> Send:
        return Send(self.dialect.error(code, why, now_us, request))
