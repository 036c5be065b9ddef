"""The OpenAPI document is whole, and the market's calls keep to it whatever they are asked."""

import random

import pytest
import schemathesis
from django.core.management import call_command
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from rest_framework_simplejwt.tokens import AccessToken

from ingestion import payloads, store
from ingestion.candles import Bar
from ingestion.latest import Latest
from ingestion.models import Watchlist, WatchlistItem
from ingestion.orderbook import BookView
from ingestion.schemas import BookSchema, CandleSchema, PriceSchema, TradeSchema
from ingestion.ticks import Trade
from tests.ingestion.market import make_instrument, now_us

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_prefix")]

PATHS = r"^/api/(instruments|market|watchlists|feeds|gaps|backfills|storage)/"
EXAMPLES = 5


def test_the_document_has_no_warnings_and_is_valid(tmp_path):
    call_command("spectacular", fail_on_warn=True, validate=True, file=str(tmp_path / "schema.yml"))


def test_what_the_document_says_of_payloads_is_what_they_are():
    at = now_us()
    bar = Bar(1, 2, at, 1, 2, 0.5, 1.5, 3, 4.5, 1, at, 1, at, 2)
    said = {
        PriceSchema: payloads.price("A", Latest("binance", 1.0)),
        CandleSchema: payloads.candle("A", "1m", bar, "binance"),
        TradeSchema: payloads.trade(Trade("A", at, at, 1, 1.0, 1.0, 1)) | {"source": "binance"},
        BookSchema: payloads.book("A", BookView("binance", "live", ((1.0, 2.0),), ((3.0, 4.0),))),
    }
    for schema, payload in said.items():
        assert set(schema().fields) == set(payload)


@pytest.fixture
def market(admin):
    """Something of everything, so that calls get far."""
    btc = make_instrument("BTC-USDT", binance="BTCUSDT")
    start = now_us() // 60_000_000 * 60_000_000 - 600_000_000
    store.copy_candles(Bar(btc.pk, 2, start, 1, 2, 0.5, 1, 3, 4.5, 1, start, 1, start, 2, "1m", True) for _ in range(1))
    watchlist = Watchlist.objects.create(user=admin, name="Main")
    WatchlistItem.objects.create(watchlist=watchlist, instrument=btc)
    return {"symbol": "BTC-USDT", "provider": "binance", "id": watchlist.pk}


@pytest.fixture
def one_connection():
    """Requests leave the test's connection, and so its transaction, open; Django's own test client sees to it too."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.mark.timeout(60)
@pytest.mark.usefixtures("one_connection")
def test_no_call_fails_whatever_it_is_asked(admin, market, settings):
    """A 4xx is an answer, a 500 is ours."""
    settings.ANONYMOUS_MARKET_DATA = True
    schema = schemathesis.openapi.from_wsgi("/api/schema/?format=json", get_wsgi_application())
    headers = {"Authorization": f"Bearer {AccessToken.for_user(admin)}"}
    chance = random.Random(7)
    operations = [found.ok() for found in schema.include(path_regex=PATHS).get_all_operations()]
    assert len(operations) > 20
    for operation in operations:

        @hypothesis_settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def ask(case):
            for name, real in market.items():
                if name in (case.path_parameters or {}) and chance.random() < 0.7:
                    case.path_parameters[name] = real
            answer = case.call(headers=headers)
            assert answer.status_code < 500, f"{case.method} {case.formatted_path}: {answer.status_code}"

        ask()
