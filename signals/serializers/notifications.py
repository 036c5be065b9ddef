"""The bodies of the notifications' HTTP calls: the same shapes as on the wire."""

from typing import Any

from rest_framework import serializers

from ingestion.serializers import StrictSerializer
from signals.courtesy import LOW, RANK
from signals.models import Notification
from signals.notifications import payload
from signals.places import place


class NotificationSerializer(serializers.Serializer):
    notification_id = serializers.CharField()
    title = serializers.CharField()
    message = serializers.CharField()
    notification_type = serializers.CharField()
    priority = serializers.ChoiceField(Notification.Priority.choices)
    data = serializers.DictField()  # type: ignore[assignment]  # DRF shadows it on the class, not on a declared field
    read = serializers.BooleanField()
    created_at = serializers.DateTimeField()
    group = serializers.CharField(help_text="what it is counted with when there is too much of it")
    archived = serializers.BooleanField()
    path = serializers.CharField(help_text="the page that shows what it is about")

    def to_representation(self, instance: Notification) -> dict[str, Any]:
        return payload(instance) | {
            "group": instance.group_key,
            "archived": instance.archived,
            "path": place(instance.notification_type, instance.data),
        }


class NotificationFilter(serializers.Serializer):
    """Which notifications: unread ones, of a type, a priority or one as urgent, a group, since a time."""

    unread = serializers.BooleanField(required=False, allow_null=True, default=None, help_text="false: read ones")
    archived = serializers.BooleanField(required=False, default=False, help_text="those that were put away instead")
    type = serializers.CharField(required=False, help_text="several with commas between")
    priority = serializers.CharField(required=False, help_text="several with commas between")
    min_priority = serializers.ChoiceField(Notification.Priority.choices, required=False)
    group = serializers.CharField(required=False)
    since = serializers.DateTimeField(required=False, help_text="told at this time or later")

    def validate_type(self, value: str) -> list[str]:
        return value.split(",")

    def validate_priority(self, value: str) -> list[str]:
        wanted = value.lower().split(",")
        if unknown := sorted(set(wanted) - set(RANK)):
            raise serializers.ValidationError(f"There is no priority “{unknown[0]}”.")
        return wanted

    def columns(self) -> dict[str, Any]:
        """As the rows are filtered."""
        said = self.validated_data
        columns: dict[str, Any] = {"archived": said["archived"]}
        if said["unread"] is not None:
            columns["read"] = not said["unread"]
        if "priority" in said or "min_priority" in said:
            least = RANK[said.get("min_priority", LOW)]
            columns["priority__in"] = [name for name in said.get("priority", RANK) if RANK[name] >= least]
        names = {"type": "notification_type__in", "group": "group_key", "since": "created_at__gte"}
        return columns | {names[name]: said[name] for name in names if name in said}


class ChangedNotification(StrictSerializer):
    """What was read stays read; what was put away may be taken out again."""

    read = serializers.BooleanField(required=False)
    archived = serializers.BooleanField(required=False)

    def validate_read(self, value: bool) -> bool:
        if not value:
            raise serializers.ValidationError("What was read stays read.")
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs:
            raise serializers.ValidationError({"read": ["Say read, or archived."]})
        return attrs


class ReadMany(StrictSerializer):
    notification_ids = serializers.ListField(child=serializers.CharField(max_length=64), max_length=1000)


class ReadAll(StrictSerializer):
    up_to = serializers.CharField(
        required=False, max_length=64, help_text="the id of the newest one that was seen; without it: all"
    )


class ReadCount(serializers.Serializer):
    read = serializers.IntegerField(help_text="how many of them were unread")


class UnreadCount(serializers.Serializer):
    unread = serializers.IntegerField()
    by_priority = serializers.DictField(child=serializers.IntegerField())
