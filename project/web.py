"""The web process: uvicorn on one socket. `python -m project.web`."""

import errno
import os
import socket
import sys

import uvicorn

from streaming import loop
from streaming.wire import TapehouseWebSocketProtocol


class AddressTaken(Exception):
    """Somebody listens there. `variable` is the setting to change."""

    def __init__(self, host: str, port: int, variable: str) -> None:
        super().__init__(f"{host}:{port} is taken by another program. Set {variable} to a free port.")
        self.host, self.port, self.variable = host, port, variable


def listen(host: str, port: int, variable: str) -> socket.socket:
    """A bound socket. Raises AddressTaken."""
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            raise AddressTaken(host, port, variable) from error
        raise
    return bound


def configuration() -> uvicorn.Config:
    """uvicorn as we run it. Django's LOGGING speaks for it; a request log is the proxy's business."""
    from django.conf import settings

    return uvicorn.Config(
        "project.asgi:application",
        host=settings.HOST,
        port=settings.PORT,
        loop=loop.FACTORY,
        http="httptools",
        ws=TapehouseWebSocketProtocol,
        # The session answers a message over its limit with an error; far above it, nobody reads on.
        ws_max_size=4 * settings.MAX_MESSAGE_BYTES,
        lifespan="off",
        log_config=None,
        access_log=settings.WEB_ACCESS_LOG,
        server_header=False,
        proxy_headers=bool(settings.TRUSTED_PROXIES),
        forwarded_allow_ips=settings.TRUSTED_PROXIES,
        timeout_graceful_shutdown=settings.WEB_STOP_TIMEOUT_S,
    )


def main() -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    config = configuration()
    try:
        bound = listen(config.host, config.port, "PORT")
    except AddressTaken as taken:
        sys.stderr.write(f"{taken}\n")
        return 1
    uvicorn.Server(config).run(sockets=[bound])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
