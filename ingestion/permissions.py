"""Who may read the market over HTTP."""

from django.conf import settings
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView


class MarketData(BasePermission):
    """Everyone may read where ANONYMOUS_MARKET_DATA allows it, else whoever is signed in. Only staff may change."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        if request.method not in SAFE_METHODS:
            return bool(request.user and request.user.is_staff)
        return settings.ANONYMOUS_MARKET_DATA or bool(request.user and request.user.is_authenticated)
