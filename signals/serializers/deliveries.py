"""The bodies of destinations and deliveries. Secrets are written and never read: what comes back is a mask."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from django.conf import settings
from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema_field
from rest_framework import serializers

from ingestion.serializers import StrictSerializer
from ingestion.store import to_us
from signals import vapid
from signals.channels import CHANNELS
from signals.channels.addresses import ForbiddenAddress, check_url
from signals.guard import house
from signals.models import Delivery, Destination, Notification
from streaming.protocol import timestamp

# Whoever changes something else may send it back.
MASK: Final = "********"
TYPES_MAX: Final = 50


class AddressField(serializers.CharField):
    """An address that a user may have called."""

    def __init__(self, **more: Any) -> None:
        super().__init__(max_length=2000, **more)

    def to_internal_value(self, data: Any) -> str:
        url = str(super().to_internal_value(data))
        try:
            check_url(url, house())
        except ForbiddenAddress as error:
            raise serializers.ValidationError(str(error)) from error
        return url


class EmailConfig(StrictSerializer):
    """A mailbox."""

    address = serializers.EmailField(max_length=254)


class TelegramConfig(StrictSerializer):
    """A chat, and the bot that writes there; without `bot_token` the installation's own."""

    chat_id = serializers.RegexField(r"^(-?\d{1,20}|@[A-Za-z][A-Za-z0-9_]{3,63})$", help_text="-100123 or @channel")
    bot_token = serializers.RegexField(r"^\d{1,20}:[A-Za-z0-9_-]{20,128}$", write_only=True, required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs.get("bot_token") and not settings.TELEGRAM_BOT_TOKEN:
            raise serializers.ValidationError({"bot_token": ["This installation has no bot: give your own's token."]})
        return attrs


class NtfyConfig(StrictSerializer):
    """A topic; without `server` on the installation's own."""

    server = AddressField(required=False)
    topic = serializers.RegexField(r"^[-_A-Za-z0-9]{1,64}$")
    token = serializers.RegexField(r"^[\x21-\x7e]{1,256}$", write_only=True, required=False)


class DiscordConfig(StrictSerializer):
    """A channel's webhook."""

    url = AddressField(write_only=True)


class SlackConfig(StrictSerializer):
    """A channel's incoming webhook."""

    url = AddressField(write_only=True)


class WebhookConfig(StrictSerializer):
    """Anybody's own program. secret: what calls are signed with; one that isn't given is made, and told once."""

    url = AddressField(write_only=True)
    secret = serializers.RegexField(r"^[\x20-\x7e]{8,256}$", write_only=True)


class PushKeys(StrictSerializer):
    """A browser's own keys, in URL-safe base64."""

    p256dh = serializers.CharField(max_length=128)
    auth = serializers.CharField(max_length=64)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        try:
            vapid.check_subscription(attrs["p256dh"], attrs["auth"])
        except ValueError as error:
            raise serializers.ValidationError(str(error)) from error
        return attrs


class WebpushConfig(StrictSerializer):
    """A browser's subscription, as `PushSubscription.toJSON()` gives it."""

    endpoint = AddressField(write_only=True)
    keys = PushKeys(write_only=True)
    expirationTime = serializers.FloatField(required=False, allow_null=True, write_only=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs.pop("expirationTime", None)
        return attrs


CONFIGS: Final[dict[str, type[StrictSerializer]]] = {
    "email": EmailConfig,
    "telegram": TelegramConfig,
    "ntfy": NtfyConfig,
    "discord": DiscordConfig,
    "slack": SlackConfig,
    "webhook": WebhookConfig,
    "webpush": WebpushConfig,
}
ConfigSchema = PolymorphicProxySerializer(
    component_name="DestinationConfig", serializers=list(CONFIGS.values()), resource_type_field_name=None
)


def checked_config(kind: str, given: Any) -> dict[str, Any]:
    """The configuration of this kind. Raises ValidationError, which names the fields under `config`."""
    if isinstance(given, dict) and (masks := [name for name, value in given.items() if value == MASK]):
        raise serializers.ValidationError({"config": {name: ["This is only the mask of a secret."] for name in masks}})
    body = CONFIGS[kind](data=given)
    try:
        body.is_valid(raise_exception=True)
    except serializers.ValidationError as error:
        raise serializers.ValidationError({"config": error.detail}) from error
    return dict(body.validated_data)


def split(kind: str, config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What may be shown, and what may not."""
    secrets = CHANNELS[kind].secrets
    shown = {name: value for name, value in config.items() if name not in secrets}
    return shown, {name: config[name] for name in secrets if name in config}


def masked(destination: Destination) -> dict[str, Any]:
    """The configuration with a mask for each secret that there may be."""
    return {**destination.config, **(dict.fromkeys(CHANNELS[destination.kind].secrets, MASK))}


@extend_schema_field(ConfigSchema)
class ConfigField(serializers.JSONField):
    """By kind; looked at with the rest."""


@extend_schema_field(serializers.ListField(child=serializers.CharField()))
class TypesField(serializers.ListField):
    """Types of notifications."""

    child = serializers.CharField(max_length=32)


class DestinationFields(StrictSerializer):
    """What may be changed of any destination."""

    name = serializers.CharField(max_length=64)
    min_priority = serializers.ChoiceField(Notification.Priority.choices, required=False)
    types = TypesField(required=False, max_length=TYPES_MAX, help_text="of notifications; none: all")
    enabled = serializers.BooleanField(required=False)

    def validate_name(self, value: str) -> str:
        others = Destination.objects.filter(user=self.context["request"].user, name=value)
        if self.instance is not None:
            others = others.exclude(pk=self.instance.pk)
        if others.exists():
            raise serializers.ValidationError(f"You have a destination “{value}” already.")
        return value

    def validate_types(self, value: list[str]) -> list[str]:
        return list(dict.fromkeys(value))


class NewDestination(DestinationFields):
    """A place to be told at."""

    kind = serializers.ChoiceField(Destination.Kind.choices)
    config = ConfigField()


class ChangedDestination(DestinationFields):
    """What is to be otherwise. `config` holds only what changes; a mask that comes back changes nothing."""

    name = serializers.CharField(max_length=64, required=False)
    config = ConfigField(required=False)


class LastDeliverySerializer(serializers.Serializer):
    """How the newest delivery to a destination stands."""

    id = serializers.IntegerField()
    status = serializers.ChoiceField(Delivery.Status.choices)
    at = serializers.DateTimeField(help_text="when it arrived, or was last tried, or was planned")
    error = serializers.CharField()
    test = serializers.BooleanField()


class DestinationSerializer(serializers.Serializer):
    id = serializers.IntegerField()
    kind = serializers.ChoiceField(Destination.Kind.choices)
    name = serializers.CharField()
    address = serializers.CharField(help_text="where it leads, without secrets")
    config = serializers.SerializerMethodField(help_text="secrets are masked")
    min_priority = serializers.ChoiceField(Notification.Priority.choices)
    types = serializers.ListField(child=serializers.CharField())
    enabled = serializers.BooleanField()
    verified = serializers.BooleanField(help_text="something has arrived there since it was changed")
    disabled_reason = serializers.CharField(help_text="why it was switched off, if not by its owner")
    failures = serializers.IntegerField(help_text="deliveries given up in a row")
    paused_until = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()
    last_delivery = serializers.SerializerMethodField(help_text="null: none yet")

    @extend_schema_field(LastDeliverySerializer(allow_null=True))
    def get_last_delivery(self, destination: Destination) -> dict[str, Any] | None:
        newest: dict[str, Any] | None = getattr(destination, "newest", None)
        return newest and newest | {"at": timestamp(to_us(datetime.fromisoformat(newest["at"])))}

    @extend_schema_field(ConfigSchema)
    def get_config(self, destination: Destination) -> dict[str, Any]:
        return masked(destination)


class CreatedDestination(DestinationSerializer):
    """generated: a secret that we made, told this once."""

    generated = serializers.DictField(child=serializers.CharField(), required=False)


class DeliverySerializer(serializers.Serializer):
    id = serializers.IntegerField()
    destination = serializers.IntegerField(source="destination_id")
    destination_name = serializers.CharField(source="destination.name")
    kind = serializers.ChoiceField(Destination.Kind.choices, source="destination.kind")
    notification_id = serializers.SerializerMethodField(help_text="null: a test")
    title = serializers.SerializerMethodField()
    test = serializers.SerializerMethodField()
    key = serializers.CharField(help_text="the same at each attempt; sent as Idempotency-Key")
    status = serializers.ChoiceField(Delivery.Status.choices)
    due_at = serializers.DateTimeField()
    next_attempt_at = serializers.DateTimeField(allow_null=True)
    attempts = serializers.IntegerField()
    attempted_at = serializers.DateTimeField(allow_null=True)
    sent_at = serializers.DateTimeField(allow_null=True)
    last_error = serializers.CharField()
    response = serializers.CharField(help_text="how the last answer began")
    created_at = serializers.DateTimeField()

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_notification_id(self, row: Delivery) -> str | None:
        return None if row.notification is None else row.notification.public_id

    def get_title(self, row: Delivery) -> str:
        return "Test from Tapehouse" if row.notification is None else row.notification.title

    def get_test(self, row: Delivery) -> bool:
        return row.notification is None


class DeliveryFilter(serializers.Serializer):
    """Which deliveries."""

    status = serializers.ChoiceField(Delivery.Status.choices, required=False)
    destination = serializers.IntegerField(required=False, min_value=1, max_value=2**63 - 1)
    notification = serializers.CharField(required=False, max_length=64, help_text="its notification_id")


class PushKeySerializer(serializers.Serializer):
    """What a page subscribes with."""

    public_key = serializers.CharField(help_text="applicationServerKey, in URL-safe base64")
