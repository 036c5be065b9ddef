"""The page at `/alerts/`: an alert made, told, silenced, tried on the past and taken away; by keyboard, on a phone."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Open, expect_no_sideways_scroll, forgive_outage, forgive_refusals, take

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

HIGH = {"kind": "price", "symbol": "BTC-USDT", "op": "above", "value": 9_000_000}


def call(page: Page, method: str, path: str, body: object = None) -> dict:
    """The API, as the user whose page it is."""
    token = page.evaluate("JSON.parse(document.getElementById('bootstrap').textContent).csrf_token")
    address = re.sub(r"(//[^/]+)/.*", r"\1", page.url) + path
    answer = page.request.fetch(address, method=method, headers={"X-CSRFToken": token}, data=body)
    assert answer.ok, answer.text()
    return answer.json() if answer.status != 204 else {}


@pytest.fixture
def _none_left(open_page: Open) -> Iterator[None]:
    """No test finds another's alerts."""
    yield
    page = open_page(path="/alerts/")
    for alert in call(page, "GET", "/api/alerts/?limit=1000")["results"]:
        call(page, "DELETE", f"/api/alerts/{alert['id']}/")


def detail(page: Page) -> Locator:
    return page.get_by_role("region", name="Alert", exact=True)


def test_a_visitor_is_asked_to_sign_in_and_led_back(open_page: Open) -> None:
    page = open_page(as_demo=False, path="/alerts/")
    expect(page.get_by_role("heading", name="Alerts that watch the market for you")).to_be_visible()
    link = page.get_by_role("main").get_by_role("link", name="Sign in")
    expect(link).to_have_attribute("href", re.compile(r"next=%2Falerts%2F$"))


