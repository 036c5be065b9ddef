"""Events by a plain loop, for programs without asyncio: the client runs in a thread of its own."""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Final

from tapehouse_client.client import Client
from tapehouse_client.conversation import Event

# Beyond it the client's own buffer fills, which knows what may be let go.
_READY_MAX: Final = 16


def events(
    url: str, *topics: str, token: str | Callable[[], str] | None = None, interval_ms: int = 100
) -> Iterator[Event]:
    """Events of these topics, for ever. Leaving the loop ends the connection. Raises Refused, ConnectionRefused."""
    ready: queue.Queue[Event | Exception] = queue.Queue(_READY_MAX)
    stopped = threading.Event()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(
        target=_run, args=(loop, Client(url, token, interval_ms), topics, ready, stopped), name="tapehouse", daemon=True
    )
    thread.start()
    try:
        while True:
            got = ready.get()
            if isinstance(got, Exception):
                raise got
            yield got
    finally:
        stopped.set()
        thread.join()


def _run(
    loop: asyncio.AbstractEventLoop,
    client: Client,
    topics: tuple[str, ...],
    ready: "queue.Queue[Event | Exception]",
    stopped: threading.Event,
) -> None:
    with contextlib.closing(loop):
        loop.run_until_complete(_pump(client, topics, ready, stopped))


async def _pump(
    client: Client, topics: tuple[str, ...], ready: "queue.Queue[Event | Exception]", stopped: threading.Event
) -> None:
    async with client:
        subscription = client.subscribe(*topics)
        while not stopped.is_set():
            try:
                got: Event | Exception = await asyncio.wait_for(anext(subscription), 0.1)
            except TimeoutError:
                continue
            except Exception as error:  # the reader's to handle, in its own thread
                got = error
            await _hand_over(got, ready, stopped)
            if isinstance(got, Exception):
                return


async def _hand_over(got: Event | Exception, ready: "queue.Queue[Event | Exception]", stopped: threading.Event) -> None:
    while not stopped.is_set():
        try:
            ready.put_nowait(got)
            return
        except queue.Full:
            await asyncio.sleep(0.01)
