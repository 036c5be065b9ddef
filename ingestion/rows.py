"""A body that is a list of rows: all of them are right, or the answer names each that is not."""

from collections.abc import Callable, Hashable, Mapping
from typing import Any

from rest_framework import serializers


def checked(
    data: object,
    form: type[serializers.Serializer],
    name: str,
    most: int,
    key: Callable[[Mapping[str, Any]], Hashable],
    context: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """The rows as `form` reads them. name: what the list is of; most: how many may come at once.

    Raises ValidationError with each bad row under its number, `row 3`, counted from 1; and with the second row of a
    `key` that is there already.
    """
    if not isinstance(data, list) or not data:
        shape = ", ".join(form().fields)
        raise serializers.ValidationError({name: [f"Send a list of {{{shape}}}."]})
    if len(data) > most:
        raise serializers.ValidationError({name: [f"At most {most} at once."]})
    body = form(data=data, many=True, context=dict(context))
    if not body.is_valid():
        raise serializers.ValidationError({f"row {at + 1}": wrong for at, wrong in body.errors.items()})
    first: dict[Hashable, int] = {}
    for number, row in enumerate(body.validated_data, start=1):
        if first.setdefault(key(row), number) != number:
            raise serializers.ValidationError(
                {f"row {number}": {"date": [f"{row['date']} is in row {first[key(row)]} already."]}}
            )
    return list(body.validated_data)