@pytest.mark.usefixtures("_none_left")
def test_an_alert_is_made_told_armed_again_silenced_and_deleted(open_page: Open, errors: list[str]) -> None:
    page = open_page(path="/alerts/")
    expect(page.get_by_text("No alerts yet")).to_be_visible()
    page.get_by_role("button", name="New alert").click()
    page.get_by_label("Instrument").fill("BTC-USDT")
    page.get_by_label("Threshold").fill("1")
    page.get_by_label("Over again at").fill("2")
    page.get_by_role("radio", name="Once", exact=True).check()
    page.get_by_label("Note to yourself").fill("Have a look.")
    page.get_by_role("button", name="Create alert").click()
    # The server refuses it at the field that is wrong, which takes the focus.
    clear = page.get_by_label("Over again at")
    expect(clear).to_have_accessible_description(re.compile("wrong side"))
    expect(clear).to_be_focused()
    take(page, "alerts-refused")
    clear.fill("")
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", name="BTC-USDT above 1")).to_be_focused()
    expect(detail(page).get_by_text("Fired", exact=True)).to_be_visible()
    row = page.get_by_role("region", name="Firings").locator("tbody tr")
    expect(row).to_have_count(1)
    expect(row).to_contain_text(re.compile(r"BTC-USDT [\d,.]+"))
    take(page, "alerts-fired")
    page.get_by_role("button", name=re.compile("^Notifications")).click()
    expect(page.get_by_role("dialog").locator(".notification", has_text="Have a look.").first).to_be_visible()
    page.keyboard.press("Escape")

    detail(page).get_by_role("button", name="Arm again").click()
    expect(detail(page).get_by_text("Waits until it is over")).to_be_visible()
    detail(page).get_by_label("For how long").select_option("1 day")
    detail(page).get_by_role("button", name="Snooze").click()
    expect(detail(page).get_by_text(re.compile("Silent until"))).to_be_visible()
    detail(page).get_by_role("button", name="End the silence").click()
    page.get_by_role("switch", name="Watch “BTC-USDT above 1”").click()
    expect(detail(page).get_by_role("button", name="Switch on")).to_be_visible()

    detail(page).get_by_role("button", name="Delete").click()
    page.keyboard.press("Escape")
    expect(detail(page).get_by_role("button", name="Delete")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(page.get_by_text("No alerts yet")).to_be_visible()
    forgive_refusals(errors)


@pytest.mark.usefixtures("_none_left")
def test_groups_are_built_kept_and_tried_on_the_past(open_page: Open, errors: list[str]) -> None:
    page = open_page(path="/alerts/?new=BTC-USDT")
    page.get_by_label("Threshold").fill("9000000")
    page.get_by_role("button", name="Add a group").click()
    group = page.get_by_role("group", name="A group of conditions")
    expect(group.get_by_label("Figure")).to_be_focused()
    group.get_by_label("Figure").select_option("Indicator")
    group.get_by_label("Indicator", exact=True).fill("rsi(14)")
    group.get_by_label("Threshold").fill("30")
    group.get_by_label("Only while this is not so").first.check()
    group.get_by_role("button", name="Add a condition").click()
    # What has no field of its own is told where it stands.
    page.get_by_role("button", name="Create alert").click()
    expect(group.get_by_label("Threshold").nth(1)).to_have_accessible_description(re.compile("Is missing"))
    group.get_by_label("Threshold").nth(1).fill("2")
    page.get_by_role("main").get_by_role("radio", name="Any of these").first.check()
    page.get_by_role("radio", name="Day").check()
    page.get_by_role("button", name="Would it have fired?").click()
    past = page.get_by_role("region", name="Would it have fired?")
    expect(past.get_by_role("status")).to_contain_text(re.compile(r"It would (not )?have fired"))
    expect(past.locator("img")).to_have_js_property("complete", True)
    assert past.locator("img").evaluate("image => image.naturalWidth") > 0
    take(page, "alerts-form")
    page.get_by_role("button", name="Create alert").click()
    expect(page).to_have_url(re.compile(r"id=\d+"))
    [made] = call(page, "GET", "/api/alerts/")["results"]
    [first, second] = made["condition"]["any"]
    assert first["value"] == 9_000_000
    assert set(second) == {"any"}
    assert second["any"][0] == {
        "not": {
            "kind": "indicator",
            "symbol": "BTC-USDT",
            "name": "rsi(14)",
            "interval": "1h",
            "op": "above",
            "value": 30,
        }
    }
    forgive_refusals(errors)


@pytest.mark.usefixtures("_none_left")
def test_on_a_phone_the_list_or_one_alert_and_the_way_back(open_page: Open) -> None:
    page = open_page(path="/alerts/", width=360, height=740, has_touch=True)
    made = call(page, "POST", "/api/alerts/", {"condition": HIGH, "name": "Far away"})
    page.reload()
    expect_no_sideways_scroll(page)
    take(page, "alerts-phone")
    opener = page.locator(f"[data-alert='{made['id']}']").get_by_role("button")
    opener.tap()
    expect(page.get_by_role("heading", name="Far away")).to_be_focused()
    expect(opener).to_be_hidden()
    expect_no_sideways_scroll(page)
    page.get_by_role("button", name="Edit").tap()
    expect(page.get_by_label("Threshold")).to_have_value("9000000")
    page.get_by_label("Note to yourself").fill("Sell.")
    expect_no_sideways_scroll(page)
    take(page, "alerts-phone-form")
    page.get_by_role("button", name="Save changes").tap()
    expect(page.get_by_text("Sell.")).to_be_visible()
    page.get_by_role("button", name="All alerts").tap()
    expect(opener).to_be_focused()


def test_what_failed_to_load_can_be_tried_again(open_page: Open, errors: list[str]) -> None:
    page = open_page(path="/healthz")
    page.route("**/api/alerts/**", lambda route: route.fulfill(status=500, body="{}"))
    page.goto(page.url.replace("/healthz", "/alerts/"))
    expect(page.get_by_text("Alerts could not be loaded")).to_be_visible()
    page.unroute("**/api/alerts/**")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_text("No alerts yet")).to_be_visible()
    forgive_outage(errors)
