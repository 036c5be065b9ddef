"""The servers in Python, each as it would run in production: one process of uvicorn on uvloop; picows without either.

python -m tests.bench.fanout.servers tapehouse|nagle|uvloop|core|pubsub|picows|sends PORT
"""

import json
import os
import re
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any


def set_up_django() -> None:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    django.setup()


def tapehouse(port: int, bare: bool = False, nodelay: bool = True) -> None:
    """The production hub, consumer, outbox, wire and event loop; only the topic is the bench's own.

    bare: uvloop without aiofastnet's transports. nodelay: False leaves Nagle's algorithm on, as nchan does: small
    frames wait for the client's acknowledgement.
    """
    set_up_django()
    from streaming import loop, routing, topics
    from streaming.protocol import Address
    from streaming.wire import TapehouseWebSocketProtocol

    class Bench(topics.Topic):
        prefix, kind, public = "bench", topics.Kind.CONFLATED, True

        def resolve(self, key: str, user: Any) -> Address:
            return Address(topic=f"bench:{key}", name=f"bench:{key}", symbol=key)

    class Delaying(TapehouseWebSocketProtocol):
        def connection_made(self, transport: Any) -> None:
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
            super().connection_made(transport)

    topics.register(Bench())
    protocol = TapehouseWebSocketProtocol if nodelay else Delaying
    serve(routing.application(), port, protocol, "uvloop" if bare else loop.FACTORY)


def usual(kind: str, port: int) -> None:
    """What the Channels tutorial teaches: each consumer is a member of the group and sends its own JSON."""
    set_up_django()
    from channels.generic.websocket import AsyncJsonWebsocketConsumer
    from channels.layers import channel_layers
    from channels.routing import URLRouter
    from django.urls import re_path

    channel_layers.set("default", layer_of(kind))

    class Consumer(AsyncJsonWebsocketConsumer):
        async def receive_json(self, content: Any, **_: Any) -> None:
            for topic in content["data"]["topics"]:
                await self.channel_layer.group_add(topic.replace(":", "."), self.channel_name)
            await self.send_json({"type": "subscribed"})

        async def asset_update(self, event: Any) -> None:
            await self.send_json(event["data"])

    serve(URLRouter([re_path("ws/", Consumer.as_asgi())]), port, "auto")


def layer_of(kind: str) -> Any:
    """A channel layer of channels_redis under the bench's own prefix."""
    # redis-py's limit of 5 s would close quiet connections: the core layer blocks for that long in BZPOPMIN.
    hosts = [{"address": os.environ["REDIS_URL"], "socket_timeout": 15}]
    if kind == "core":
        from channels_redis.core import RedisChannelLayer as Layer
    else:
        from channels_redis.pubsub import RedisPubSubChannelLayer as Layer
    return Layer(hosts=hosts, prefix=f"{os.environ['REDIS_PREFIX']}-usual")


def serve(application: Any, port: int, ws: Any, loop: str = "uvloop") -> None:
    import uvicorn

    uvicorn.run(
        application, host="127.0.0.1", port=port, ws=ws, loop=loop, lifespan="off",
        log_level="error", access_log=False, backlog=4096, ws_per_message_deflate=False,
    )  # fmt: skip


def picows(port: int) -> None:
    """A WebSocket broadcast with nothing around it: picows on uvloop, Redis's pub/sub, and sets of transports."""
    import uvloop

    uvloop.run(_Broadcast().serve(port))


def sends(port: int) -> None:
    """What the kernel itself takes, and Redis: one thread that makes each frame once and calls `send` for each socket.

    No event loop, no backlog, no pings, no protocol beyond the handshake: nobody could run this.
    """
    import redis

    from streaming.frames import text_frame

    pubsub = redis.Redis.from_url(os.environ["REDIS_URL"]).pubsub()
    pubsub.psubscribe("bench.*")
    listener = socket.create_server(("127.0.0.1", port), backlog=4096)
    followers: dict[str, list[Callable[[bytes], int]]] = {}
    threading.Thread(target=accept, args=(listener, followers), daemon=True).start()
    for message in pubsub.listen():
        if message["type"] == "pmessage":
            frame = text_frame(message["data"])
            for send in followers.get(message["channel"].decode().partition(".")[2], ()):
                send(frame)


def accept(listener: socket.socket, followers: dict[str, list[Callable[[bytes], int]]]) -> None:
    """Shake hands with our own clients, one after the other, and note what they subscribe to."""
    from websockets.utils import accept_key

    from streaming.frames import text_frame

    while True:
        client = listener.accept()[0]
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as every event loop does
        if not (asked := client.recv(65536)):
            continue
        key = next(line for line in asked.decode().splitlines() if line.startswith("Sec-WebSocket-Key: "))
        client.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            + f"Sec-WebSocket-Accept: {accept_key(key.partition(' ')[2])}\r\n\r\n".encode()
        )
        said = client.recv(65536)  # their mask is zero
        for symbol in re.findall(rb'"bench:(\w+)"', said):
            followers.setdefault(symbol.decode(), []).append(client.send)
        client.sendall(text_frame(b'{"type":"subscribed"}'))


class _Broadcast:
    def __init__(self) -> None:
        self.transports: dict[str, set[Any]] = {}

    async def serve(self, port: int) -> None:
        import asyncio

        import picows
        import redis.asyncio

        pubsub = redis.asyncio.Redis.from_url(os.environ["REDIS_URL"]).pubsub()
        await pubsub.psubscribe("bench.*")
        forwarding = asyncio.create_task(self.forward(pubsub, picows.WSMsgType.TEXT))
        server = await picows.ws_create_server(lambda _request: self.listener(picows), "127.0.0.1", port)
        await asyncio.gather(forwarding, server.serve_forever())

    async def forward(self, pubsub: Any, text: Any) -> None:
        async for message in pubsub.listen():
            if message["type"] == "pmessage":
                symbol = message["channel"].decode().partition(".")[2]
                for transport in self.transports.get(symbol, ()):
                    transport.send(text, message["data"])

    def listener(self, picows: Any) -> Any:
        broadcast = self

        class Listener(picows.WSListener):  # type: ignore[misc, name-defined]
            def on_ws_connected(self, transport: Any) -> None:
                self.transport = transport

            def on_ws_frame(self, transport: Any, frame: Any) -> None:
                if frame.msg_type == picows.WSMsgType.TEXT:
                    for topic in json.loads(frame.get_payload_as_bytes())["data"]["topics"]:
                        broadcast.transports.setdefault(topic.partition(":")[2], set()).add(transport)
                    transport.send(picows.WSMsgType.TEXT, b'{"type":"subscribed"}')

            def on_ws_disconnected(self, transport: Any) -> None:
                for following in broadcast.transports.values():
                    following.discard(transport)

        return Listener()


if __name__ == "__main__":
    name, port = sys.argv[1], int(sys.argv[2])
    match name:
        case "tapehouse":
            tapehouse(port)
        case "nagle":
            tapehouse(port, nodelay=False)
        case "uvloop":
            tapehouse(port, bare=True)
        case "picows":
            picows(port)
        case "sends":
            sends(port)
        case _:
            usual(name, port)
