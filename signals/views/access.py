"""Who asks."""

from rest_framework.request import Request


def user_id(request: Request) -> int:
    """Whoever is signed in; the permission classes see to it that somebody is."""
    assert request.user.is_authenticated
    return request.user.pk
