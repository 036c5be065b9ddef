"""Notifications over HTTP. A foreign one is one that doesn't exist."""

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from signals.models import Notification
from signals.notifications import mark_read
from signals.serializers.notifications import NotificationSerializer, ReadMany, ReadOne
from signals.views.access import user_id


@extend_schema_view(get=extend_schema(parameters=[OpenApiParameter("unread", bool)]))
class Notifications(generics.ListAPIView):
    """What the user was told, newest first."""

    serializer_class = NotificationSerializer

    def get_queryset(self) -> QuerySet[Notification]:
        rows = Notification.objects.filter(user_id=user_id(self.request))
        only_unread = self.request.query_params.get("unread", "").lower() in ("1", "true")
        return rows.filter(read=False) if only_unread else rows

    @extend_schema(request=ReadMany, responses=ReadMany)
    def post(self, request: Request) -> Response:
        """Mark notifications as read; answers with those that were unread."""
        body = ReadMany(data=request.data)
        body.is_valid(raise_exception=True)
        return Response({"notification_ids": mark_read(user_id(request), body.validated_data["notification_ids"])})


class OneNotification(APIView):
    """One of the user's own."""

    @extend_schema(request=ReadOne, responses=NotificationSerializer)
    def patch(self, request: Request, notification_id: str) -> Response:
        """Mark it as read."""
        own = Notification.objects.filter(user_id=user_id(request))
        row = get_object_or_404(own, public_id=notification_id)
        body = ReadOne(data=request.data)
        body.is_valid(raise_exception=True)
        mark_read(user_id(request), [row.public_id])
        row.refresh_from_db(fields=["read"])
        return Response(NotificationSerializer(row).data)
