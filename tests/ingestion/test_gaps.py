"""Holes in the numbers of trades: each told once, whoever tells it how often."""

import pytest

from ingestion import gaps
from ingestion.holes import Hole
from ingestion.models import Gap
from tests.ingestion.market import NOW_US, SECOND_US, make_instrument

pytestmark = pytest.mark.django_db


def hole(first, last, symbol="BTCUSDT"):
    return Hole(symbol, first, last, NOW_US + first * SECOND_US, NOW_US + (last + 1) * SECOND_US)


@pytest.fixture
def btc():
    return make_instrument(binance="BTCUSDT")


def rows():
    return [(gap.from_id, gap.to_id, gap.ticks) for gap in Gap.objects.order_by("from_id")]


def test_a_hole_becomes_a_row_once(btc):
    assert gaps.record("binance", [hole(10, 12)]) == 1
    assert gaps.record("binance", [hole(10, 12), hole(11, 11)]) == 0
    gap = Gap.objects.get()
    assert (gap.provider, gap.instrument, gap.kind, gap.status) == ("binance", btc, "trades", "open")
    assert rows() == [(10, 12, 3)]


def test_holes_that_touch_or_overlap_become_one(btc):
    gaps.record("binance", [hole(10, 12), hole(20, 22), hole(40, 41)])
    gaps.record("binance", [hole(13, 19)])
    assert rows() == [(10, 22, 13), (40, 41, 2)]
    assert Gap.objects.earliest("from_id").started_at < Gap.objects.latest("from_id").started_at


def test_what_came_of_a_hole_stays(btc):
    gaps.record("binance", [hole(10, 12)])
    Gap.objects.update(status=Gap.Status.FILLED)
    assert gaps.record("binance", [hole(10, 12)]) == 0
    # A greater one that holds it is news.
    assert gaps.record("binance", [hole(9, 12)]) == 1
    assert Gap.objects.filter(status=Gap.Status.OPEN).count() == 1


def test_a_hole_that_grows_under_repair_is_open_again(btc):
    gaps.record("binance", [hole(10, 12)])
    Gap.objects.update(status=Gap.Status.REPAIRING)
    gaps.record("binance", [hole(12, 15)])
    assert Gap.objects.get().status == Gap.Status.OPEN


def test_rows_are_bounded(btc, settings):
    settings.GAPS_OPEN_MAX = 3
    gaps.record("binance", [hole(100 * i, 100 * i + 5) for i in range(1, 9)])
    assert len(rows()) == 3
    assert rows()[-1][1] == 805  # joined to the nearest, none left out


def test_nobodys_symbol_is_left_out(btc):
    assert gaps.record("binance", [hole(1, 2, "NOBODY"), hole(5, 4)]) == 0
    assert gaps.record("kraken", [hole(1, 2)]) == 0


def test_one_that_was_given_up_is_tried_once_more(btc):
    gaps.record("binance", [hole(10, 12)])
    gap = Gap.objects.get()
    assert gaps.reopen(gap) is False
    Gap.objects.update(status=Gap.Status.UNFILLABLE, attempts=30, detail="why")
    assert gaps.reopen(gap) is True
    gap.refresh_from_db()
    assert (gap.status, gap.attempts, gap.detail) == (Gap.Status.OPEN, 0, "")
