"""The event loop of a web process: uvloop, whose servers' connections have aiofastnet's transports, which write to many
sockets at less cost (docs/performance.md, "Fan-out").

Only those: such a transport must not be touched by another thread, not even by the garbage collector of one, and the
writers of Redis clients may be collected anywhere.
"""

import asyncio
from functools import partial
from typing import Final

import aiofastnet
import uvloop

# For uvicorn, which takes the loop's factory by its name.
FACTORY: Final = f"{__name__}:new_event_loop"


def new_event_loop() -> asyncio.AbstractEventLoop:
    loop = uvloop.new_event_loop()
    loop.create_server = partial(aiofastnet.create_server, loop)  # type: ignore[method-assign]
    return loop
