"""One client's connection: carries out what its session decides, and hands its outbox to its writer at its pace."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec
from django.conf import settings
from django.db import Error as DatabaseError

from streaming import actions, quotas, snapshots
from streaming.dialects import Dialect, Opening
from streaming.effects import Act, Authenticate, Close, Effect, Send, SetPace, Subscribe, Subscription, Unsubscribe
from streaming.frames import Frame, made_of
from streaming.hub import Follower, Hub
from streaming.identity import Identity, NotSignedIn, of_token
from streaming.outbox import HIGH, Outbox, SlowConsumer
from streaming.pace import Pace
from streaming.protocol import Code, envelope
from streaming.quotas import Lease, OverLimit
from streaming.session import Limits, Session
from streaming.snapshots import Beginning, Grant
from streaming.threads import in_thread

logger = logging.getLogger(__name__)


class Writer(Protocol):
    """The way out to one client. Nothing here waits."""

    def write(self, frames: Sequence[Frame]) -> None: ...

    def flow(self, stop: Callable[[], None]) -> Callable[[bytes], None] | None:
        """What writes ready-made frames at once, until `stop` is called; None where there is no such way just now."""

    def backlog_bytes(self) -> int:
        """What was written and not yet taken by the client."""

    def last_heard(self) -> float:
        """Loop time of the client's last sign of life, protocol pongs included; infinite where that is not known."""

    def echo_s(self) -> float | None:
        """How long the client takes to answer a ping; None where that is not known."""

    def close(self, code: int, reason: str) -> None: ...


