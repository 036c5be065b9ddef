"""Backfills and gaps over HTTP and from the command line, as everybody who may and may not."""

import datetime as dt
import io

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from rest_framework.test import APIClient

from ingestion import backfill, gaps
from ingestion.holes import Hole
from ingestion.models import Backfill, Gap
from ingestion.plan import Span
from tests.ingestion.market import NOW_US, SECOND_US, make_instrument
from tests.ingestion.rows import stored
from tests.venues.binance import BinanceVenue
from tests.venues.binance_history import BinanceHistory
from tests.venues.market import SentTrade
from worker.models import Job

pytestmark = pytest.mark.usefixtures("own_prefix")

START = timezone.now().replace(minute=0, second=0, microsecond=0) - dt.timedelta(hours=30)
WISH = {
    "symbols": ["BTC-USDT"], "interval": "1m", "start": "2026-01-20T14:40:00Z", "end": "2026-01-22T00:00:00Z",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _no_workers(settings):
    settings.BACKFILL_LANES = 0


@pytest.fixture
def btc(db):
    return make_instrument(binance="BTCUSDT", kraken="BTC/USD")


@pytest.fixture
def staff(admin):
    client = APIClient()
    client.force_authenticate(admin)
    return client


@pytest.fixture
def alices(alice):
    client = APIClient()
    client.force_authenticate(alice)
    return client


@pytest.fixture
def venue(settings):
    with BinanceVenue() as found:
        settings.BINANCE_REST_URL = found.rest_url
        found.history = BinanceHistory(found)
        found.market.trades["BTCUSDT"] = [
            SentTrade("BTCUSDT", i, "100.00", "1.0", int((START.timestamp() + 30 * i) * 1e6), False)
            for i in range(1, 3_000)
        ]
        yield found


# --- Backfills


def test_staff_ask_for_history_and_see_how_far_it_is(staff, btc):
    answer = staff.post("/api/backfills/", WISH, format="json")
    assert answer.status_code == 202, answer.data
    assert answer.data["provider"] == "binance"  # the best that has it
    assert (answer.data["status"], answer.data["chunks"], answer.data["done"]) == ("running", 2, 0)
    pk = answer.data["id"]
    detail = staff.get(f"/api/backfills/{pk}/").data
    assert (detail["rows"], detail["calls"], detail["problems"]) == (0, 0, [])
    assert staff.get("/api/jobs/").data["results"][0]["id"] == answer.data["job_id"]
    assert [row["id"] for row in staff.get("/api/backfills/?status=running&provider=binance").data["results"]] == [pk]
    assert staff.get("/api/backfills/?status=done").data == {"results": [], "next": None}

    cancelled = staff.post(f"/api/backfills/{pk}/cancel/")
    assert cancelled.data["status"] == "cancelled"
    assert "admin" in cancelled.data["message"]
    assert staff.post(f"/api/backfills/{pk}/cancel/").data["status"] == "cancelled"


def test_a_dry_run_only_says_what_it_would_take(staff, btc):
    answer = staff.post("/api/backfills/", WISH | {"dry_run": True}, format="json")
    assert answer.status_code == 200
    assert (answer.data["calls"], answer.data["weight"], answer.data["left_out"]) == (2, 4, [])
    assert not Backfill.objects.exists()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"symbols": []}, "symbols"),
        ({"symbols": ["NOBODY"]}, "symbols"),
        ({"interval": "7m"}, "interval"),
        ({"start": "yesterday"}, "start"),
        ({"end": "2001-01-01T00:00:00Z"}, "end"),
        ({"provider": "finnhub"}, "provider"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_what_cannot_be_is_refused_by_its_field(staff, btc, change, field):
    answer = staff.post("/api/backfills/", WISH | change, format="json")
    assert answer.status_code == 400
    assert list(answer.data) == [field]


def test_others_may_look_and_not_touch(alices, staff, btc):
    pk = staff.post("/api/backfills/", WISH, format="json").data["id"]
    gap = Gap.objects.create(provider="binance", cause="c", started_at=START, status=Gap.Status.UNFILLABLE)
    for path in ("backfills", f"backfills/{pk}", "backfills/coverage", "gaps"):
        assert alices.get(f"/api/{path}/").status_code == 200
    for path in ("backfills", f"backfills/{pk}/cancel", f"gaps/{gap.pk}/retry"):
        assert alices.post(f"/api/{path}/", WISH, format="json").status_code == 403
        assert APIClient().post(f"/api/{path}/", WISH, format="json").status_code in (401, 403)
    assert Job.objects.get().status == Job.Status.RUNNING
    gap.refresh_from_db()
    assert gap.status == Gap.Status.UNFILLABLE


def test_nobody_reads_where_the_market_is_not_for_everybody(settings, db):
    settings.ANONYMOUS_MARKET_DATA = False
    for path in ("backfills", "backfills/coverage", "gaps"):
        assert APIClient().get(f"/api/{path}/").status_code in (401, 403)


def test_coverage_tells_which_times_are_whole(staff, btc):
    backfill.cover(btc.id, "binance", "1m", Span(NOW_US, NOW_US + 60 * SECOND_US))
    backfill.cover(btc.id, "kraken", "1h", Span(NOW_US, NOW_US + 3600 * SECOND_US))
    assert staff.get("/api/backfills/coverage/?symbol=BTCUSDT&provider=binance&interval=1m").data["results"] == [
        {"symbol": "BTC-USDT", "provider": "binance", "interval": "1m", "start": "2026-01-28T10:30:00Z",
         "end": "2026-01-28T10:31:00Z"},
    ]  # fmt: skip
    assert len(staff.get("/api/backfills/coverage/").data["results"]) == 2
    assert staff.get("/api/backfills/coverage/?interval=9m").status_code == 400


# --- Gaps


def test_gaps_are_listed_filtered_and_tried_again(staff, btc):
    gaps.record("binance", [Hole("BTCUSDT", 5, 7, NOW_US, NOW_US + SECOND_US)])
    Gap.objects.create(shard="kraken:0", provider="kraken", cause="disconnected", started_at=START)
    first = staff.get("/api/gaps/?provider=binance").data["results"]
    assert [(g["symbol"], g["from_id"], g["to_id"], g["status"], g["kind"]) for g in first] == [
        ("BTC-USDT", 5, 7, "open", "trades")
    ]
    assert [g["symbol"] for g in staff.get("/api/gaps/").data["results"]] == [None, "BTC-USDT"]
    assert staff.get("/api/gaps/?symbol=BTC-USDT&status=filled").data["results"] == []
    assert staff.get("/api/gaps/?status=lost").status_code == 400

    Gap.objects.filter(provider="binance").update(status=Gap.Status.UNFILLABLE, detail="why")
    answer = staff.post(f"/api/gaps/{first[0]['id']}/retry/")
    assert (answer.data["status"], answer.data["detail"]) == ("open", "")
    assert staff.post("/api/gaps/999999/retry/").status_code == 404


# --- The command


def command(*arguments):
    out, err = io.StringIO(), io.StringIO()
    call_command("backfill", *arguments, stdout=out, stderr=err)
    return out.getvalue() + err.getvalue()


@pytest.mark.usefixtures("tick_tables")
def test_the_command_fetches_and_a_second_time_changes_nothing(venue, btc):
    arguments = ("--symbols", "BTC-USDT", "--interval", "1m", "--start", START.isoformat(), "--provider", "binance")
    said = command(*arguments)
    assert "chunks" in said
    assert "done:" in said
    rows = stored("SELECT count(*) FROM venue_candle")
    assert rows[0][0] > 1_400
    assert "0 chunks" in command(*arguments, "--end", (START + dt.timedelta(hours=29)).isoformat())
    assert stored("SELECT count(*) FROM venue_candle") == rows
    assert "0 differences" in command(*arguments, "--verify", "--end", (START + dt.timedelta(hours=29)).isoformat())


def test_the_commands_dry_run_asks_nobody(venue, btc):
    end = START + dt.timedelta(hours=29, minutes=30)
    arguments = ("--symbols", "BTC-USDT,BTC-USDT", "--interval", "trades", "--start", START.isoformat())
    said = command(*arguments, "--end", end.isoformat(), "--dry-run")
    assert "binance trades: 30 chunks" in said
    assert venue.history.calls == []
    assert not Backfill.objects.exists()


def test_the_command_says_what_is_wrong(venue, btc):
    for arguments, message in (
        (("--symbols", "NOBODY", "--start", "2026-01-01"), "NOBODY"),
        (("--start", "2026-01-01"), "--symbols"),
        (("--symbols", "BTC", "--start", "2026-01-02", "--end", "2026-01-01"), "later"),
        (("--symbols", "BTC", "--start", "2026-01-02", "--provider", "finnhub"), "no history"),
    ):
        with pytest.raises(CommandError, match=message):
            command(*arguments)
    with pytest.raises(CommandError, match="ISO 8601"):
        command("--symbols", "BTC", "--start", "soon")


@pytest.mark.usefixtures("tick_tables")
def test_the_command_fails_aloud(venue, btc):
    del venue.market.trades["BTCUSDT"]
    with pytest.raises(CommandError, match="Invalid symbol"):
        command("--symbols", "BTC-USDT", "--interval", "1h", "--start", START.isoformat())
