"""One member of the channel layer's groups per process, however many browsers the process serves.

The hub joins a topic's group when the first local connection subscribes, receives each message once, makes its frame
once per manner of asking, and hands it to the lanes of those that follow so (`lanes.py`). It never awaits a socket.

Redis's pub/sub may lose messages and says nothing when it does. So the hub sends itself a numbered heartbeat through
it: a missing number, a silence, or another connection re-reads the conflated topics; and the lossless ones are compared
with their counter rows at each beat, and refilled from the event log in order.
"""

import asyncio
import contextlib
import logging
import time
import uuid
import weakref
from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import redis
from channels.layers import get_channel_layer
from django.conf import settings
from django.db import Error as DatabaseError

from streaming import control, events, presence, quotas, snapshots
from streaming.effects import Subscription
from streaming.frames import Batches, Frame
from streaming.lanes import Lane, Manner
from streaming.pace import Pace, flush
from streaming.presence import Reporter
from streaming.protocol import Code, Message, Position
from streaming.publish import HINT, channel_of
from streaming.snapshots import Grant
from streaming.subscriber import Subscriber
from streaming.threads import in_thread
from streaming.topics import Kind
from worker import metrics
from worker.redis import async_client

if TYPE_CHECKING:
    from streaming.connection import Connection

logger = logging.getLogger(__name__)

BEAT = "beat"
# Of the frames sent, one in so many has its latency measured.
SAMPLE_EVERY = 16
_decode = msgspec.json.Decoder(Message).decode
_hubs: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Hub]" = weakref.WeakKeyDictionary()


def current() -> "Hub":
    """The running event loop's hub."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        _hubs[loop] = Hub()
    return _hubs[loop]


class Follower:
    """One connection's subscription to one topic.

    While it begins, what arrives is held back until the snapshot is sent; later, events up to `after` are skipped,
    because the snapshot or the replay contained them.
    """

    __slots__ = ("after", "connection", "grant", "held", "lane", "manner", "name", "subscription")

    def __init__(self, connection: "Connection", grant: Grant, subscription: Subscription) -> None:
        self.connection, self.grant, self.subscription = connection, grant, subscription
        self.name = subscription.address.name
        # Followers of one topic and one manner get the same bytes.
        self.manner: Manner = (connection.dialect.path, self.name, subscription.depth)
        self.after = 0
        self.held: list[Message] | None = []
        self.lane: Lane | None = None

    def hold(self, message: Message) -> None:
        assert self.held is not None
        if self.grant.topic.kind is Kind.CONFLATED:
            self.held.clear()
        self.held.append(message)
        if len(self.held) > settings.OUTBOX_QUEUE_MAX:
            self.connection.too_slow(f"{len(self.held)} events came while {self.name} was being read")


class Channel:
    """One topic as this process follows it. at: the position delivered; heard: the highest number hinted at."""

    def __init__(self, grant: Grant) -> None:
        self.topic, self.kind = grant.address.topic, grant.topic.kind
        self.followers: dict[Follower, None] = {}
        self.lanes: dict[tuple[Manner, Pace], Lane] = {}
        self.joined = asyncio.Event()
        self.at: Position | None = None
        self.heard = 0
        self.filling = False
        self.empty_since: float | None = None

    @property
    def behind(self) -> bool:
        return self.at is not None and self.heard > self.at.seq

    def add(self, follower: Follower) -> None:
        """Into the lane of its manner and of its connection's pace."""
        self.followers[follower] = None
        key = follower.manner, follower.connection.pace
        if key not in self.lanes:
            self.lanes[key] = Lane(follower, self.kind)
        follower.lane = self.lanes[key]
        follower.lane.place(follower)

    def remove(self, follower: Follower) -> None:
        self.followers.pop(follower, None)
        lane, follower.lane = follower.lane, None
        if lane is not None:
            lane.remove(follower)
            if not lane:
                del self.lanes[lane.manner, lane.pace]