class Connection:
    """All methods run on the hub's event loop."""

    def __init__(
        self,
        hub: Hub,
        dialect: Dialect,
        writer: Writer,
        opening: Opening,
        identity: Identity,
        lease: Lease,
        address: str,
    ) -> None:
        self.hub, self.dialect, self.writer = hub, dialect, writer
        self.opening, self.identity, self.lease = opening, identity, lease
        self.session = Session(dialect, limits())
        self.outbox = Outbox(settings.OUTBOX_QUEUE_MAX, settings.OUTBOX_BATCH_MAX)
        self.followers: dict[str, Follower] = {}
        self._closed = False
        self.address, self.since, self.dropped = address, now_us() / 1e6, 0
        self.batch = False
        self.pace = Pace(settings.STREAM_INTERVAL_MS / 1000)
        # What each update may be written with at once, by itself; None while something waits, or at another pace.
        self.flow: Callable[[bytes], None] | None = None
        self._loop = asyncio.get_running_loop()
        self._is_due = False
        self._buffer_max_bytes = settings.OUTBOX_WRITE_BUFFER_MAX_BYTES
        self._behind_bytes = settings.OUTBOX_WRITE_BUFFER_BEHIND_BYTES
        self._flush_at = self._stuck_since = 0.0
        self._heard_at = self._loop.time()
        self._report_at = self._loop.time() + settings.DROPPED_REPORT_INTERVAL_S

    @property
    def user(self) -> Any:
        return self.identity.user

    def followed(self) -> list[str]:
        """The topics' canonical names."""
        return [follower.grant.address.topic for follower in self.followers.values()]

    # --- What the client says -------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Greet, and begin the path's own subscriptions; greeted is only who gets them."""
        self.hub.connections.add(self)
        self.hub.keep_pace(self, self.pace.interval_s)
        self.hub.start()
        names = tuple(self.dialect.topics(self.opening.params))
        begun = await self._begin(Subscribe(names, essential=True, quiet=True)) if names else []
        if not self.is_closed():
            self.say(*self.dialect.greet(self.opening, now_us()))
            self._finish(begun)

    async def receive(self, text: str | None) -> None:
        """Carry out what a message asks for. text: None for a binary message."""
        self._heard_at = self._loop.time()
        for effect in self.session.receive(text, now_us()):
            if self.is_closed():
                return
            await self._carry_out(effect)

    async def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Send(message):
                self.say(message)
            case Subscribe():
                await self._subscribe(effect)
            case Unsubscribe(names):
                for name in names:
                    self._leave(name)
            case SetPace():
                self._set_pace(effect)
            case Act():
                await self._act(effect)
            case Authenticate():
                await self._authenticate(effect)
            case Close(code, reason):
                self.close(code, reason)

    def _set_pace(self, pace: SetPace) -> None:
        self._stop_flowing()
        if pace.batch is not None:
            self.batch = pace.batch
        if pace.interval_ms is not None and pace.interval_ms / 1000 != self.pace.interval_s:
            self.hub.keep_pace(self, pace.interval_ms / 1000)

    async def _act(self, act: Act) -> None:
        action = actions.registry.get(act.name)
        if not self.user.is_authenticated:
            self.refuse(Code.SIGN_IN_NEEDED, f"{act.name} needs a sign-in.", act.request)
        elif action is None:
            self.refuse(Code.UNKNOWN, f"Nothing here does {act.name}.", act.request)
        else:
            try:
                answer = await in_thread(action, self.user, act.data)
            except actions.ActionRefused as refusal:
                self.refuse(refusal.code, refusal.why, act.request)
            else:
                self.say(*self.dialect.acted(act, answer, now_us()))

    # --- Who it is --------------------------------------------------------------------------------------------------

    async def _authenticate(self, effect: Authenticate) -> None:
        try:
            identity = await in_thread(of_token, effect.token)
            await self._become(identity)
        except NotSignedIn as refused:
            self.refuse(Code.SIGN_IN_NEEDED, str(refused), effect.request)
        except OverLimit as over:
            self.refuse(Code.OVER_LIMIT, str(over), effect.request)
        else:
            self.say(*self.dialect.authenticated(self.user.pk, self.identity.expires_at, effect.request, now_us()))

    async def _become(self, identity: Identity) -> None:
        """Nobody becomes somebody; somebody only stays so for longer. Raises NotSignedIn, OverLimit."""
        if not self.user.is_authenticated:
            counted = await quotas.take(identity.user, "", self.opening.connection_id)
            await quotas.give_back(self.lease)
            self.lease, self.identity = counted, identity
        elif identity.user.pk != self.user.pk:
            raise NotSignedIn("This connection is another user's")
        elif self.identity.expires_at is not None:
            self.identity = identity

    async def examine(self) -> None:
        """Who changed may be nobody any more, or may have lost what it follows."""
        try:
            identity = await in_thread(self.identity.again)
        except NotSignedIn as refused:
            self.close(Code.SIGN_IN_NEEDED, str(refused))
            return
        except DatabaseError as error:
            logger.warning("a sign-in cannot be looked at anew: %s", error)
            self.close(Code.UNAVAILABLE, "The database is away; come back a little later")
            return
        if not identity.user.is_authenticated:
            self.close(Code.SIGN_IN_NEEDED, "Signed out: the account or its password has changed")
            return
        self.identity = identity
        await self._examine_topics()

    async def _examine_topics(self) -> None:
        _, refused = await in_thread(snapshots.resolve_all, list(self.followers), self.user)
        for refusal in refused:
            self.refuse(refusal.code, refusal.why, topic=refusal.name)
            self._leave(refusal.name)
        if refused:
            self.say(*self.dialect.left([refusal.name for refusal in refused], now_us()))

    # --- Subscriptions --------------------------------------------------------------------------------------------

    async def _subscribe(self, effect: Subscribe) -> None:
        begun = await self._begin(effect)
        if self.is_closed():
            return
        if not effect.quiet:
            positions = {follower.name: _position(beginning) for follower, beginning in begun}
            self.say(*self.dialect.subscribed(positions, self.session.held, effect.request, now_us()))
        self._finish(begun)

    async def _begin(self, effect: Subscribe) -> list[tuple[Follower, Beginning]]:
        """First follow, then read the state: what happens in between is held back, not lost."""
        try:
            grants = await self._granted(effect)
            if self.is_closed():
                return []
            followers = [self._follower(grant, effect) for grant in grants]
            await asyncio.gather(*(self.hub.follow(follower) for follower in followers))
            if len(grants) == len(effect.names):
                for name in effect.instead_of:
                    self._leave(name)
            beginnings = await in_thread(snapshots.begin, grants, effect.since, self.user)
        except DatabaseError as error:
            logger.warning("a subscription failed: %s", error)
            self.close(Code.UNAVAILABLE, "The database is away; come back a little later")
            return []
        if self.is_closed():  # meanwhile: then `lost` may have come before `follow`
            for follower in followers:
                self.hub.leave(follower)
        return list(zip(followers, beginnings, strict=True))

    async def _granted(self, effect: Subscribe) -> list[Grant]:
        granted, refused = await in_thread(snapshots.resolve_all, effect.names, self.user)
        for refusal in refused:
            if effect.essential:
                self.close(refusal.code, refusal.why)
                return []
            self.refuse(refusal.code, refusal.why, effect.request, refusal.name)
        if effect.only_new:
            granted = [grant for grant in granted if grant.address.name not in self.session.held]
        return granted

    def _follower(self, grant: Grant, effect: Subscribe) -> Follower:
        subscription = Subscription(grant.address, effect.depth, effect.priority)
        follower = Follower(self, grant, subscription)
        self._leave(follower.name)
        self.followers[follower.name] = follower
        self.outbox.rank(follower.name, effect.priority)
        self.session.granted(subscription)
        return follower

    def _finish(self, begun: Sequence[tuple[Follower, Beginning]]) -> None:
        """Send each beginning, then what was held back since."""
        for follower, beginning in begun:
            if beginning.at is not None:
                follower.after = beginning.at.seq
            for said in self.dialect.begin(beginning.messages, follower.subscription, now_us()):
                self.put(made_of((said,)))
            self.hub.release(follower)
        self.flush_soon()

    def begin_anew(self, follower: Follower) -> None:
        """What the follower missed is not to be had any more: it gets the state, as one that comes too late would."""
        self.hub.spawn(self._begin_anew(follower))

    async def _begin_anew(self, follower: Follower) -> None:
        self.hub.hold(follower)
        try:
            (beginning,) = await in_thread(snapshots.begin, [follower.grant], {}, self.user)
        except DatabaseError:
            self.close(Code.UNAVAILABLE, "The database is away; come back a little later")
            return
        if not self.is_closed() and self.followers.get(follower.name) is follower:
            lost = msgspec.structs.replace(beginning, recovered=False)
            at = {follower.name: _position(lost)}
            self.say(*self.dialect.subscribed(at, self.session.held, None, now_us()))
            self._finish([(follower, beginning)])

    def _leave(self, name: str) -> None:
        self.session.left(name)
        if (follower := self.followers.pop(name, None)) is not None:
            self.hub.leave(follower)
            self.outbox.forget(name)

    # --- What the client hears ------------------------------------------------------------------------------------

    def offer(self, name: str, frame: Frame, batched: bool) -> None:
        """An event that a newer one may push aside."""
        self._stop_flowing()
        if batched:
            self.outbox.extend(name, frame)
        else:
            self.outbox.replace(name, frame)
        self.pace.arm()

    def put(self, frame: Frame) -> None:
        """An event, or an answer, that must not be lost."""
        self._stop_flowing()
        try:
            self.outbox.put(frame)
        except SlowConsumer as slow:
            self.too_slow(str(slow))
            return
        if self._flush_at <= self._loop.time():
            self.flush_soon()
        else:
            self.pace.arm()

    def say(self, *messages: dict[str, Any]) -> None:
        """Answers: not at the connection's pace but at once."""
        for message in messages:
            self.put(made_of((message,)))
        self.flush_soon()

    def refuse(self, code: int, why: str, request: Any = None, topic: str | None = None) -> None:
        self.say(self.dialect.error(code, why, now_us(), request, topic))

    def flush_soon(self) -> None:
        """Flush when the present work is done, whatever the pace."""
        if not self._is_due:
            self._is_due = True
            self.hub.flush_soon(self)

    def flush(self) -> None:
        """Write what waits; not while the client has yet to take what was written before: newer values replace it."""
        self._is_due = False
        if self._closed:
            return
        now = self._loop.time()
        self._flush_at = now + self.pace.interval_s
        backlog = self.writer.backlog_bytes()
        if backlog > self._buffer_max_bytes:
            self._stalled(now)
            return
        self._stuck_since = 0.0
        if now >= self._report_at and self.dialect.reports_dropped:
            self._report_dropped(now)
        # A client that falls behind gets first what it shows just now; the rest waits, and is replaced meanwhile.
        behind = backlog > self._behind_bytes
        frames = self.outbox.take(HIGH) if behind else self.outbox.take()
        if self.batch and len(frames) > 1:
            frames = [self.hub.batches.made_of(frames, now, now_us)]
        if frames:
            self.writer.write(frames)
            self.hub.sent(frames[-1])
        if behind:
            if self.outbox:
                self.pace.retry()
        elif self.pace.interval_s == 0 and self.flow is None:
            self._start_flowing()

    def _start_flowing(self) -> None:
        """From now on each update by itself is written at once; unless that is not what the client asked for."""
        if self.batch or (self.outbox.dropped and self.dialect.reports_dropped):
            return
        self.flow = self.writer.flow(self._stop_flowing)
        if self.flow is not None:
            self._place_followers()

    def _stop_flowing(self) -> None:
        """What comes now must wait behind something else."""
        if self.flow is not None:
            self.flow = None
            self._place_followers()

    def _place_followers(self) -> None:
        for follower in self.followers.values():
            if follower.lane is not None:
                follower.lane.place(follower)

    def _stalled(self, now: float) -> None:
        self._stuck_since = self._stuck_since or now
        if now - self._stuck_since > settings.OUTBOX_STALL_TIMEOUT_S:
            self.too_slow(f"nothing was read for {settings.OUTBOX_STALL_TIMEOUT_S:g} s")
        else:
            self.pace.retry()

    def _report_dropped(self, now: float) -> None:
        self._report_at = now + settings.DROPPED_REPORT_INTERVAL_S
        if dropped := self.outbox.take_dropped():
            self.dropped += sum(dropped.values())
            self.put(made_of((envelope("dropped", dropped, now_us()),)))

    # --- The end --------------------------------------------------------------------------------------------------

    def too_slow(self, why: str) -> None:
        """Only this one suffers."""
        self.close(Code.TOO_SLOW, f"Too slow: {why}")

    def close_if_idle(self, timeout_s: float) -> None:
        """A client that neither spoke nor answered the server's pings for so long is gone."""
        if self._loop.time() - max(self._heard_at, self.writer.last_heard()) > timeout_s:
            self.close(Code.TOO_SLOW, f"Nothing was heard for {timeout_s:g} s")

    def close_if_expired(self, now_s: float) -> None:
        """now_s: since 1970."""
        if self.identity.expires_at is not None and self.identity.expires_at <= now_s:
            self.close(Code.SIGN_IN_NEEDED, "The token has expired")

    def close(self, code: int, reason: str) -> None:
        """Say what was to be said, then close; waits for nobody."""
        if self.is_closed():
            return
        if code != Code.TOO_SLOW:
            self.flush()
        self.lost()
        self.writer.close(int(code), reason)

    def is_closed(self) -> bool:
        return self._closed

    def lost(self) -> None:
        """The client is gone, or has been sent away."""
        self._closed = True
        self.hub.lose_pace(self)
        for name in list(self.followers):
            self._leave(name)
        self.hub.connections.discard(self)


def limits() -> Limits:
    return Limits(
        messages_per_minute=settings.MAX_MESSAGES_PER_MINUTE,
        message_bytes=settings.MAX_MESSAGE_BYTES,
        broken_messages=settings.MAX_BROKEN_MESSAGES,
        subscriptions=settings.MAX_SUBSCRIPTIONS_PER_CONNECTION,
        symbols=settings.MAX_SYMBOLS_PER_CONNECTION,
    )


def now_us() -> int:
    return time.time_ns() // 1000


def _position(beginning: Beginning) -> dict[str, Any]:
    at = {} if beginning.at is None else {"epoch": beginning.at.epoch, "seq": beginning.at.seq}
    return at if beginning.recovered is None else at | {"recovered": beginning.recovered}
