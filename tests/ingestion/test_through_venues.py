"""Each venue through the product to the disk: what it sent is stored exactly, its books are shown, its limits kept."""

from collections import Counter

import pytest

from ingestion.models import Gap
from ingestion.tasks import heal_gaps
from tests.ingestion.through import KINDS, bare_on_disk, candles_agree, following, gaps, in_a_gap, on_disk
from tests.processes import wait_for
from tests.venues import faults

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
    assert candles_agree(follow)
    assert follow.venue.violations == []


@pytest.mark.parametrize("follow", ["finnhub"], indirect=True)
def test_trades_without_ids_are_on_disk_each_as_often_as_it_was_sent(follow):
    lived(follow)
    truth = Counter(follow.bare(trade) for trade in follow.venue.made().values())
    assert max(truth.values()) > 1
    wait_for(lambda: bare_on_disk("finnhub") == truth, 15, "the trades on disk")
    assert follow.venue.violations == []


ANYWHERE = [
    faults.DUPLICATE, faults.REORDER, (faults.DELAY, 0.1), faults.FRAGMENT, faults.UNKNOWN_FIELDS, faults.HALF,
    (faults.STALL, 0.3),
]  # fmt: skip
# Finnhub must be connected to seldom, and without ids or numbers nobody can know that a frame was lost.
COUNTABLE = [
    faults.DROP, faults.DROP, (faults.MUTE, 0.3), (faults.CLOSE, 1006), (faults.CLOSE, 1001), (faults.SHUTDOWN, 0.5),
]  # fmt: skip
# Each venue's own troubles, and how many data frames it sends a second at the rate of `lived`.
TROUBLES = {
    "binance": ([*COUNTABLE, faults.CROSSED, faults.STALE_SNAPSHOT, faults.HTTP_500, faults.HTTP_HTML], 1_200),
    "coinbase": ([*COUNTABLE, faults.CROSSED, faults.CUT_SNAPSHOT], 120),
    "kraken": ([*COUNTABLE, faults.CROSSED, faults.WRONG_CHECKSUM, faults.CUT_SNAPSHOT], 600),
    "finnhub": ([], 10),
}


def troubled(follow, seconds=4, per_s=400):
    """The market lives through a schedule of faults and a little longer."""
    own, frames_per_s = TROUBLES[follow.provider]
    schedule = faults.seeded(11, [*ANYWHERE, *own], seconds * frames_per_s, first=frames_per_s // 4)
    follow.venue.schedule(schedule)
    follow.venue.live(per_s)
    wait_for(lambda: len(follow.venue.fates.happened) == len(schedule), 40, "every fault to happen")
    # Kraken lets itself be connected to five times in 25 s; the schedule may have used them up.
    follow.subscribed(within_s=40)
    made = len(follow.venue.made())
    wait_for(lambda: len(follow.venue.made()) > made + per_s, 10, "a quiet end")


def healed(follow, truth):
    heal_gaps()
    return on_disk(follow.provider) == truth


@pytest.mark.parametrize("follow", COUNTED, indirect=True)
def test_after_any_faults_the_end_state_is_that_without_them(follow):
    troubled(follow)
    follow.venue.quiet()
    follow.venue.settle()
    wait_for(follow.books_agree, 20, "the books as the venue has them")
    truth = {follow.row(trade) for trade in follow.venue.made().values()}
    wait_for(lambda: not Gap.objects.filter(ended_at=None).exists(), 10, "every gap to end")
    wait_for(lambda: healed(follow, truth), 20, "every missing trade brought back")
    wait_for(lambda: candles_agree(follow), 10, "the candles made anew")
    assert gaps(follow.provider)
    assert follow.venue.violations == []


@pytest.mark.parametrize("follow", ["finnhub"], indirect=True)
def test_what_cannot_be_repaired_is_in_the_ledger(follow):
    troubled(follow)
    follow.venue.quiet()
    follow.venue.settle()
    wait_for(lambda: not Gap.objects.filter(ended_at=None).exists(), 10, "every gap to end")
    sent = Counter(follow.bare(trade) for trade in follow.venue.sent.values())
    wait_for(lambda: not sent - bare_on_disk("finnhub"), 10, "what was sent to be on disk")
    missing = [t for t in follow.venue.made().values() if t.key not in follow.venue.sent]
    assert missing
    assert [t for t in missing if not in_a_gap("finnhub", t.time_us)] == []
    assert follow.venue.violations == []
