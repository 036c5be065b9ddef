"""What a call is answered when it fails for no fault of the caller's."""

import logging
from typing import Any

import redis
from django.db import InterfaceError, OperationalError
from rest_framework import status
from rest_framework.response import Response
from rest_framework.views import exception_handler

logger = logging.getLogger(__name__)

RETRY_AFTER_S = 5


def answer(error: Exception, context: dict[str, Any]) -> Response | None:
    """As Django REST framework answers; 503 with `Retry-After` while the database or Redis is away."""
    if not isinstance(error, redis.RedisError | OperationalError | InterfaceError):
        return exception_handler(error, context)
    logger.warning("a call was refused, a store is away: %s", error)
    told = {"detail": "A store cannot be reached just now. Try again."}
    return Response(told, status=status.HTTP_503_SERVICE_UNAVAILABLE, headers={"Retry-After": str(RETRY_AFTER_S)})
