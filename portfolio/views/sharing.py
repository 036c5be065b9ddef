"""Who may read a portfolio besides its owner, and what is open to whoever has a link."""

from functools import wraps
from typing import Any

from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import OpenApiResponse, extend_schema, inline_serializer
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from portfolio import sharing
from portfolio.models import Share
from portfolio.serializers.ledger import as_errors
from portfolio.serializers.sharing import NewLink, NewShare, ShareSerializer
from portfolio.views.access import HasLink, LinkAuthentication, writable_portfolio


class Shares(APIView):
    """Whom a portfolio is shared with. Its owner alone knows and decides."""

    @extend_schema(
        responses=inline_serializer(
            "Shares", {"results": ShareSerializer(many=True), "next": serializers.URLField(allow_null=True)}
        )
    )
    def get(self, request: Request, portfolio_id: int) -> Response:
        """All shares, the links that have not expired among them."""
        portfolio = writable_portfolio(request, portfolio_id)
        sharing.drop_expired(timezone.now())
        rows = portfolio.shares.select_related("user")
        return Response({"results": ShareSerializer(rows, many=True).data, "next": None})

    @extend_schema(
        request=NewShare,
        responses={
            201: OpenApiResponse(NewLink, "Shared. Only a link has `token` and `url`, and only here."),
            200: OpenApiResponse(ShareSerializer, "It was shared with this user already."),
        },
    )
    def post(self, request: Request, portfolio_id: int) -> Response:
        """Let a user read it, or whoever has a link that expires."""
        portfolio = writable_portfolio(request, portfolio_id)
        now = timezone.now()
        body = NewShare(data=request.data, context={"owner": portfolio.owner, "now": now})
        body.is_valid(raise_exception=True)
        sharing.drop_expired(now)
        try:
            if body.validated_data["user"] is not None:
                share, new = sharing.with_user(portfolio, body.validated_data["user"])
                return Response(ShareSerializer(share).data, status=201 if new else 200)
            share, token = sharing.by_link(portfolio, body.validated_data["expires_at"])
        except sharing.TooMany as error:
            raise as_errors({"user": str(error)}) from error
        url = request.build_absolute_uri(f"/api/shared/{token}/")
        return Response({**ShareSerializer(share).data, "token": token, "url": url}, status=status.HTTP_201_CREATED)


class OneShare(APIView):
    """One share."""

    @extend_schema(responses={204: None})
    def delete(self, request: Request, portfolio_id: int, share_id: int) -> Response:
        """Take it back; whoever watches the portfolio live loses it at once."""
        portfolio = writable_portfolio(request, portfolio_id)
        sharing.revoke(get_object_or_404(Share, portfolio=portfolio, pk=share_id))
        return Response(status=status.HTTP_204_NO_CONTENT)


def open_by_link(view: type[APIView]) -> Any:
    """A portfolio's view for whoever has a link: it reads, and the portfolio is the link's."""

    class ByLink(view):  # type: ignore[misc, valid-type]
        __doc__ = view.__doc__
        authentication_classes = [LinkAuthentication]
        permission_classes = [HasLink]
        http_method_names = ["get", "head", "options"]

        @_documented_as(view)
        def get(self, request: Request, token: str) -> Response:
            assert isinstance(request.auth, Share), "the permission class sees to it"
            answer: Response = super().get(request, request.auth.portfolio_id)
            return answer

        def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
            answer = super().finalize_response(request, response, *args, **kwargs)
            # The address itself is the key: nobody is to keep the page, or to tell others where it was found.
            answer["Cache-Control"] = "private, no-store"
            answer["Referrer-Policy"] = "no-referrer"
            return answer

    ByLink.__name__ = f"{view.__name__}ByLink"
    return ByLink.as_view()


def _documented_as(view: Any) -> Any:
    """In the schema: with the parameters and the answer of the portfolio's own call, and no sign-in."""

    def documented(get: Any) -> Any:
        same: Any = wraps(view.get)(get)
        # drf-spectacular writes into this dictionary, which `wraps` has taken over, not copied.
        same.kwargs = {**getattr(view.get, "kwargs", {})}
        return extend_schema(operation_id=f"shared_{view.__name__.removesuffix('View').lower()}", auth=[])(same)

    return documented
