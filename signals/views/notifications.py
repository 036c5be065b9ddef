"""Notifications over HTTP. A foreign one is one that doesn't exist."""

from typing import Any

from django.db.models import Count, QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import generics, status
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from signals import notifications
from signals.models import Notification
from signals.serializers.notifications import (
    ChangedNotification,
    NotificationFilter,
    NotificationSerializer,
    ReadAll,
    ReadCount,
    ReadMany,
    UnreadCount,
)
from signals.views.access import user_id


class Notifications(generics.ListAPIView):
    """What the user was told, newest first."""

    serializer_class = NotificationSerializer

    def get_queryset(self) -> QuerySet[Notification]:
        query = NotificationFilter(data=self.request.query_params.dict())
        query.is_valid(raise_exception=True)
        return _own(self.request).filter(**query.columns())

    @extend_schema(parameters=[NotificationFilter])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Without those that were put away, unless they are asked for."""
        return self.list(request, *args, **kwargs)

    @extend_schema(request=ReadMany, responses=ReadMany)
    def post(self, request: Request) -> Response:
        """Mark notifications as read; answers with those that were unread."""
        body = ReadMany(data=request.data)
        body.is_valid(raise_exception=True)
        read = notifications.mark_read(user_id(request), body.validated_data["notification_ids"])
        return Response({"notification_ids": read})


class ReadEverything(APIView):
    """All of the user's own at once."""

    @extend_schema(request=ReadAll, responses=ReadCount)
    def post(self, request: Request) -> Response:
        """Mark all as read, or all up to the newest that was seen; the other tabs and devices hear of it."""
        body = ReadAll(data=request.data)
        body.is_valid(raise_exception=True)
        newest = body.validated_data.get("up_to")
        up_to = None if newest is None else _named(request, newest)
        return Response({"read": len(notifications.mark_all_read(user_id(request), up_to))})


class Unread(APIView):
    """How many wait to be read."""

    @extend_schema(responses=UnreadCount)
    def get(self, request: Request) -> Response:
        """In all, and of each priority."""
        counted = _own(request).filter(read=False).order_by().values_list("priority").annotate(Count("pk"))
        by_priority = dict.fromkeys(Notification.Priority.values, 0) | dict(counted)
        return Response({"unread": sum(by_priority.values()), "by_priority": by_priority})


class OneNotification(APIView):
    """One of the user's own."""

    @extend_schema(responses=NotificationSerializer)
    def get(self, request: Request, notification_id: str) -> Response:
        """As it is."""
        return Response(NotificationSerializer(_one(request, notification_id)).data)

    @extend_schema(request=ChangedNotification, responses=NotificationSerializer)
    def patch(self, request: Request, notification_id: str) -> Response:
        """Mark it as read, put it away, or take it out again."""
        row = _one(request, notification_id)
        body = ChangedNotification(data=request.data)
        body.is_valid(raise_exception=True)
        notifications.change(row, **body.validated_data)
        row.refresh_from_db(fields=["read", "archived"])
        return Response(NotificationSerializer(row).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, notification_id: str) -> Response:
        """Put it away: it is a record, and stays one."""
        notifications.change(_one(request, notification_id), archived=True)
        return Response(status=status.HTTP_204_NO_CONTENT)


def _own(request: Request) -> QuerySet[Notification]:
    return Notification.objects.filter(user_id=user_id(request))


def _one(request: Request, notification_id: str) -> Notification:
    if "\0" in notification_id:
        raise Http404
    return get_object_or_404(_own(request), public_id=notification_id)


def _named(request: Request, notification_id: str) -> Notification:
    """As `_one`, named in a body."""
    found = _own(request).filter(public_id=notification_id).first()
    if found is None:
        raise ValidationError({"up_to": ["There is no such notification."]})
    return found
