"""Shares and households, in and out."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from rest_framework import serializers

from ingestion.serializers import StrictSerializer
from portfolio.models import Household, Portfolio, Share
from portfolio.serializers.ledger import CurrencyField, PlainCharField, TimeField


class ShareSerializer(serializers.ModelSerializer):
    """Who may read a portfolio. user: null for a link; the link's token is told only when it is made."""

    user = serializers.CharField(source="user.username", allow_null=True, default=None, read_only=True)
    expires_at = TimeField(read_only=True, allow_null=True)
    created_at = TimeField(read_only=True)

    class Meta:
        model = Share
        fields = ["id", "user", "expires_at", "created_at"]
        read_only_fields = fields


class NewLink(ShareSerializer):
    """A new link, with its token: this once."""

    token = serializers.CharField(read_only=True)
    url = serializers.CharField(read_only=True, help_text="what is open under it, without signing in")

    class Meta(ShareSerializer.Meta):
        fields = [*ShareSerializer.Meta.fields, "token", "url"]
        read_only_fields = fields


class NewShare(StrictSerializer):
    """With a `user`, by name, until it is taken back; or by a link, until `expires_at`."""

    user = PlainCharField(max_length=150, required=False, allow_null=True, default=None)
    expires_at = TimeField(required=False, allow_null=True, default=None)

    def validate_user(self, value: str | None) -> Any:
        if value is None:
            return None
        if value == self.context["owner"].username:
            raise serializers.ValidationError("The portfolio is yours already.")
        found = get_user_model().objects.filter(username=value, is_active=True).first()
        if found is None:
            raise serializers.ValidationError(f"There is no user “{value}”.")
        return found

    def validate_expires_at(self, value: Any) -> Any:
        now = self.context["now"]
        if value is not None and value <= now:
            raise serializers.ValidationError("This is not in the future.")
        if value is not None and value > now + timedelta(days=settings.SHARE_LINK_MAX_DAYS):
            raise serializers.ValidationError(f"A link lasts at most {settings.SHARE_LINK_MAX_DAYS} days.")
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["user"] is None and attrs["expires_at"] is None:
            raise serializers.ValidationError({"user": "Name a user; or send `expires_at`, and get a link."})
        if attrs["user"] is not None and attrs["expires_at"] is not None:
            raise serializers.ValidationError({"expires_at": "A user's share lasts until it is taken back."})
        return attrs


class HouseholdSerializer(serializers.ModelSerializer):
    """A household as it is listed. portfolios: the ids of its members."""

    portfolios = serializers.SerializerMethodField()
    created_at = TimeField(read_only=True)

    class Meta:
        model = Household
        fields = ["id", "name", "base_currency", "portfolios", "created_at"]
        read_only_fields = fields

    def get_portfolios(self, household: Household) -> list[int]:
        return [portfolio.pk for portfolio in household.portfolios()]


class HouseholdBody(StrictSerializer):
    """The body that makes or changes a household. Members: portfolios that the user may see."""

    name = PlainCharField(max_length=64)
    base_currency = CurrencyField(default="USD")
    portfolios = serializers.ListField(child=serializers.IntegerField(), default=list)

    def validate_name(self, value: str) -> str:
        others = Household.objects.filter(owner=self.context["user"], name=value)
        if self.instance is not None:
            others = others.exclude(pk=self.instance.pk)
        if others.exists():
            raise serializers.ValidationError(f"You have a household “{value}” already.")
        return value

    def validate_portfolios(self, value: list[int]) -> list[Portfolio]:
        if len(value) > settings.MAX_PORTFOLIOS_PER_HOUSEHOLD:
            most = settings.MAX_PORTFOLIOS_PER_HOUSEHOLD
            raise serializers.ValidationError(f"A household has at most {most} portfolios.")
        wanted = {pk for pk in value if 0 < pk < 2**63}
        found = {p.pk: p for p in Portfolio.objects.visible_to(self.context["user"]).filter(pk__in=wanted)}
        if unknown := [str(pk) for pk in value if pk not in found]:
            raise serializers.ValidationError(f"You have no portfolio {', '.join(unknown)}.")
        return list(found.values())
