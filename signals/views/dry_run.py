"""Would it have fired? Over HTTP: as figures, or as a picture with `?format=svg`."""

import datetime as dt
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import ValidationError
from rest_framework.views import APIView

from signals import alerts, charts, conditions, dry_run
from signals.models import Alert
from signals.rules import InvalidRule
from signals.serializers.dry_run import DryRunOfNew, DryRunQuery, DryRunSchema

_ANSWERS = {(200, "application/json"): DryRunSchema, (200, "image/svg+xml"): OpenApiTypes.STR}


class SvgRenderer(BaseRenderer):
    """A picture that was made already."""

    media_type = "image/svg+xml"
    format = "svg"
    charset = "utf-8"

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        return str(data).encode()


class _DryRun(APIView):
    """What both have in common."""

    renderer_classes = [JSONRenderer, SvgRenderer]

    def handle_exception(self, exc: Exception) -> Response:
        # Whoever asked for a picture reads an error as everybody does.
        self.request.accepted_renderer, self.request.accepted_media_type = JSONRenderer(), JSONRenderer.media_type
        return super().handle_exception(exc)

    def answer(self, request: Request, alert: Alert, asked: Mapping[str, dt.datetime]) -> Response:
        try:
            run = dry_run.run(alert, asked.get("start"), asked.get("end"), timezone.now())
        except dry_run.Refused as refused:
            raise ValidationError({field: [text] for field, text in refused.errors.items()}) from refused
        if request.accepted_renderer.format == SvgRenderer.format:
            return Response(charts.svg(dry_run.picture(run, alert.name)), headers=_ALONE)
        span = {"start": run.start.isoformat(), "end": run.end.isoformat()}
        url = request.build_absolute_uri(f"{request.path}?{urlencode({'format': 'svg', **span})}")
        return Response(dry_run.payload(run, url))


# Opened by itself it may load and run nothing, whatever stands in an alert's name.
_ALONE = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}


class DryRunOfAlert(_DryRun):
    """Of one of the user's alerts, as it is asked now."""

    @extend_schema(operation_id="alerts_dry_run_retrieve", parameters=[DryRunQuery], responses=_ANSWERS)
    def get(self, request: Request, alert_id: int) -> Response:
        """Judge it over the past, as if it had been armed at `start`. Nothing is told and nothing is changed."""
        return self._run(request, alert_id)

    @extend_schema(operation_id="alerts_dry_run_create", parameters=[DryRunQuery], request=None, responses=_ANSWERS)
    def post(self, request: Request, alert_id: int) -> Response:
        """The same."""
        return self._run(request, alert_id)

    def _run(self, request: Request, alert_id: int) -> Response:
        rows = Alert.objects.visible_to(request.user).select_related("instrument", "user")
        alert = get_object_or_404(rows, pk=alert_id)
        try:
            rule = conditions.recall(alert)
        except InvalidRule as error:
            raise ValidationError({"condition": [str(error)]}) from error
        if wrong := conditions.wrong_with(alert, rule, conditions.world([(alert.user_id, rule)])):
            raise ValidationError({"condition": [wrong]})
        return self.answer(request, alert, _time(request))


class DryRunOfNewAlert(_DryRun):
    """Of an alert that isn't made yet."""

    @extend_schema(
        operation_id="alerts_dry_run_of_new",
        parameters=[DryRunQuery],
        request=DryRunOfNew,
        responses=_ANSWERS,
    )
    def post(self, request: Request) -> Response:
        """Judge it over the past, as if it had been armed at `start`. Nothing is made."""
        asked = _time(request)
        body = DryRunOfNew(data=request.data)
        body.is_valid(raise_exception=True)
        try:
            alert = alerts.draft(request.user, alerts.Wish(**body.wish()))
        except alerts.Refused as refused:
            raise ValidationError({field: [text] for field, text in refused.errors.items()}) from refused
        given = {name: body.validated_data[name] for name in ("start", "end") if name in body.validated_data}
        return self.answer(request, alert, {**given, **asked})


def _time(request: Request) -> dict[str, dt.datetime]:
    query = DryRunQuery(data=request.query_params.dict())
    query.is_valid(raise_exception=True)
    return {name: query.validated_data[name] for name in ("start", "end") if name in query.validated_data}
