"""The bodies of the notifications' HTTP calls: the same shapes as on the wire."""

from typing import Any

from rest_framework import serializers

from signals.models import Notification
from signals.notifications import payload


class NotificationSerializer(serializers.Serializer):
    notification_id = serializers.CharField()
    title = serializers.CharField()
    message = serializers.CharField()
    notification_type = serializers.CharField()
    priority = serializers.ChoiceField(Notification.Priority.choices)
    data = serializers.DictField()  # type: ignore[assignment]  # DRF shadows it on the class, not on a declared field
    read = serializers.BooleanField()
    created_at = serializers.DateTimeField()

    def to_representation(self, instance: Notification) -> dict[str, Any]:
        return payload(instance)


class ReadOne(serializers.Serializer):
    """Only true: what was read stays read."""

    read = serializers.BooleanField()

    def validate_read(self, value: bool) -> bool:
        if not value:
            raise serializers.ValidationError("What was read stays read.")
        return value


class ReadMany(serializers.Serializer):
    notification_ids = serializers.ListField(child=serializers.CharField(max_length=64), max_length=1000)
