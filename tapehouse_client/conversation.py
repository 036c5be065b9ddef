"""What is said on one connection after the other: topics wanted, positions reached, answers awaited. Pure."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

# The close codes after which there is no coming back: 40xx.
FINAL: Final = range(4000, 4100)
# Topics in one message.
TOPICS_PER_MESSAGE: Final = 50


class Refused(Exception):
    """The server will not give this topic, and says why."""

    def __init__(self, topic: str, code: int, why: str) -> None:
        super().__init__(f"{topic}: {why} ({code})")
        self.topic, self.code, self.why = topic, code, why


class ConnectionRefused(Exception):
    """The server closed with a code that says not to come back."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{reason or 'the connection was refused'} ({code})")
        self.code, self.reason = code, reason


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a topic. epoch, seq: its position, on lossless topics.

    reset: what came before it was missed and cannot be replayed; this is the present state.
    """

    topic: str
    type: str
    data: dict[str, Any]
    timestamp: str
    epoch: str | None = None
    seq: int | None = None
    reset: bool = False


@dataclass(frozen=True, slots=True)
class Granted:
    """The names that a request's topics go by from now on."""

    asked: tuple[str, ...]
    topics: tuple[str, ...]

    def names_of(self, topic: str) -> set[str]:
        """Of a topic that was asked for: symbols come upper-cased, and `portfolio:*` stands for many."""
        if topic not in self.asked:
            return set()
        if topic.endswith(":*"):
            return {name for name in self.topics if name.startswith(topic[:-1])}
        return {name for name in self.topics if name.upper() == topic.upper()}


Heard = Event | Granted | Refused


class Conversation:
    """Survives its connections. `open()` says what to send on a new one, `hear(text)` what a frame meant."""

    def __init__(self, interval_ms: int = 100) -> None:
        self.interval_ms = interval_ms
        self.wanted: dict[str, None] = {}
        self.positions: dict[str, tuple[str, int]] = {}
        self._resetting: set[str] = set()
        self._last_id = 0
        self._asked: dict[int, tuple[str, ...]] = {}

    def open(self) -> list[str]:
        """A new connection: everything that is wanted, from where it stopped."""
        self._asked.clear()
        return self._subscribe(list(self.wanted))

    def want(self, topics: Iterable[str]) -> list[str]:
        """Further topics: what to send."""
        new = list(dict.fromkeys(topics))
        self.wanted |= dict.fromkeys(new)
        return self._subscribe(new)

    def leave(self, topics: Iterable[str]) -> list[str]:
        """No more of these: what to send."""
        gone = [topic for topic in topics if self.wanted.pop(topic, self) is None]
        for topic in gone:
            self.positions.pop(topic, None)
        return [self._say("unsubscribe", {"topics": gone})] if gone else []

    def again(self, topic: str, position: tuple[str, int] | None) -> list[str]:
        """Have a lossless topic told once more from a position on (None: from its state)."""
        self.positions.pop(topic, None)
        if position is not None:
            self.positions[topic] = position
        return [self._say("unsubscribe", {"topics": [topic]}), *self._subscribe([topic])]

    def ping(self) -> str:
        return self._say("ping", {})

    def auth(self, token: str) -> str:
        return self._say("auth", {"token": token})

    def hear(self, text: str | bytes) -> list[Heard]:
        """What a frame says of topics, in order. What is no message of the protocol says nothing."""
        try:
            message = json.loads(text)
        except ValueError:
            return []
        return list(self._take(message)) if isinstance(message, dict) else []

    def _take(self, message: Mapping[str, Any]) -> Iterable[Heard]:
        data = message.get("data")
        if not isinstance(data, dict):
            return
        if message.get("type") == "batch":
            for inner in data.get("events", ()):
                if isinstance(inner, dict):
                    yield from self._take(inner)
        elif message.get("type") == "subscribed":
            yield self._granted(message, data)
        elif message.get("type") == "error":
            if "topic" in message:
                yield Refused(message["topic"], int(data.get("code", 0)), str(data.get("message", "")))
        elif "topic" in message:
            yield from self._event(message, data)

    def _granted(self, message: Mapping[str, Any], data: Mapping[str, Any]) -> Granted:
        request = message.get("id")
        asked = self._asked.pop(request, ()) if isinstance(request, int) else ()
        granted = data.get("topics", {})
        self._rename(asked, granted)
        for topic, at in granted.items():
            if "epoch" in at and not at.get("recovered"):
                if topic in self.positions or "recovered" in at:
                    self._resetting.add(topic)
                self.positions[topic] = (at["epoch"], at["seq"])
        return Granted(asked, tuple(granted))

    def _rename(self, asked: Iterable[str], granted: Mapping[str, Any]) -> None:
        """Each by the name that the server gave it (symbols upper-cased); what was refused is not asked for again."""
        by_upper = {topic.upper(): topic for topic in granted}
        for topic in asked:
            if topic in self.wanted and topic not in granted:
                del self.wanted[topic]
            if (name := by_upper.get(topic.upper())) is not None:
                self.wanted[name] = None
        # `portfolio:*` is many.
        self.wanted |= dict.fromkeys(granted)

    def _event(self, message: Mapping[str, Any], data: dict[str, Any]) -> Iterable[Event]:
        """Duplicates are left out."""
        topic, epoch, seq = message["topic"], message.get("epoch"), message.get("seq")
        if seq is not None and epoch is not None:
            known = self.positions.get(topic)
            if known is not None and known[0] == epoch and seq <= known[1]:
                return
            self.positions[topic] = (epoch, seq)
        reset = topic in self._resetting
        self._resetting.discard(topic)
        yield Event(topic, message["type"], data, message.get("timestamp", ""), epoch, seq, reset)

    def _subscribe(self, topics: list[str]) -> list[str]:
        messages = []
        for start in range(0, len(topics), TOPICS_PER_MESSAGE):
            part = topics[start : start + TOPICS_PER_MESSAGE]
            since = {
                t: dict(zip(("epoch", "seq"), self.positions[t], strict=True)) for t in part if t in self.positions
            }
            data = {"topics": part, "interval_ms": self.interval_ms, "batch": True, "since": since}
            messages.append(self._say("subscribe", data))
            self._asked[self._last_id] = tuple(part)
        return messages

    def _say(self, type_: str, data: Mapping[str, Any]) -> str:
        self._last_id += 1
        return json.dumps({"type": type_, "data": data, "id": self._last_id})
