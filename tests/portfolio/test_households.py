"""Several portfolios as one."""

import datetime as dt
from decimal import Decimal

import pytest

from ingestion.models import FxRate, Instrument, PostedPrice
from portfolio import households, ledger, sharing
from portfolio.ledger import Draft
from portfolio.models import Household, Portfolio
from portfolio.serializers.sharing import HouseholdBody
from tests.portfolio.conftest import NOW

pytestmark = pytest.mark.django_db


def on(day):
    return dt.datetime(2026, 1, day, 15, tzinfo=dt.UTC)


def add(portfolio, type, day, instrument=None, **figures):
    exact = {name: value if name == "currency" else Decimal(value) for name, value in figures.items()}
    return ledger.post(portfolio, Draft(type=type, at=on(day), instrument=instrument, **exact), NOW)[0]


@pytest.fixture
def fund(db):
    fund = Instrument.objects.create(symbol="FUND", name="A fund", kind="equity", currency="USD", exchange="NYSE")
    for day, close in ((5, "100"), (6, "110"), (9, "120")):
        PostedPrice.objects.create(instrument=fund, date=on(day).date(), close=Decimal(close), posted_at=NOW)
    return fund


@pytest.fixture
def both(portfolio, bob, fund):
    """Alice's dollars with 10 of the fund at 100, Bob's euros with 5 at 110; a euro is 1.25 dollars."""
    for day in range(5, 10):
        FxRate.objects.create(base="EUR", quote="USD", date=on(day).date(), rate="1.25", source="ecb", received_at=NOW)
    FxRate.objects.create(base="EUR", quote="USD", date=NOW.date(), rate="1.5", source="ecb", received_at=NOW)
    theirs = Portfolio.objects.create(owner=bob, name="Bob's", base_currency="EUR")
    add(portfolio, "DEPOSIT", 5, amount="2000")
    add(portfolio, "BUY", 5, fund, quantity="10", price="100")
    add(theirs, "DEPOSIT", 6, amount="440")
    add(theirs, "DEPOSIT", 6, amount="550", currency="USD", fx_rate="0.8")
    add(theirs, "BUY", 6, fund, quantity="5", price="110", fx_rate="0.8")
    sharing.with_user(theirs, portfolio.owner)
    return portfolio, theirs


@pytest.fixture
def home(both, alice):
    home = Household.objects.create(owner=alice, name="Home")
    home.members.set(both)
    return home


def test_positions_and_cash_are_summed_in_its_currency(home, fund):
    worth = households.value(home, NOW)
    (position,) = worth.positions
    assert (position.quantity, position.cost, position.cost_base) == (15, 1550, 1550)
    assert (position.value, position.unrealized) == (1800, 250)
    assert worth.cash == 1000 + 440 * Decimal("1.5")
    assert worth.net_invested == 2000 + 440 * Decimal("1.25") + 550


def test_what_went_from_one_to_another_is_no_flow(home, both, fund):
    alices, bobs = both
    add(alices, "WITHDRAWAL", 7, amount="100")
    add(bobs, "DEPOSIT", 7, amount="100", currency="USD", fx_rate="0.8")
    book = households.book(home)
    assert [movement.cash for movement in book.movements if movement.external] == [2000, 440, 550]
    assert book.net_invested_base == 3100


def test_units_that_changed_hands_keep_their_basis(home, both, fund):
    alices, bobs = both
    add(alices, "TRANSFER_OUT", 7, fund, quantity="4")
    add(bobs, "TRANSFER_IN", 7, fund, quantity="4", price="100", fx_rate="0.8")
    book = households.book(home)
    assert (book.held[fund.pk].quantity, book.held[fund.pk].cost_base) == (15, 1550)
    assert not any(movement.external for movement in book.movements if movement.instrument)


def test_one_without_members_is_worth_nothing(alice, client):
    empty = Household.objects.create(owner=alice, name="Empty")
    assert households.value(empty, NOW).total_value == 0
    client.force_login(alice)
    assert client.get(f"/api/households/{empty.pk}/performance/").status_code == 200
    assert client.get(f"/api/households/{empty.pk}/positions/").json()["results"] == []


