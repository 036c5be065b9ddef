"""The page at `/`, as a person meets it: a real browser, real processes, the simulated feed."""

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import PATIENCE_MS, Open, expect_no_sideways_scroll, forgive_outage, sign_in, take
from tests.flows.installation import Installation

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

FIGURE = re.compile(r"^[\d,]+\.\d+$")
# Colours in the pixels of the most colourful canvas: an empty chart has the ground and the grid. Read from a copy, made
# to be read.
COLOURS = """
element => Math.max(...[...element.querySelectorAll("canvas")].map(canvas => {
  const { width, height } = canvas;
  if (width === 0 || height === 0) return 0;
  const copy = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  return new Set(new Uint32Array(copy.getImageData(0, 0, width, height).data.buffer)).size;
}))
"""
DRAWN_COLOURS = 6


def row(page: Page, symbol: str) -> Locator:
    return page.locator(f'tr[data-symbol="{symbol}"]')


def price_of(page: Page, symbol: str) -> Locator:
    return row(page, symbol).locator(".price")


def expect_to_move(figure: Locator) -> None:
    """It shows a number, and within seconds another one."""
    expect(figure).to_have_text(FIGURE)
    expect(figure).not_to_have_text(figure.inner_text())


def expect_live(page: Page) -> None:
    expect(page.locator(".connection")).to_have_attribute("data-phase", "live")


def expect_drawn(page: Page) -> None:
    """The chart has its history, and candles in its pixels."""
    chart = page.locator(".chart")
    expect(chart).to_have_attribute("data-ready", "true")
    page.wait_for_function(
        f"count => ({COLOURS})(document.querySelector('.chart')) >= count", arg=DRAWN_COLOURS, polling=250
    )


def tell(site: Installation) -> None:
    """One notification for demo."""
    site.manage("test_websockets", "--type", "notifications", "--user", "demo")


def test_a_visitor_sees_the_market_move_and_a_way_in(open_page: Open):
    page = open_page(as_demo=False)
    expect_live(page)
    expect_to_move(price_of(page, "BTC-USDT"))
    expect(row(page, "BTC-USDT").locator(".freshness")).to_have_text("Live")
    expect(page.get_by_text("Your portfolio, live")).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("^Notifications"))).to_have_count(0)
    take(page, "visitor")
    page.get_by_role("banner").get_by_role("link", name="Sign in").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    take(page, "sign-in")


def test_demo_signs_in_and_everything_moves(open_page: Open, site: Installation):
    page = open_page(as_demo=False)
    sign_in(page, site, "demo")
    row(page, "BTC-USDT").click()
    expect_live(page)
    expect_to_move(price_of(page, "BTC-USDT"))
    expect_to_move(page.get_by_test_id("total-value"))
    expect_drawn(page)
    expect(page.locator(".tape tbody tr").nth(5)).to_be_visible()
    take(page, "desktop-light")
    if wanted := os.environ.get("TAPEHOUSE_SCREENSHOT"):
        page.screenshot(path=Path(wanted))
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("banner").get_by_role("link", name="Sign in")).to_be_visible()


def test_the_last_bar_follows_the_trades(open_page: Open):
    page = open_page()
    close = page.locator(".legend dd").nth(3)
    expect_to_move(close)
    for interval in ("1h", "1d", "5m"):
        page.get_by_role("radio", name=interval, exact=True).check()
        expect(page.locator(".chart")).to_have_attribute("aria-label", re.compile(f"BTC-USDT, {interval}"))
        expect_drawn(page)
    expect(page).to_have_url(re.compile("interval=5m"))


def test_a_notification_arrives_is_listed_and_marked_as_read(open_page: Open, site: Installation):
    page = open_page()
    expect_live(page)
    bell = page.get_by_role("button", name=re.compile("^Notifications"))
    tell(site)
    expect(page.locator(".toast", has_text="Test message 1.")).to_be_visible()
    expect(bell).to_have_accessible_name(re.compile(r"[1-9]\d* unread"))
    bell.click()
    item = page.locator(".notification", has_text="Test message 1.").first
    expect(item).to_have_class(re.compile("unread"))
    take(page, "notifications")
    item.get_by_role("button", name="Mark “Test” as read").click()
    expect(item).not_to_have_class(re.compile("unread"))
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(bell).to_be_focused()


