"""What became of signals over HTTP. One that is somebody else's doesn't exist."""

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ingestion.schemas import page
from signals import scorecards
from signals.models import Signal
from signals.serializers.outcomes import OutcomeSchema, ScorecardQuery, ScorecardSchema, outcome, scorecard
from worker.paging import results


class Scorecards(APIView):
    """How the strategies have done."""

    @extend_schema(parameters=[ScorecardQuery], responses=page(ScorecardSchema))
    def get(self, request: Request) -> Response:
        """A row for each strategy with its parameters, of the signals that the user may see, most outcomes first."""
        query = ScorecardQuery(data=request.query_params.dict())
        query.is_valid(raise_exception=True)
        asked = query.validated_data
        columns = {"strategy": "strategy", "key": "strategy_key", "interval": "interval", "symbol": "instrument"}
        wanted = {column: asked[name] for name, column in columns.items() if name in asked}
        signals = Signal.objects.visible_to(request.user).filter(**wanted)
        return results([scorecard(card) for card in scorecards.cards(signals, asked["by_symbol"])])


class Outcome(APIView):
    """What became of one signal."""

    @extend_schema(responses=OutcomeSchema)
    def get(self, request: Request, signal_id: int) -> Response:
        """Its result, or null while it is open."""
        rows = Signal.objects.visible_to(request.user).select_related("outcome")
        signal = get_object_or_404(rows, pk=signal_id)
        return Response(outcome(signal, getattr(signal, "outcome", None)))