class TestOverHttp:
    @pytest.fixture
    def alices(self, client, alice):
        client.force_login(alice)
        return client

    def test_it_is_made_changed_and_deleted(self, alices, both):
        body = {"name": "Home", "portfolios": [p.pk for p in both], "base_currency": "EUR"}
        made = alices.post("/api/households/", body, content_type="application/json")
        assert made.status_code == 201
        place = f"/api/households/{made.json()['id']}/"
        assert made.json()["portfolios"] == body["portfolios"]
        changed = alices.patch(place, {"portfolios": [both[0].pk]}, content_type="application/json").json()
        assert (changed["portfolios"], changed["base_currency"]) == ([both[0].pk], "EUR")
        changed = alices.patch(place, {"name": "Nest"}, content_type="application/json").json()
        assert (changed["name"], changed["portfolios"]) == ("Nest", [both[0].pk])
        assert alices.delete(place).status_code == 204
        assert Portfolio.objects.count() == 2

    def test_its_figures(self, alices, home):
        told = alices.get(f"/api/households/{home.pk}/").json()
        assert told["exact"]["positions"]["FUND"]["quantity"] == "15"
        assert "portfolio_id" not in told
        rows = alices.get(f"/api/households/{home.pk}/positions/").json()["results"]
        assert [(row["symbol"], row["cost_basis_base"]) for row in rows] == [("FUND", "1550")]
        performance = alices.get(f"/api/households/{home.pk}/performance/?start=2026-01-05&end=2026-01-09").json()
        assert performance["unrealized_pnl"] == "250"
        assert performance["market_value"] == "1800"

    def test_a_member_that_is_not_shared_any_more_does_not_count(self, alices, home, both):
        both[1].shares.all().delete()
        assert alices.get(f"/api/households/{home.pk}/").json()["portfolios"] == [both[0].pk]
        assert households.value(home, NOW).positions[0].quantity == 10

    def test_where_a_members_currency_has_no_rate_it_says_so(self, alices, home, both):
        FxRate.objects.all().delete()
        for figures in ("", "positions/", "performance/"):
            answer = alices.get(f"/api/households/{home.pk}/{figures}")
            assert (answer.status_code, list(answer.json())) == (400, ["base_currency"])

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({}, "name"), ({"name": ""}, "name"), ({"name": "x", "base_currency": "XYZ"}, "base_currency"),
            ({"name": "x", "portfolios": [0]}, "portfolios"), ({"name": "x", "portfolios": [10**30]}, "portfolios"),
            ({"name": "x", "portfolios": ["a"]}, "portfolios"), ({"name": "Home"}, "name"),
            ({"name": "x", "members": []}, "members"), ({"name": "x\0"}, "name"),
        ],
    )  # fmt: skip
    def test_a_bad_one_names_the_field(self, alices, home, body, field):
        answer = alices.post("/api/households/", body, content_type="application/json")
        assert (answer.status_code, list(answer.json())) == (400, [field])

    def test_what_one_may_not_see_is_no_member(self, alices, bob):
        hidden = Portfolio.objects.create(owner=bob, name="Hidden")
        body = {"name": "x", "portfolios": [hidden.pk]}
        assert alices.post("/api/households/", body, content_type="application/json").status_code == 400

    def test_two_of_one_name_at_once_are_one(self, alices, alice, monkeypatch):
        monkeypatch.setattr(HouseholdBody, "validate_name", lambda body, name: name)  # both have looked already
        body = {"name": "Nest"}
        assert alices.post("/api/households/", body, content_type="application/json").status_code == 201
        answer = alices.post("/api/households/", body, content_type="application/json")
        assert (answer.status_code, list(answer.json())) == (400, ["name"])
        assert alice.households.count() == 1

    def test_numbers_beyond_all_rows_are_404(self, alices, portfolio):
        for path in (f"households/{10**30}/", f"portfolios/{10**30}/", f"portfolios/{portfolio.pk}/shares/{10**30}/"):
            method = alices.delete if "shares" in path else alices.get
            assert method(f"/api/{path}").status_code == 404
