"""Sign-in for clients that are no pages: tokens for the API and the sockets, and a socket's one-use ticket."""

from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_simplejwt.serializers import TokenRefreshSerializer
from rest_framework_simplejwt.views import TokenRefreshView

from streaming.identity import NotSignedIn, issue_ticket, user_of

Ticket = inline_serializer(
    "Ticket",
    {
        "ticket": serializers.CharField(help_text="for `?ticket=` in a socket's URL, once"),
        "expires_in": serializers.IntegerField(help_text="seconds"),
    },
)


class TicketView(APIView):
    """`POST /api/realtime/ticket/`: a ticket that opens one socket as the asker, for 30 seconds."""

    @extend_schema(request=None, responses={201: Ticket})
    def post(self, request: Request) -> Response:
        ticket = issue_ticket(request.user)
        return Response({"ticket": ticket, "expires_in": settings.SOCKET_TICKET_TTL_S}, status=201)


class RefreshSerializer(TokenRefreshSerializer):
    """The library's, which knows neither of deleted accounts nor of changed passwords."""

    def validate(self, attrs: dict[str, Any]) -> dict[str, str]:
        try:
            user_of(self.token_class(attrs["refresh"]))
        except NotSignedIn as error:
            raise AuthenticationFailed(str(error), "no_active_account") from error
        validated: dict[str, str] = super().validate(attrs)
        return validated


class RefreshView(TokenRefreshView):
    """`POST /api/auth/token/refresh/` `{refresh}`: a new access token."""

    serializer_class = RefreshSerializer