class Hub:
    """Use `current()`. Everything here runs on one event loop."""

    def __init__(self) -> None:
        self.channels: dict[str, Channel] = {}
        self.connections: set[Connection] = set()
        self._subscriber = Subscriber(self._hear, self._deafened, settings.PUBLISH_TIMEOUT_S)
        # Where this hub's own heartbeat comes in.
        self._name = f"{settings.REDIS_PREFIX}hub{uuid.uuid4().hex}"
        self._layer: Any = None
        self._running = False
        self._opened = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._sent = self._received = self._sent_frames = self._counted = 0
        self._heard_at = 0.0
        self._doubt_since: float | None = None
        self._renew_at = 0.0
        self.reporter = Reporter()
        self.batches = Batches()
        self.paces: dict[float, Pace] = {}
        self._due: list[Connection] = []

    # --- Subscribing ----------------------------------------------------------------------------------------------

    async def follow(self, follower: Follower) -> None:
        """Deliver the topic to the follower from now on; first of all into its `held`.

        Returns when the process is a member of the topic's group and knows where a lossless topic stands. While
        Redis is away it returns all the same; the topic is then re-read when Redis is back.
        """
        self.start()
        topic = follower.grant.address.topic
        channel = self.channels.get(topic)
        if channel is None:
            channel = self.channels[topic] = Channel(follower.grant)
            self.spawn(self._join(channel))
        channel.add(follower)
        channel.empty_since = None
        try:
            await asyncio.wait_for(channel.joined.wait(), settings.PUBLISH_TIMEOUT_S)
        except TimeoutError:
            self._doubt()
        if channel.kind is Kind.LOSSLESS and channel.at is None:
            await self._locate([channel])

    def leave(self, follower: Follower) -> None:
        """The group is left a little later: another page of the same user often asks for the same at once."""
        channel = self.channels.get(follower.grant.address.topic)
        if channel is not None:
            channel.remove(follower)
            if not channel.followers:
                channel.empty_since = _now()

    async def _join(self, channel: Channel) -> None:
        await self._opened.wait()
        try:
            await self._subscriber.subscribe(channel_of(channel.topic))
        except (redis.RedisError, OSError) as error:
            logger.warning("%s: not joined yet: %s", channel.topic, error)
            self._doubt()  # joined with the next connection, and re-read with the first beat that comes through
        channel.joined.set()

    # --- Receiving ------------------------------------------------------------------------------------------------

    def _hear(self, body: bytes) -> None:
        try:
            event = self._layer.deserialize(body)
            if event["type"] == HINT:
                self._take(_decode(event["body"]))
            elif event["type"] == BEAT:
                self._beaten(event["n"])
        except Exception:  # one bad message must not stop all others
            self.reporter.failed += 1
            logger.exception("the hub could not deliver a message")

    def _take(self, message: Message) -> None:
        if message.topic == control.TOPIC:
            self._obey(message)
            return
        channel = self.channels.get(message.topic)
        if channel is None:
            return
        if channel.kind is not Kind.LOSSLESS:
            self._deliver(channel, message)
        elif message.seq is not None:
            self._take_numbered(channel, message, message.seq)

    def _obey(self, message: Message) -> None:
        """Who signed out loses the sockets of that session; whose rights changed is looked at anew."""
        if message.type == control.SIGNED_OUT:
            for connection in list(self.connections):
                if connection.identity.session == message.data["session"]:
                    connection.close(Code.SIGN_IN_NEEDED, "Signed out")
        elif message.type == control.CHANGED:
            self._examine(set(message.data["users"]))
        elif message.type == control.DISCONNECT:
            for connection in list(self.connections):
                if connection.opening.connection_id in message.data["connections"]:
                    connection.close(Code.UNAVAILABLE, message.data["why"])

    def _examine(self, user_ids: set[int]) -> None:
        """Ask the credentials of these users' connections anew."""
        for connection in list(self.connections):
            if connection.user.pk in user_ids:
                self.spawn(connection.examine())

    def _take_numbered(self, channel: Channel, message: Message, seq: int) -> None:
        """Deliver the next number at once; a later one only says that there is something to fetch."""
        if channel.at is None or channel.at.epoch != message.epoch:
            channel.heard = max(channel.heard, seq)
            if channel.at is not None:
                self.spawn(self._compare())
        elif seq == channel.at.seq + 1 and not channel.filling:
            channel.at = Position(channel.at.epoch, seq)
            self._deliver(channel, message)
        elif seq > channel.at.seq:
            channel.heard = max(channel.heard, seq)
            self.spawn(self._fill(channel))

    def _deliver(self, channel: Channel, message: Message) -> None:
        self.reporter.latencies["published_to_hub"].add(time.time_ns() // 1000 - message.at_us)
        frames: dict[Manner, Frame] = {}
        for lane in list(channel.lanes.values()):
            for follower in list(lane.held):
                follower.hold(message)
            frame = frames.get(lane.manner)
            if frame is None:
                frame = frames[lane.manner] = lane.render(message)
            if frame.payloads and (written := lane.deliver(frame, message.seq)):
                self.sent(frame, written)
        self.reporter.delivered += len(channel.followers)

    def flush_soon(self, connection: "Connection") -> None:
        """Flush when the present work is done: one callback for all connections, not one for each."""
        if not self._due:
            asyncio.get_running_loop().call_soon(self._flush_due)
        self._due.append(connection)

    def _flush_due(self) -> None:
        due, self._due = self._due, []
        for connection in due:
            flush(connection)

    def sent(self, frame: Frame, sockets: int = 1) -> None:
        """The frame has been written to so many. One in SAMPLE_EVERY is measured."""
        before, self._sent_frames = self._sent_frames, self._sent_frames + sockets
        samples = self._sent_frames // SAMPLE_EVERY - before // SAMPLE_EVERY
        if samples and frame.at_us:
            self.reporter.latencies["published_to_socket"].add(time.time_ns() // 1000 - frame.at_us, samples)

    def hold(self, follower: Follower) -> None:
        """Keep what arrives for the follower until `release`."""
        follower.held = []
        if follower.lane is not None:
            follower.lane.place(follower)

    def release(self, follower: Follower) -> None:
        """The beginning is sent: now what was held back meanwhile, and from here on everything at once."""
        held, follower.held = follower.held or [], None
        if follower.lane is None:  # its connection was closed meanwhile
            return
        follower.lane.place(follower)
        for message in held:
            if message.seq is not None and message.seq <= follower.after:
                continue
            frame = follower.lane.render(message)
            if message.seq is None:
                follower.connection.offer(follower.name, frame, follower.grant.topic.kind is Kind.BATCHED)
            else:
                follower.connection.put(frame)

    def keep_pace(self, connection: "Connection", interval_s: float) -> None:
        """From now on the connection is flushed so often, with all that are."""
        self.lose_pace(connection)
        connection.pace = self.paces.setdefault(interval_s, Pace(interval_s))
        connection.pace.members[connection] = None
        for follower in connection.followers.values():
            channel = self.channels.get(follower.grant.address.topic)
            if channel is not None and follower.lane is not None:
                channel.remove(follower)
                channel.add(follower)

    def lose_pace(self, connection: "Connection") -> None:
        connection.pace.members.pop(connection, None)
        if not connection.pace.members and self.paces.get(connection.pace.interval_s) is connection.pace:
            del self.paces[connection.pace.interval_s]

    # --- Where lossless topics stand ------------------------------------------------------------------------------

    async def _locate(self, channels: Sequence[Channel]) -> None:
        """Take the channels' positions from the counter rows; what was hinted at beyond them is fetched."""
        found = await in_thread(events.positions, [channel.topic for channel in channels])
        for channel in channels:
            if channel.at is None:
                channel.at = found[channel.topic]
            if channel.behind:
                self.spawn(self._fill(channel))

    async def _compare(self) -> None:
        """Fetch what the counter rows know of and we have not heard; after a new epoch everyone begins anew."""
        known = {c.topic: c for c in self.channels.values() if c.at is not None and c.followers}
        if not known:
            return
        for topic, position in (await in_thread(events.positions, known)).items():
            channel = known[topic]
            assert channel.at is not None
            if channel.at.epoch != position.epoch:
                channel.at, channel.heard = position, position.seq
                self._begin_anew(channel)
            elif position.seq > channel.at.seq:
                channel.heard = max(channel.heard, position.seq)
                await self._fill(channel)

    async def _fill(self, channel: Channel) -> None:
        """Deliver from the event log, in order, up to what was heard of."""
        if channel.filling:
            return
        channel.filling = True
        try:
            while channel.at is not None and channel.behind:
                await self._fill_once(channel, channel.at)
        except DatabaseError as error:
            logger.warning("%s: not refilled yet: %s", channel.topic, error)  # the next beat tries again
        finally:
            channel.filling = False

    async def _fill_once(self, channel: Channel, at: Position) -> None:
        heard = channel.heard
        now = (await in_thread(events.positions, [channel.topic]))[channel.topic]
        missed = await in_thread(events.replay, channel.topic, at, now)
        channel.at = now
        if channel.heard == heard:
            channel.heard = now.seq  # whatever was heard of beyond the counter row had another epoch
        if missed is None:
            self._begin_anew(channel)
        for message in missed or ():
            self._deliver(channel, message)

    # --- Doubt ----------------------------------------------------------------------------------------------------

    async def _resync(self) -> None:
        """Messages may have been lost: join what is not joined, re-read what is conflated, compare what is numbered."""
        metrics.count("streaming.resyncs")
        self._examine({connection.user.pk for connection in self.connections if connection.user.is_authenticated})
        followed = [channel for channel in self.channels.values() if channel.followers]
        for channel in followed:
            if channel.kind is not Kind.LOSSLESS:
                await self._reread(channel)

    async def _reread(self, channel: Channel) -> None:
        """Deliver the present state to all followers, who were all permitted to have it."""
        follower = next(iter(channel.followers), None)
        if follower is None:
            return
        for message in await in_thread(snapshots.snapshot, follower.grant, follower.connection.user):
            self._deliver(channel, message)

    def _begin_anew(self, channel: Channel) -> None:
        """What was missed is not to be had any more: each follower gets the state instead."""
        for follower in list(channel.followers):
            if follower.held is None:
                follower.connection.begin_anew(follower)

    def _beaten(self, n: int) -> None:
        silent = _now() - self._heard_at > settings.HUB_SILENCE_S
        if n != self._received + 1 or silent:
            self._doubt()
        self._received, self._heard_at = n, _now()

    def _doubt(self) -> None:
        """Messages may have been lost; what was must be read anew when the layer is heard of again."""
        self._doubt_since = _now()

    async def _beat(self) -> None:
        """One heartbeat, and what is due with it."""
        if not self._opened.is_set():
            return
        self._sent += 1
        body = self._layer.serialize({"type": BEAT, "n": self._sent})
        receivers = await async_client(settings.PUBLISH_TIMEOUT_S).publish(self._name, body)
        if receivers == 0:
            self._doubt()  # the layer's subscription is gone just now, and so are the messages
        if _now() - self._heard_at > 2 * settings.HUB_SILENCE_S:
            await self._rebuild()
        elif self._doubt_since is not None and self._heard_at >= self._doubt_since:
            self._doubt_since = None
            await self._resync()
        await self._leave_empty()

    async def _pulse(self) -> None:
        while True:
            await asyncio.sleep(settings.HUB_HEARTBEAT_S)
            for due in (self._beat, self._compare, self._tend):
                try:
                    await due()
                except (redis.RedisError, DatabaseError, OSError) as error:
                    self._doubt()
                    logger.warning("the hub's heartbeat did not come through: %s", error)
                except Exception:  # the pulse must go on
                    logger.exception("the hub's heartbeat failed")

    async def _tend(self) -> None:
        """Keep the living connections' leases, end the dead ones, and count what was delivered."""
        self._count_delivered()
        for connection in list(self.connections):
            connection.close_if_idle(settings.WEBSOCKET_TIMEOUT_S)
            connection.close_if_expired(time.time())
        if _now() >= self._renew_at:
            self._renew_at = _now() + settings.CONNECTION_LEASE_TTL_S / 3
            await quotas.renew([connection.lease for connection in self.connections])
        if self.reporter.due(time.time()):
            await presence.tell(self._report())

    def _count_delivered(self) -> None:
        """Now and then all at once: the counter has a lock."""
        metrics.count("streaming.delivered", self.reporter.delivered - self._counted)
        self._counted = self.reporter.delivered

    def _report(self) -> presence.Report:
        topics = {channel.topic: len(channel.followers) for channel in self.channels.values() if channel.followers}
        return self.reporter.report(self.connections, topics, time.time())

    async def _leave_empty(self) -> None:
        expired = _now() - settings.HUB_LINGER_S
        for channel in list(self.channels.values()):
            if channel.empty_since is not None and channel.empty_since < expired:
                del self.channels[channel.topic]
                self._subscriber.unsubscribe(channel_of(channel.topic))

    # --- Life -----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Safe to call again."""
        if not self._running:
            self._running = True
            self._layer = get_channel_layer()
            self.spawn(self._open())
            self.spawn(self._pulse())

    async def _open(self) -> None:
        """Listen to Redis: to one's own heartbeat, to what is told to all hubs, and to what is followed."""
        self._opened.clear()
        self._subscriber.channels |= {self._name, channel_of(control.TOPIC)}
        while True:
            try:
                await self._subscriber.open()
                break
            except (redis.RedisError, OSError) as error:
                logger.warning("the hub cannot listen yet: %s", error)
                await asyncio.sleep(settings.HUB_HEARTBEAT_S)
        self._heard_at = _now()
        self._opened.set()

    def _deafened(self) -> None:
        """The connection to Redis has ended, however soon there is another."""
        self._doubt()
        self.spawn(self._open())

    async def _rebuild(self) -> None:
        """Nothing is heard although Redis answers: listen anew."""
        logger.warning("the hub hears nothing; it listens anew")
        metrics.count("streaming.layer_rebuilds")
        self._doubt()
        await self._open()

    async def close(self) -> None:
        """End the hub's tasks and its part of the layer. For an event loop that ends while the process lives."""
        _hubs.pop(asyncio.get_running_loop(), None)
        # Until all have ended, those included that are started meanwhile.
        while tasks := [task for task in self._tasks if not task.done()]:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=settings.HUB_HEARTBEAT_S)
        self._subscriber.close()
        self._count_delivered()
        with contextlib.suppress(redis.RedisError):
            await presence.gone(self.reporter.process)

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run it beside everything else; a failure is logged."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a task of the hub failed", exc_info=error)


def _now() -> float:
    return time.monotonic()
