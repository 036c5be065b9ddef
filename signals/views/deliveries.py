"""Where users are told, and the log of what went there. A foreign row is one that doesn't exist."""

import secrets
from typing import Any, Final

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import generics, serializers, status
from rest_framework.exceptions import APIException, Throttled
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from signals import attempts, vapid
from signals.channels import CHANNELS
from signals.models import Delivery, Destination
from signals.sealing import Unreadable
from signals.serializers.deliveries import (
    MASK,
    ChangedDestination,
    CreatedDestination,
    DeliveryFilter,
    DeliverySerializer,
    DestinationSerializer,
    NewDestination,
    PushKeySerializer,
    checked_config,
    split,
)
from signals.views.access import user_id

SECRET_BYTES: Final = 32
ADDRESS_MAX: Final = 255


class Conflict(APIException):
    """It cannot be done to the row as it is."""

    status_code = status.HTTP_409_CONFLICT


class Destinations(generics.ListAPIView):
    """The user's destinations."""

    serializer_class = DestinationSerializer
    ordering = "id"

    def get_queryset(self) -> QuerySet[Destination]:
        return Destination.objects.visible_to(self.request.user).with_newest()

    @extend_schema(request=NewDestination, responses={201: CreatedDestination})
    def post(self, request: Request) -> Response:
        """Add one. Send it a test next: only what has arrived somewhere is verified."""
        with transaction.atomic():
            _lock_owner(request)
            if Destination.objects.filter(user_id=user_id(request)).count() >= settings.MAX_DESTINATIONS_PER_USER:
                raise serializers.ValidationError(
                    {"detail": [f"You have {settings.MAX_DESTINATIONS_PER_USER} destinations, and may have no more."]}
                )
            body = NewDestination(data=request.data, context={"request": request})
            body.is_valid(raise_exception=True)
            given = dict(body.validated_data)
            config, generated = _with_secret(given["kind"], given.pop("config"))
            row = Destination(user_id=user_id(request), **given)
            _configure(row, checked_config(row.kind, config))
            row.save()
        answer = DestinationSerializer(row).data | ({"generated": generated} if generated else {})
        return Response(answer, status=status.HTTP_201_CREATED)


class OneDestination(APIView):
    """One of the user's destinations."""

    @extend_schema(responses=DestinationSerializer)
    def get(self, request: Request, destination_id: int) -> Response:
        """As it is, its secrets masked."""
        return Response(DestinationSerializer(_own(request, destination_id)).data)

    @extend_schema(request=ChangedDestination, responses=DestinationSerializer)
    def patch(self, request: Request, destination_id: int) -> Response:
        """Change it. A changed configuration has to prove itself anew; switching it on forgets its failures."""
        with transaction.atomic():
            _lock_owner(request)
            row = _own(request, destination_id, lock=True)
            body = ChangedDestination(row, data=request.data, context={"request": request}, partial=True)
            body.is_valid(raise_exception=True)
            changed = _change(row, dict(body.validated_data))
            row.save(update_fields=changed)
        return Response(DestinationSerializer(row).data)

    @extend_schema(responses={204: OpenApiResponse(description="It is gone, and its log with it.")})
    def delete(self, request: Request, destination_id: int) -> Response:
        """Take it away, with what was still to be sent there."""
        with transaction.atomic():
            # Whoever is just planning a delivery to it goes first, and that one is deleted as well.
            rows = Destination.objects.visible_to(request.user).select_for_update()
            get_object_or_404(rows, pk=destination_id).delete()
        return Response(status=status.HTTP_204_NO_CONTENT)


class TestDestination(APIView):
    """Whether it works."""

    @extend_schema(request=None, responses={200: DeliverySerializer, 202: DeliverySerializer})
    def post(self, request: Request, destination_id: int) -> Response:
        """Send a test now, by the way that all deliveries go, and answer with what came of it.

        202 where it is not over after DELIVERY_TEST_WAIT_S: `GET /api/deliveries/<id>/` tells when it is.
        """
        try:
            made = attempts.test(_own(request, destination_id), timezone.now())
        except attempts.TooMany as error:
            raise Throttled(error.retry_after_s) from error
        pending = made.status == Delivery.Status.PENDING
        return Response(
            DeliverySerializer(made).data, status=status.HTTP_202_ACCEPTED if pending else status.HTTP_200_OK
        )


