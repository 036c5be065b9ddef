"""How somebody wants to be told, as JSON in and out."""

import re
from typing import Any, Final
from zoneinfo import available_timezones

from django.db import models
from rest_framework import serializers

from ingestion.serializers import StrictSerializer
from signals import courtesy
from signals.models import Notification, NotificationPreferences

QUIET_HOURS_MAX: Final = 20
DIGESTS_MAX: Final = 20
TYPES_MAX: Final = 50
TIMES_MAX: Final = 24
_TYPE: Final = re.compile(r"[a-z][a-z0-9_]{0,31}", re.ASCII)
_PRIORITIES: Final = Notification.Priority.choices


class TypeField(serializers.CharField):
    """The type of a notification, such as `alert`."""

    def to_internal_value(self, data: Any) -> str:
        value: str = super().to_internal_value(data)
        if not _TYPE.fullmatch(value):
            raise serializers.ValidationError("A type has small letters, digits and _, such as price_update.")
        return value


class TimeOfDayField(serializers.CharField):
    """`07:30`, by the clocks of the time zone."""

    def to_internal_value(self, data: Any) -> str:
        value: str = super().to_internal_value(data)
        try:
            courtesy.minute_of_day(value)
        except ValueError as error:
            raise serializers.ValidationError("A time of the day is written 07:30, from 00:00 to 24:00.") from error
        return value


class QuietHoursSerializer(StrictSerializer):
    """When not to disturb. Without days: every day. An end that is not later than the start is the next day's."""

    days = serializers.ListField(
        child=serializers.ChoiceField(courtesy.DAYS), required=False, min_length=1, max_length=len(courtesy.DAYS)
    )
    start = TimeOfDayField()
    end = TimeOfDayField()

    def validate_days(self, days: list[str]) -> list[str]:
        return sorted(set(days), key=courtesy.DAYS.index)

    def validate_start(self, start: str) -> str:
        if start == "24:00":
            raise serializers.ValidationError("A day ends at 24:00; quiet hours begin at 00:00 of the next.")
        return start

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["start"] == attrs["end"]:
            raise serializers.ValidationError({"end": ['It is the start. A whole day is from "00:00" to "24:00".']})
        return attrs


class DigestRuleSerializer(StrictSerializer):
    """What comes together instead of one by one: `every_minutes` after the first, or `at` times of the day."""

    types = serializers.ListField(
        child=TypeField(),
        required=False,
        max_length=TYPES_MAX,
        help_text="none: every type, each in a digest of its own",
    )
    up_to = serializers.ChoiceField(
        _PRIORITIES, required=False, help_text="what is more urgent comes at once; without it: normal"
    )
    every_minutes = serializers.IntegerField(required=False, min_value=1, max_value=courtesy.DAY_MINUTES)
    at = serializers.ListField(child=TimeOfDayField(), required=False, min_length=1, max_length=TIMES_MAX)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("every_minutes" in attrs) == ("at" in attrs):
            raise serializers.ValidationError({"every_minutes": ["Either every_minutes or at, and not both."]})
        return {"types": [], "up_to": courtesy.NORMAL, **attrs}


class PreferencesSerializer(StrictSerializer):
    """A whole. What is left out of a PUT is the default."""

    time_zone = serializers.CharField(required=False, max_length=64, help_text="such as Europe/Berlin")
    quiet_hours = serializers.ListField(child=QuietHoursSerializer(), required=False, max_length=QUIET_HOURS_MAX)
    critical_breaks_through = serializers.BooleanField(required=False)
    digests = serializers.ListField(child=DigestRuleSerializer(), required=False, max_length=DIGESTS_MAX)
    minimum_priority = serializers.DictField(
        child=serializers.ChoiceField(_PRIORITIES), required=False, help_text="by type; `*` stands for the others"
    )
    muted_types = serializers.ListField(child=TypeField(), required=False, max_length=TYPES_MAX)
    storm_max = serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=1000)
    storm_type_max = serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=10_000)
    storm_minutes = serializers.IntegerField(
        required=False, allow_null=True, min_value=1, max_value=courtesy.DAY_MINUTES
    )

    def validate_time_zone(self, name: str) -> str:
        if name not in available_timezones():
            raise serializers.ValidationError(f"There is no time zone “{name}”; one is Europe/Berlin.")
        return name

    def validate_quiet_hours(self, quiet: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if courtesy.never_rests(tuple(map(courtesy.read_quiet_hours, quiet))):
            raise serializers.ValidationError("These leave no time of the week; what must never come is muted.")
        return quiet

    def validate_minimum_priority(self, least: dict[str, str]) -> dict[str, str]:
        if len(least) > TYPES_MAX:
            raise serializers.ValidationError(f"At most {TYPES_MAX} types.")
        if unknown := [name for name in least if name != courtesy.OTHERS and not _TYPE.fullmatch(name)]:
            raise serializers.ValidationError({unknown[0][:32]: ["There can be no such type."]})
        return least

    def validate_muted_types(self, types: list[str]) -> list[str]:
        return sorted(set(types))

    def save_as(self, row: NotificationPreferences, *, whole: bool) -> None:
        """Into the row. whole: what was not said becomes the default."""
        said = self.validated_data
        for name in map(str, self.fields):
            if whole or name in said:
                setattr(row, name, said[name] if name in said else _default(name))
        row.save()


class WholePreferencesSerializer(PreferencesSerializer):
    """As stored, with what it means just now."""

    quiet_until = serializers.DateTimeField(allow_null=True, read_only=True, help_text="null: not quiet now")


def _default(name: str) -> Any:
    field = NotificationPreferences._meta.get_field(name)
    assert isinstance(field, models.Field)
    return field.get_default()