def test_the_page_comes_back_by_itself_and_misses_no_notification(
    open_page: Open, site: Installation, errors: list[str]
):
    page = open_page()
    expect_live(page)
    expect_to_move(price_of(page, "BTC-USDT"))
    # A first one, so that the page knows where its topic stands.
    tell(site)
    expect(page.locator(".toast")).to_have_count(1)
    page.locator(".toast").get_by_role("button", name="Dismiss").click()
    site.kill9("web")
    connection = page.locator(".connection")
    expect(connection).to_have_text(re.compile("Reconnecting|Connecting"))
    expect(row(page, "BTC-USDT").locator(".freshness")).to_have_text(re.compile("Stale"))
    expect(page.locator(".as-of")).to_have_text(re.compile("not updating"))
    take(page, "reconnecting")
    tell(site)
    site.start("web")
    expect_live(page)
    expect(page.locator(".toast", has_text="Test message 1.").first).to_be_visible()
    expect_to_move(price_of(page, "BTC-USDT"))
    expect_to_move(page.get_by_test_id("total-value"))
    expect_drawn(page)
    forgive_outage(errors)


def test_on_a_phone_one_view_at_a_time(open_page: Open):
    page = open_page(width=390, height=844, device_scale_factor=2, has_touch=True)
    expect_to_move(price_of(page, "BTC-USDT"))
    expect_no_sideways_scroll(page)
    take(page, "phone-markets")
    row(page, "ETH-USDT").tap()
    expect(page.get_by_role("heading", name="ETH-USDT")).to_be_visible()
    expect(row(page, "ETH-USDT")).to_be_hidden()
    expect_drawn(page)
    expect_no_sideways_scroll(page)
    take(page, "phone-chart")
    page.get_by_role("button", name="Portfolio").tap()
    expect_to_move(page.get_by_test_id("total-value"))
    expect_no_sideways_scroll(page)
    take(page, "phone-portfolio")


def test_dark_by_the_system_and_light_by_choice(open_page: Open):
    page = open_page(color_scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(ground) == "rgb(12, 14, 18)"
    expect_to_move(page.get_by_test_id("total-value"))
    expect_drawn(page)
    take(page, "desktop-dark")
    page.get_by_role("button", name="Use light colours").click()
    assert page.evaluate(ground) == "rgb(246, 247, 249)"
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "light"


def test_the_watchlist_by_keyboard(open_page: Open):
    page = open_page()
    expect(price_of(page, "BTC-USDT")).to_have_text(FIGURE)
    page.keyboard.press("/")
    page.keyboard.type("usdt")
    expect(page.locator(".grid tbody tr")).to_have_count(3)
    page.keyboard.press("Tab")
    expect(row(page, "BTC-USDT")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(row(page, "ETH-USDT")).to_be_focused()
    page.keyboard.press("Enter")
    expect(row(page, "ETH-USDT")).to_have_attribute("aria-selected", "true")
    expect(page.get_by_role("heading", name="ETH-USDT")).to_be_visible()
    expect(page).to_have_url(re.compile("symbol=ETH-USDT"))
    page.keyboard.press("/")
    page.keyboard.press("Escape")
    expect(page.locator(".grid tbody tr")).to_have_count(12)
    page.reload()
    expect(page.get_by_role("heading", name="ETH-USDT")).to_be_visible()


def test_a_price_that_moves_lights_up_unless_motion_is_unwelcome(open_page: Open):
    flashes = "document.querySelector('.watchlist').getAnimations({subtree: true}).length > 0"
    page = open_page(reduced_motion="no-preference")
    page.wait_for_function(flashes)
    calm = open_page()
    expect_to_move(price_of(calm, "BTC-USDT"))
    assert not calm.evaluate(flashes)


def test_a_newcomer_is_told_what_is_not_there_yet(open_page: Open, site: Installation):
    create = "from django.contrib.auth.models import User; User.objects.create_user('newcomer', password='newcomer')"
    site.manage("shell", "-c", create)
    page = open_page(as_demo=False)
    sign_in(page, site, "newcomer")
    expect(page.get_by_text("No portfolio yet")).to_be_visible()
    page.get_by_role("button", name=re.compile("^Notifications")).click()
    expect(page.get_by_role("dialog")).to_contain_text("Nothing yet")
    take(page, "newcomer")
    page.keyboard.press("Escape")
    page.get_by_label("Filter instruments").fill("zzz")
    expect(page.get_by_text("Nothing matches “zzz”")).to_be_visible()


def test_what_failed_to_load_can_be_tried_again(open_page: Open, errors: list[str]):
    page = open_page()
    expect(price_of(page, "BTC-USDT")).to_have_text(FIGURE)
    page.route("**/api/**", lambda route: route.fulfill(status=500, body="{}"))
    page.reload()
    expect(page.get_by_text("Instruments could not be loaded")).to_be_visible()
    expect(page.get_by_text("Portfolios could not be loaded")).to_be_visible()
    take(page, "failed")
    page.unroute("**/api/**")
    for _ in range(2):
        page.get_by_role("button", name="Try again").first.click(timeout=PATIENCE_MS)
    expect_to_move(price_of(page, "BTC-USDT"))
    expect_to_move(page.get_by_test_id("total-value"))
    forgive_outage(errors)
