"""Lists over HTTP: `{"results": […], "next": …}`, where `next` is the address of the following page or null."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from rest_framework.exceptions import NotFound
from rest_framework.pagination import CursorPagination
from rest_framework.response import Response


class Paging(CursorPagination):
    """Pages by cursor, so that rows arriving meanwhile neither repeat nor hide one.

    A view's `ordering` attribute says in which order, newest first without it; it must end in a unique field.
    """

    page_size_query_param = "limit"
    ordering = "-id"

    def __init__(self) -> None:
        self.page_size = settings.API_PAGE_SIZE
        self.max_page_size = settings.API_PAGE_SIZE_MAX

    def paginate_queryset(self, queryset: Any, request: Any, view: Any = None) -> Any:
        """The page's rows. A cursor that we did not make is 404, like one that does not parse."""
        try:
            return super().paginate_queryset(queryset, request, view)
        except (ValueError, ValidationError) as error:
            raise NotFound(self.invalid_cursor_message) from error

    def get_ordering(self, request: Any, queryset: Any, view: Any) -> tuple[str, ...]:
        """The view's own `ordering`, else ours."""
        ordering = getattr(view, "ordering", None) or self.ordering
        return (ordering,) if isinstance(ordering, str) else tuple(ordering)

    def get_paginated_response(self, data: Any) -> Response:
        """The page with the address of the next one."""
        return results(data, self.get_next_link())

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """For the OpenAPI document."""
        return {
            "type": "object",
            "required": ["results", "next"],
            "properties": {
                "results": schema,
                "next": {"type": "string", "nullable": True, "format": "uri"},
            },
        }


def results(rows: Sequence[Any], next_page: str | None = None) -> Response:
    """The same shape for a list that is no queryset. next_page: the following page's address."""
    return Response({"results": rows, "next": next_page})
