"""The feeds over HTTP: how they are doing for whoever is signed in, their switches for staff."""

import time
from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.permissions import SAFE_METHODS, BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ingestion import control, status, terms
from ingestion.models import Feed
from ingestion.schemas import FeedSchema, page
from ingestion.serializers import FeedAction
from worker.paging import results


class StaffChanges(BasePermission):
    """Whoever is signed in may read; only staff may change."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        return request.method in SAFE_METHODS or bool(request.user and request.user.is_staff)


class Feeds(APIView):
    """How the feeds are doing."""

    permission_classes = [IsAuthenticated]

    @extend_schema(operation_id="feeds_list", responses=page(FeedSchema))
    def get(self, request: Request) -> Response:
        """Every feed of this installation, as its listener last told, with what staff want of it."""
        return results(_all(request.user.is_staff))


class OneFeed(APIView):
    """One feed and its switches."""

    permission_classes = [IsAuthenticated, StaffChanges]

    @extend_schema(operation_id="feeds_retrieve", responses=FeedSchema)
    def get(self, request: Request, provider: str) -> Response:
        """As in the list."""
        return Response(_one(provider, request.user.is_staff))

    @extend_schema(operation_id="feeds_change", request=FeedAction, responses=FeedSchema)
    def post(self, request: Request, provider: str) -> Response:
        """Start, stop, pause until a time, or resume. Its listener follows within seconds; who asked is noted."""
        body = FeedAction(data=request.data)
        body.is_valid(raise_exception=True)
        given = body.validated_data
        if provider not in control.available():
            raise NotFound(f"There is no provider “{provider}”.")
        try:
            control.change(provider, given["action"], request.user, given["reason"], given["until"])
        except control.Refused as refused:
            raise serializers.ValidationError({refused.field: [str(refused)]}) from refused
        return Response(_one(provider, request.user.is_staff))


def _one(provider: str, staff: bool) -> dict[str, Any]:
    for feed in _all(staff):
        if feed["provider"] == provider:
            return feed
    raise NotFound(f"There is no feed “{provider}” here.")


def _all(staff: bool) -> list[dict[str, Any]]:
    now_us = time.time_ns() // 1000
    wanted = {feed.provider: feed for feed in Feed.objects.select_related("changed_by")}
    providers = list(dict.fromkeys((*settings.FEEDS, *control.configured(), *wanted)))
    running = control.running()
    told = status.feeds(now_us, providers)
    return [_feed(feed, wanted.get(feed.provider), feed.provider in running, now_us, staff) for feed in told]


def _feed(feed: status.FeedStatus, wanted: Feed | None, running: bool, now_us: int, staff: bool) -> dict[str, Any]:
    told = status.payload(feed, now_us)
    if not staff:
        # How its connections fare, in the words of their errors, is for those who run this.
        told |= {"last_error": "", "connections": []}
    known = terms.of(feed.provider)
    return told | {
        "wanted": _wanted(wanted, running),
        "paused_until": wanted.paused_until if wanted is not None and not running else None,
        "reason": wanted.reason if wanted is not None else "",
        "changed_by": wanted.changed_by.get_username() if wanted is not None and wanted.changed_by else None,
        "changed_at": wanted.changed_at if wanted is not None else None,
        "delay_s": known.delay_s,
        "terms": known.note,
    }


def _wanted(feed: Feed | None, running: bool) -> str:
    if running:
        return "running"
    return "paused" if feed is not None and feed.wanted != Feed.Wanted.STOPPED else "stopped"
