"""A user's alerts over HTTP. Somebody else's is one that doesn't exist."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import generics, serializers, status
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from signals import alerts, conditions
from signals.models import Alert, Firing
from signals.serializers.alerts import (
    AlertFilter,
    AlertSerializer,
    ChangedAlert,
    FiringSerializer,
    NewAlert,
    Snoozing,
)


class Alerts(generics.ListAPIView):
    """The user's alerts, newest first."""

    serializer_class = AlertSerializer

    def get_queryset(self) -> QuerySet[Alert]:
        query = AlertFilter(data=self.request.query_params.dict())
        query.is_valid(raise_exception=True)
        asked = query.validated_data
        rows = Alert.objects.visible_to(self.request.user).select_related("instrument")
        if "status" in asked:
            rows = rows.in_status(asked["status"], timezone.now())
        return rows.about(asked["symbol"].pk) if "symbol" in asked else rows

    @extend_schema(parameters=[AlertFilter])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Of every status, unless some are named."""
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(_told(page or []))

    @extend_schema(request=NewAlert, responses={201: AlertSerializer})
    def post(self, request: Request) -> Response:
        """Make an alert. An error names the place in the condition, and then nothing was written."""
        body = NewAlert(data=request.data)
        body.is_valid(raise_exception=True)
        with _answered():
            wish, enabled = alerts.Wish(**body.wish()), body.validated_data.get("enabled", True)
            made = alerts.create(request.user, wish, timezone.now(), enabled)
        return Response(_one(made), status=status.HTTP_201_CREATED)


class OneAlert(APIView):
    """One of the user's alerts."""

    @extend_schema(responses=AlertSerializer)
    def get(self, request: Request, alert_id: int) -> Response:
        """As it is now."""
        return Response(_one(_own(request, alert_id)))

    @extend_schema(request=ChangedAlert, responses=AlertSerializer)
    def patch(self, request: Request, alert_id: int) -> Response:
        """Change what is named. What is asked anew is armed anew; `enabled` switches it off, or on and arms it."""
        alert = _own(request, alert_id)
        body = ChangedAlert(data=request.data, partial=True)
        body.is_valid(raise_exception=True)
        return _changed(alert, body.wish(), body.validated_data.get("enabled"))

    @extend_schema(request=None, responses={204: None})
    def delete(self, request: Request, alert_id: int) -> Response:
        """With its firings. What was told of it stays told."""
        with _answered():
            alerts.delete(_own(request, alert_id))
        return Response(status=status.HTTP_204_NO_CONTENT)


class Snooze(APIView):
    """Silence for a while."""

    @extend_schema(request=Snoozing, responses=AlertSerializer)
    def post(self, request: Request, alert_id: int) -> Response:
        """Tell nothing until then. What comes true meanwhile and lasts is told afterwards."""
        alert = _own(request, alert_id)
        body = Snoozing(data=request.data)
        body.is_valid(raise_exception=True)
        with _answered():
            return Response(_one(alerts.snooze(alert, body.validated_data["until"])))

    @extend_schema(request=None, responses=AlertSerializer)
    def delete(self, request: Request, alert_id: int) -> Response:
        """Tell again from now on."""
        with _answered():
            return Response(_one(alerts.snooze(_own(request, alert_id), None)))


class Rearm(APIView):
    """Another go."""

    @extend_schema(
        request=None,
        responses={200: AlertSerializer, 400: OpenApiResponse(description="It has expired, or cannot be judged.")},
    )
    def post(self, request: Request, alert_id: int) -> Response:
        """Arm it anew, whatever became of it. What is true now has to be false first."""
        return _changed(_own(request, alert_id), {}, True)


class Firings(generics.ListAPIView):
    """When an alert fired, and why, newest first."""

    serializer_class = FiringSerializer

    def get_queryset(self) -> QuerySet[Firing]:
        return Firing.objects.filter(alert=_own(self.request, self.kwargs["alert_id"]))


def _own(request: Request, alert_id: int) -> Alert:
    rows = Alert.objects.visible_to(request.user).select_related("instrument")
    found: Alert = get_object_or_404(rows, pk=alert_id)
    return found


def _changed(alert: Alert, changes: Mapping[str, Any], enabled: bool | None) -> Response:
    with _answered():
        return Response(_one(alerts.edit(alert, changes, timezone.now(), enabled)))


@contextmanager
def _answered() -> Iterator[None]:
    """What cannot be done is 400 and says why; an alert that somebody deletes at this very moment is 404."""
    try:
        yield
    except alerts.Refused as refused:
        errors = {field: [sentence] for field, sentence in refused.errors.items()}
        raise serializers.ValidationError(errors) from refused
    except Alert.DoesNotExist as gone:
        raise NotFound from gone


def _one(alert: Alert) -> Any:
    return _told([alert])[0]


def _told(rows: list[Alert]) -> Any:
    context = {"now": timezone.now(), "names": conditions.names_of(rows)}
    return AlertSerializer(rows, many=True, context=context).data