class WebpushKey(APIView):
    """The installation's key for web pushes."""

    @extend_schema(responses=PushKeySerializer)
    def get(self, request: Request) -> Response:
        """What `pushManager.subscribe` wants as its `applicationServerKey`."""
        try:
            return Response({"public_key": vapid.public_key()})
        except Unreadable as error:
            raise Conflict(f"The key of web pushes: {error}.") from error


@extend_schema_view(get=extend_schema(parameters=[DeliveryFilter]))
class Deliveries(generics.ListAPIView):
    """What was sent to the user's destinations, and what came of it, newest first."""

    serializer_class = DeliverySerializer

    def get_queryset(self) -> QuerySet[Delivery]:
        given = DeliveryFilter(data=self.request.query_params)
        given.is_valid(raise_exception=True)
        names = {"status": "status", "destination": "destination_id", "notification": "notification__public_id"}
        wanted = {names[name]: value for name, value in given.validated_data.items()}
        return _deliveries(self.request).filter(**wanted)


class OneDelivery(APIView):
    """One line of the log."""

    @extend_schema(responses=DeliverySerializer)
    def get(self, request: Request, delivery_id: int) -> Response:
        """As it stands."""
        return Response(DeliverySerializer(get_object_or_404(_deliveries(request), pk=delivery_id)).data)


class RetryDelivery(APIView):
    """What was given up, once more."""

    @extend_schema(request=None, responses={202: DeliverySerializer})
    def post(self, request: Request, delivery_id: int) -> Response:
        """Begin anew with its attempts, under the same key. 409 for what has arrived or is under way."""
        row = get_object_or_404(_deliveries(request), pk=delivery_id)
        if not row.destination.enabled:
            raise Conflict("The destination is switched off: switch it on first.")
        if not attempts.again(row, timezone.now()):
            raise Conflict(f"It is {row.status}: only what failed or was dropped can be sent again.")
        return Response(DeliverySerializer(row).data, status=status.HTTP_202_ACCEPTED)


def _own(request: Request, destination_id: int, lock: bool = False) -> Destination:
    rows = Destination.objects.visible_to(request.user).with_newest()
    return get_object_or_404(rows.select_for_update(no_key=True) if lock else rows, pk=destination_id)


def _deliveries(request: Request) -> QuerySet[Delivery]:
    return Delivery.objects.visible_to(request.user).select_related("destination", "notification")


def _lock_owner(request: Request) -> None:
    """Two calls of one user go one after the other: names and their number are theirs."""
    get_user_model().objects.select_for_update(no_key=True).get(pk=user_id(request))


def _with_secret(kind: str, config: Any) -> tuple[Any, dict[str, str]]:
    """A webhook without a secret gets one."""
    if kind != Destination.Kind.WEBHOOK or not isinstance(config, dict) or "secret" in config:
        return config, {}
    generated = {"secret": secrets.token_urlsafe(SECRET_BYTES)}
    return config | generated, generated


def _configure(row: Destination, config: dict[str, Any]) -> None:
    row.config, row.secrets = split(row.kind, config)
    row.address = CHANNELS[row.kind].address(attempts.configuration(row))[:ADDRESS_MAX]


def _change(row: Destination, given: dict[str, Any]) -> list[str]:
    """Set what was given. Returns the changed fields' names."""
    changed = list(given)
    if "config" in given:
        _configure(row, checked_config(row.kind, _merged(row, given.pop("config"))))
        row.verified = False
        changed += ["sealed", "address", "verified"]
    if given.get("enabled"):
        row.failures, row.disabled_reason, row.paused_until = 0, "", None
        changed += ["failures", "disabled_reason", "paused_until"]
    for name, value in given.items():
        setattr(row, name, value)
    return changed


def _merged(row: Destination, given: Any) -> Any:
    """What there is, with what was given in its place; null takes a field away."""
    if not isinstance(given, dict):
        return given
    channel = CHANNELS[row.kind]
    kept = {name: value for name, value in given.items() if not (name in channel.secrets and value == MASK)}
    try:
        known = row.secrets
    except Unreadable:
        known = {}  # they have to be given anew
    moved = [name for name in channel.bound_to if name in kept and kept[name] != row.config.get(name)]
    lost = sorted(set(known) - set(kept)) if moved else []
    if lost:
        raise serializers.ValidationError(
            {"config": {name: [f"Give it again: `{moved[0]}` has changed, and it goes there."] for name in lost}}
        )
    merged = {**row.config, **known, **kept}
    return {name: value for name, value in merged.items() if value is not None}
