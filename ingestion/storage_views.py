"""How much is stored, and what becomes of it: for staff."""

from typing import Any

import msgspec
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.permissions import IsAdminUser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ingestion import archive, store

STORAGE = OpenApiResponse(
    OpenApiTypes.OBJECT,
    "`{kind, tables: [{table, bytes, rows, …}], policies: [{table, does, after_s, …}], archive: [{file, rows, …}]}`",
)


class Storage(APIView):
    """Sizes, policies and the archive."""

    permission_classes = [IsAdminUser]

    @extend_schema(responses={200: STORAGE})
    def get(self, request: Request) -> Response:
        """Of every table of ticks and candles; rows as the planner estimates them."""
        return Response(report())


def report() -> dict[str, Any]:
    """What the view says; the admin pages show the same."""
    told: dict[str, Any] = msgspec.to_builtins(
        {
            "kind": store.storage_kind(),
            "tables": store.sizes(),
            "policies": store.policies(),
            "archive": archive.manifests(),
        },
        str_keys=True,
    )
    return told
