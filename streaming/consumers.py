"""The socket's shell: who comes in, what it says, when it is gone. One consumer for every path."""

import logging
import uuid
from typing import Any

from channels.consumer import AsyncConsumer
from channels.exceptions import StopConsumer
from django.conf import settings
from django.db import Error as DatabaseError

from streaming import auth, hub, quotas
from streaming.connection import Connection
from streaming.dialects import Dialect, Opening
from streaming.identity import BEARER, NotSignedIn, identify
from streaming.protocol import Code
from streaming.quotas import Lease, OverLimit
from streaming.threads import in_thread
from streaming.writers import writer_for

logger = logging.getLogger(__name__)


class SocketConsumer(AsyncConsumer):
    """Accepts first and refuses then: a refusal before accepting would reach a browser as a bare 1006."""

    # No such layer: Channels then opens no channel of its own per connection. The hub is in the groups instead.
    channel_layer_alias = "none, the hub listens"
    dialect: Dialect = Dialect()

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.connection: Connection | None = None
        self.lease: Lease | None = None

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """However it ends, the connection leaves the hub and its lease is given back."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            if self.connection is not None:
                self.connection.lost()
                self.lease = self.connection.lease  # another than at the start, if it signed in since
            if self.lease is not None:
                await quotas.give_back(self.lease)

    async def dispatch(self, message: dict[str, Any]) -> None:
        """Without the thread hop per message in which Channels closes old database connections: ours never hold one."""
        await getattr(self, message["type"].replace(".", "_"))(message)

    async def websocket_connect(self, _message: dict[str, Any]) -> None:
        offered = self.scope.get("subprotocols", [])
        await self.base_send({"type": "websocket.accept", "subprotocol": BEARER if BEARER in offered else None})
        writer = writer_for(self.scope, self.base_send)
        try:
            identity = await in_thread(identify, self.scope)
        except NotSignedIn as refused:
            writer.close(Code.SIGN_IN_NEEDED, str(refused))
            return
        except DatabaseError as error:
            logger.warning("nobody can sign in: %s", error)
            writer.close(Code.UNAVAILABLE, "The database is away; come back a little later")
            return
        user = identity.user
        if not user.is_authenticated and not self._open_to_anonymous():
            writer.close(Code.SIGN_IN_NEEDED, "Sign in first")
            return
        address = auth.client_address(self.scope)
        opening = Opening(uuid.uuid4().hex, user.pk, self.scope["url_route"]["kwargs"])
        try:
            self.lease = await quotas.take(user, address, opening.connection_id)
        except OverLimit as over:
            writer.close(Code.OVER_LIMIT, str(over))
            return
        self.connection = Connection(hub.current(), self.dialect, writer, opening, identity, self.lease, address)
        await self.connection.open()

    def _open_to_anonymous(self) -> bool:
        return not self.dialect.needs_user and (settings.ANONYMOUS_MARKET_DATA or not self.dialect.market)

    async def websocket_receive(self, message: dict[str, Any]) -> None:
        if self.connection is None or self.connection.is_closed():
            return
        try:
            await self.connection.receive(message.get("text"))
        except Exception:  # our own fault, or a store's; the client may try again
            logger.exception("a message could not be carried out")
            self.connection.close(Code.UNAVAILABLE, "Something failed here; come back a little later")

    async def websocket_disconnect(self, _message: dict[str, Any]) -> None:
        raise StopConsumer
