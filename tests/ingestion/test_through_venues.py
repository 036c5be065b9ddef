"""Each venue through the product to the disk: what it sent is stored exactly, its books are shown, its limits kept."""

from collections import Counter

import pytest

from tests.ingestion.through import KINDS, bare_on_disk, following, on_disk
from tests.processes import wait_for

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("own_prefix", "tick_tables")]


@pytest.fixture
def follow(request, settings):
    """The venue of the test's parameter, followed."""
    provider = request.param
    with KINDS[provider].venue() as venue, following(provider, venue, settings) as followed:
        followed.subscribed()
        yield followed


COUNTED = ["binance", "coinbase", "kraken"]


def lived(follow, trades=400, per_s=400):
    follow.venue.live(per_s)
    wait_for(lambda: len(follow.venue.made()) > trades, 10, "trades made")
    follow.venue.quiet()
    follow.venue.settle()


@pytest.mark.parametrize("follow", COUNTED, indirect=True)
def test_all_trades_are_on_disk_exactly_and_the_books_are_the_venues(follow):
    lived(follow)
    truth = {follow.row(trade) for trade in follow.venue.made().values()}
    wait_for(lambda: on_disk(follow.provider) == truth, 15, "the trades on disk")
    wait_for(follow.books_agree, 10, "the books as the venue has them")
    assert follow.venue.violations == []


@pytest.mark.parametrize("follow", ["finnhub"], indirect=True)
def test_trades_without_ids_are_on_disk_each_as_often_as_it_was_sent(follow):
    lived(follow)
    truth = Counter(follow.bare(trade) for trade in follow.venue.made().values())
    assert max(truth.values()) > 1
    wait_for(lambda: bare_on_disk("finnhub") == truth, 15, "the trades on disk")
    assert follow.venue.violations == []
