"""`POST /api/realtime/force_price_update/`: staff ask for prices now."""

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import ValidationError
from rest_framework.permissions import IsAdminUser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ingestion import force


class ForceUpdateSerializer(serializers.Serializer):
    """What to update."""

    symbols = serializers.ListField(
        child=serializers.CharField(max_length=64), allow_empty=False, help_text="by any of their names"
    )

    def validate_symbols(self, names: list[str]) -> list[str]:
        """No more than FORCE_UPDATE_MAX_SYMBOLS."""
        if len(names) > settings.FORCE_UPDATE_MAX_SYMBOLS:
            raise ValidationError(f"At most {settings.FORCE_UPDATE_MAX_SYMBOLS} symbols at once.")
        return names


class ForceUpdateAccepted(serializers.Serializer):
    """The job that does it: its progress is at `/api/jobs/<job_id>/`."""

    job_id = serializers.IntegerField()


class ForcePriceUpdate(APIView):
    """Ask each instrument's best source for its price now. Requests for the same at once are one job."""

    permission_classes = [IsAdminUser]

    @extend_schema(request=ForceUpdateSerializer, responses={202: ForceUpdateAccepted})
    def post(self, request: Request) -> Response:
        given = ForceUpdateSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        try:
            instruments = force.resolve(given.validated_data["symbols"])
        except force.UnknownSymbols as unknown:
            raise ValidationError({"symbols": [str(unknown)], "unknown": unknown.names}) from None
        job = force.request(instruments, request.user)
        return Response({"job_id": job.pk}, status=status.HTTP_202_ACCEPTED)
