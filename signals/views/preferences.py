"""How a user wants to be told, over HTTP."""

from django.db import transaction
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from signals import courtesy, wishes
from signals.models import NotificationPreferences
from signals.serializers.preferences import PreferencesSerializer, WholePreferencesSerializer
from signals.views.access import user_id


class Preferences(APIView):
    """The user's own; there are defaults for whoever has set none."""

    @extend_schema(responses=WholePreferencesSerializer)
    def get(self, request: Request) -> Response:
        """As they are, and until when it is quiet."""
        return _answer(_row(request))

    @extend_schema(request=PreferencesSerializer, responses=WholePreferencesSerializer)
    def put(self, request: Request) -> Response:
        """All of them; what is left out is the default again."""
        return _save(request, whole=True)

    @extend_schema(request=PreferencesSerializer, responses=WholePreferencesSerializer)
    def patch(self, request: Request) -> Response:
        """Those that are named."""
        return _save(request, whole=False)


def _row(request: Request) -> NotificationPreferences:
    own = user_id(request)
    return NotificationPreferences.objects.filter(pk=own).first() or NotificationPreferences(user_id=own)


def _save(request: Request, *, whole: bool) -> Response:
    body = PreferencesSerializer(data=request.data)
    body.is_valid(raise_exception=True)
    with transaction.atomic():
        own = NotificationPreferences(user_id=user_id(request))
        # Two tabs may save at once, the first time as well; each keeps what the other has named.
        NotificationPreferences.objects.bulk_create([own], ignore_conflicts=True)
        row = NotificationPreferences.objects.select_for_update().get(pk=own.pk)
        body.save_as(row, whole=whole)
    return _answer(row)


def _answer(row: NotificationPreferences) -> Response:
    """Without optional fields that are not set, such as the days of quiet hours on every day."""
    told = PreferencesSerializer(row).data
    until = courtesy.quiet_until(wishes.read(row), timezone.now())
    return Response({**told, "quiet_until": until})
