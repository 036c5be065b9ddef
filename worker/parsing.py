"""The bodies that the HTTP calls take."""

from typing import Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser


class Json(JSONParser):
    """JSON as deep as Python reads it; what is deeper is the caller's mistake, not ours."""

    def parse(self, *args: Any, **kwargs: Any) -> Any:
        """The body's value. Raises ParseError, which is answered with 400."""
        try:
            return super().parse(*args, **kwargs)
        except RecursionError as error:
            raise ParseError("The body is nested too deeply.") from error
