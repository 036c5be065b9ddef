"""How many calls one user, or one address that is not signed in, may make in a minute: counted across web processes."""

import logging
import time
from typing import Any

import redis
from django.conf import settings
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from worker.redis import client, key

logger = logging.getLogger(__name__)

WINDOW_S = 60


class PerMinute(BaseThrottle):
    """API_CALLS_PER_MINUTE for a user, API_CALLS_PER_MINUTE_ANONYMOUS for an address; 0 is no limit.

    By the minutes of the clock: simple, and at worst twice the limit within sixty seconds. While Redis is away nobody
    is refused.
    """

    def allow_request(self, request: Request, view: Any) -> bool:
        """Count the call."""
        signed_in = bool(request.user and request.user.is_authenticated)
        limit: int = settings.API_CALLS_PER_MINUTE if signed_in else settings.API_CALLS_PER_MINUTE_ANONYMOUS
        if not limit:
            return True
        who = f"user:{request.user.pk}" if signed_in else f"address:{self._address(request)}"
        return self._count(key("calls", who, str(int(time.time()) // WINDOW_S))) <= limit

    def wait(self) -> float:
        """Seconds until the next minute; it goes into `Retry-After`."""
        return WINDOW_S - time.time() % WINDOW_S

    def _address(self, request: Request) -> str:
        # The web server has put the client's own address here where TRUSTED_PROXIES says so.
        return str(request.META.get("REMOTE_ADDR", ""))

    def _count(self, name: str) -> int:
        try:
            with client().pipeline(transaction=True) as pipe:
                pipe.incr(name)
                pipe.expire(name, 2 * WINDOW_S)
                return int(pipe.execute()[0])
        except redis.RedisError as error:
            logger.warning("calls are not counted: %s", error)
            return 0
