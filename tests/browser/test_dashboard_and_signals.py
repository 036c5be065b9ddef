"""The pages `/realtime/dashboard/` and `/signals/`, as people meet them. They share one installation."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Open, forgive_outage, sign_in, take
from tests.browser.test_page import expect_drawn, expect_live, expect_no_sideways_scroll, expect_to_move
from tests.flows.installation import Installation

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

DASHBOARD = "/realtime/dashboard/"
# One that has reached its target, and one that is just being said.
SIGNALS = """
from datetime import timedelta
from django.db import transaction
from django.utils import timezone
from ingestion.symbols import resolve
from signals.models import Signal, SignalOutcome
from signals.topics import signal_messages
from streaming import events

def say(symbol, side, ago, **more):
    at = timezone.now() - timedelta(minutes=ago)
    instrument = resolve(symbol)
    price = 100.0
    return Signal.objects.create(
        strategy="rsi_reversal", strategy_key="rsi_reversal(demo)@1h", instrument=instrument, interval="1h", time=at,
        candle_rev=0, signal_type=side, strength="STRONG", entry_price=price, target_price=price * 1.02,
        stop_loss=price * 0.99, expires_at=at + timedelta(hours=20), reason="RSI(14) has come back above 30.", **more,
    )

old = say("BTC-USDT", "BUY", 300, confidence_score=57.0, confidence_basis="calibrated hit rate of 57 signals",
          status="TARGET", status_at=timezone.now())
SignalOutcome.objects.create(
    signal=old, result="target", at=timezone.now(), exit_price=102.0, return_percent=2.0, return_r=2.0,
    mfe_percent=2.4, mfe_r=2.4, mae_percent=-0.3, mae_r=-0.3, bars_held=3, source="simulated", scored_at=timezone.now(),
)
with transaction.atomic():
    events.append(signal_messages(say("ETH-USDT", "BUY", 0, confidence_score=82.0)))
"""


def tile(page: Page, symbol: str) -> Locator:
    return page.locator(f'.price-tile[data-symbol="{symbol}"] .price')


def test_a_visitor_sees_how_the_service_is_doing(open_page: Open, errors: list[str]):
    page = open_page(as_demo=False, path=DASHBOARD)
    expect(page.locator(".service")).to_have_attribute("data-service", "running")
    feed = page.locator('[data-feed="simulated"]')
    expect(feed).to_have_attribute("data-state", "live")
    expect(page.locator(".hops tbody tr").first).to_contain_text("simulated")
    expect_to_move(tile(page, "BTC-USDT"))
    expect(page.get_by_text("to see what each feed could not take")).to_be_visible()
    expect(page.get_by_role("region", name="Update prices")).to_have_count(0)
    take(page, "dashboard-visitor")
    # What was told stays on show, and says how old it is, until the server answers again.
    page.route("**/realtime/status/", lambda route: route.abort())
    expect(page.locator(".stale-since")).to_contain_text("All this is as of")
    expect(feed).to_be_visible()
    page.unroute("**/realtime/status/")
    expect(page.locator(".stale-since")).to_have_count(0)
    errors[:] = [error for error in errors if "ERR_FAILED" not in error]
    forgive_outage(errors)


def test_staff_see_more_and_ask_for_prices(open_page: Open, site: Installation, errors: list[str]):
    page = open_page(as_demo=False, color_scheme="dark")
    sign_in(page, site, "admin")
    page.goto(site.address + DASHBOARD)
    page.get_by_role("button", name="simulated").click()
    expect(page.locator(".feed-more")).to_contain_text("It is no market.")
    symbols = page.get_by_label("Symbols")
    symbols.fill("NOPE")
    page.get_by_role("button", name="Update prices").click()
    expect(page.get_by_text("There is no instrument “NOPE”.")).to_be_visible()
    symbols.fill("btc-usdt, eth-usdt")
    page.get_by_role("button", name="Update prices").click()
    expect(page.locator(".force-job")).to_have_attribute("data-job", "done")
    expect(page.locator(".force-job progress")).to_have_attribute("max", "2")
    take(page, "dashboard-staff-dark")
    errors[:] = [error for error in errors if "status of 400" not in error]


def test_signals_come_in_and_tell_what_became_of_them(open_page: Open, site: Installation):
    page = open_page(path="/signals/")
    expect_live(page)
    site.manage("shell", "-c", SIGNALS)
    ours = page.locator(".signal-row", has_text="rsi_reversal")
    came = ours.filter(has_text="ETH-USDT")
    expect(came).to_have_attribute("data-fresh", "true")
    expect(came).to_contain_text("heuristic")
    came.get_by_role("button").click()
    expect_drawn(page)
    expect(page.locator(".levels")).to_contain_text("+2.00%")
    take(page, "signals")
    page.get_by_role("radio", name="Over", exact=True).check()
    expect(came).to_have_count(0)
    ours.filter(has_text="BTC-USDT").get_by_role("button").click()
    expect(page.get_by_role("region", name="Outcome")).to_contain_text("Target reached.")
    expect(page.get_by_role("region", name="Outcome")).to_contain_text("+2.00 R")
    page.get_by_role("link", name="Scorecards").click()
    expect(page.locator(".scorecards")).to_contain_text("rsi_reversal")


def test_a_strategy_is_made_changed_and_deleted(open_page: Open):
    page = open_page(path="/signals/?view=strategies")
    page.get_by_role("button", name="New strategy").click()
    page.get_by_label("Name").fill("Dips")
    page.get_by_label("Kind").select_option("rsi_reversal")
    period = page.get_by_label("period")
    period.fill("1")
    expect(page.get_by_text("2 to 200.")).to_be_visible()
    expect(page.get_by_role("button", name="Create strategy")).to_be_disabled()
    period.fill("7")
    page.get_by_role("button", name="Create strategy").click()
    own = page.locator(".strategy", has_text="Dips")
    expect(own).to_contain_text("period 7")
    take(page, "strategies")
    asked = own.get_by_role("switch")
    asked.click()
    expect(asked).to_have_attribute("aria-checked", "false")
    own.get_by_role("button", name="Edit").click()
    page.get_by_label("Name").fill("Deep dips")
    page.get_by_role("button", name="Save changes").click()
    own = page.locator(".strategy", has_text="Deep dips")
    expect(own.get_by_role("switch")).to_have_attribute("aria-checked", "false")
    own.get_by_role("button", name="Delete").click()
    own.get_by_role("button", name="Delete").click()
    expect(own).to_have_count(0)


def test_on_a_phone_nothing_is_too_wide(open_page: Open, site: Installation):
    page = open_page(path=DASHBOARD, width=360, height=780, device_scale_factor=2, has_touch=True)
    for name, path, there in (
        ("dashboard", DASHBOARD, ".price-tile .price"),
        ("signals", "/signals/", ".signal-filters"),
        ("strategies", "/signals/?view=strategies", ".strategy"),
        ("news", "/signals/?view=news", ".story"),
    ):
        if name != "dashboard":
            page.goto(site.address + path)
        expect(page.locator(there).first).to_be_visible()
        expect_no_sideways_scroll(page)
        take(page, f"phone-{name}")


def test_a_visitor_is_asked_to_sign_in_for_signals_and_reads_the_news(open_page: Open):
    page = open_page(as_demo=False, path="/signals/")
    expect(page.get_by_role("main").get_by_role("link", name="Sign in")).to_have_attribute(
        "href", re.compile("next=%2Fsignals%2F")
    )
    page.get_by_role("link", name="News", exact=True).click()
    expect(page.locator(".story").first).to_be_visible()
