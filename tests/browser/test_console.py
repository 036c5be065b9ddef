"""The socket console, as somebody uses it to try a path."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open, take

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]


def connect(page: Page, path: str | None = None) -> None:
    if path is not None:
        page.get_by_label("Path").fill(path)
    page.get_by_role("button", name="Connect", exact=True).click()


def test_connect_send_filter_pause_disconnect(open_page: Open) -> None:
    page = open_page(path="/realtime/test/")
    expect(page.get_by_text("Nothing yet.")).to_be_visible()
    connect(page)
    expect(page.get_by_role("status")).to_have_text("Connected")
    expect(page.get_by_text('"user_id":')).to_be_visible()

    page.get_by_role("button", name="subscribe", exact=True).click()
    page.get_by_label("Message").press("Control+Enter")
    expect(page.get_by_text('"topic":"price:BTC-USDT"').first).to_be_visible()
    page.get_by_placeholder("Filter").fill("connection_id")
    expect(page.get_by_role("listitem")).to_have_count(2)  # and the list's end
    page.get_by_placeholder("Filter").fill("")
    page.get_by_role("button", name="Pause").click()
    shown = page.get_by_role("listitem").count()
    expect(page.get_by_role("button", name="Go on")).to_be_visible()
    page.wait_for_timeout(500)
    assert page.get_by_role("listitem").count() == shown
    take(page, "console")
    page.get_by_role("button", name="Disconnect").click()
    expect(page.get_by_role("status")).to_contain_text("Closed: 1000")


def test_another_path_a_ticket_and_a_wrong_token(open_page: Open) -> None:
    page = open_page(path="/websocket-test/")
    page.get_by_label("Sign in by").select_option("ticket")
    connect(page, "/ws/notifications/")
    expect(page.get_by_role("status")).to_have_text("Connected")
    page.get_by_role("button", name="Disconnect").click()
    page.get_by_label("Sign in by").select_option("token")
    page.get_by_label("Token", exact=True).fill("a.b.c")
    connect(page)
    expect(page.get_by_role("status")).to_contain_text("4001 · Sign in first")


@pytest.mark.parametrize(
    ("name", "settings"), [("dark", {"color_scheme": "dark"}), ("phone", {"width": 390, "height": 844})]
)
def test_it_fits(open_page: Open, name: str, settings: dict) -> None:
    page = open_page(path="/realtime/test/", **settings)
    connect(page, "/ws/market/BTC-USDT/price/")
    expect(page.get_by_text('"stream_type":"price"')).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    take(page, f"console-{name}")
