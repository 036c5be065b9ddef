import pytest
from django.test import Client

from ingestion.models import Instrument


@pytest.fixture
def http(client, alice):
    client.force_login(alice)
    return client


@pytest.fixture
def account(http, portfolio):
    return Account(http, portfolio.pk)


class Account:
    """A portfolio as its owner reaches it."""

    def __init__(self, http, id):
        self.http, self.path = http, f"/api/portfolios/{id}/"

    def post(self, type, at, **body):
        answer = self.http.post(f"{self.path}transactions/", {"type": type, "at": at, **body}, "application/json")
        assert answer.status_code == 201, answer.json()
        return answer.json()

    def performance(self, **query):
        answer = self.http.get(f"{self.path}performance/", query)
        assert answer.status_code == 200, answer.json()
        return answer.json()

    def explain(self, figure, **query):
        answer = self.http.get(f"{self.path}explain/", {"figure": figure, **query})
        assert answer.status_code == 200, answer.json()
        return answer.json()


@pytest.fixture
def closes(admin):
    """closes("AAPL", {"2026-01-05": "100"}) posts them as staff does."""
    staff = Client()
    staff.force_login(admin)

    def closes(symbol, told):
        rows = [{"date": day, "close": close} for day, close in told.items()]
        answer = staff.put(f"/api/instruments/{symbol}/prices/", rows, "application/json")
        assert answer.status_code == 200, answer.json()

    return closes


@pytest.fixture
def aapl(db):
    return Instrument.objects.create(symbol="AAPL", name="Apple", kind="equity", currency="USD")


def test_a_portfolio_over_a_window(account, aapl, closes):
    closes("AAPL", {"2026-01-05": "100", "2026-01-06": "110", "2026-01-07": "99", "2026-01-08": "120"})
    account.post("DEPOSIT", "2026-01-05", amount="1000")
    account.post("BUY", "2026-01-05", symbol="AAPL", quantity="10", price="100")
    account.post("DEPOSIT", "2026-01-07", amount="110")
    told = account.performance(end="2026-01-08", chain=1)
    assert told["market_value"] == "1200"
