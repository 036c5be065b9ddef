"""`/settings/notifications/` in a real browser, with receivers that really get what is sent."""

import json
import re
import uuid
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from signals.channels.webhook import signature
from tests.browser.conftest import Open, expect_no_sideways_scroll, forgive_refusals, take
from tests.flows.installation import Installation
from tests.processes import wait_for
from tests.signals.receivers import PushService, Receiver

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

PATH = "/settings/notifications/"
# The browser's part that needs the internet: its push service. Everything else is real.
SUBSCRIBING = """
subscription => {
  const made = { ...subscription, toJSON: () => subscription, unsubscribe: async () => delete localStorage.subscribed };
  PushManager.prototype.getSubscription = async () => (localStorage.subscribed ? made : null);
  PushManager.prototype.subscribe = async ({ applicationServerKey }) => {
    localStorage.subscribed = applicationServerKey.length;
    return made;
  };
}
"""


@pytest.fixture
def started() -> Iterator[Callable[[type[Receiver]], Receiver]]:
    """started(Kind): a receiver, which ends with the test."""
    made: list[Receiver] = []

    def start(kind: type[Receiver]) -> Receiver:
        made.append(kind())
        return made[-1]

    yield start
    for receiver in made:
        receiver.close()


@pytest.fixture
def settings_page(open_page: Open, site: Installation) -> Iterator[Page]:
    page = open_page(path=PATH)
    expect(page.get_by_role("heading", name="Notifications", level=1)).to_be_visible()
    # What all tests here have told within minutes is a storm otherwise, and comes as a summary.
    prefer(page, site, {"storm_max": 1000, "storm_type_max": 1000})
    yield page
    prefer(page, site, {})
    # Each test begins without destinations.
    page.goto(page.url.partition("?")[0])
    delete_all(page)


def prefer(page: Page, site: Installation, wishes: dict[str, object]) -> None:
    """Set these preferences of demo's; all others are the defaults."""
    token = next(cookie["value"] for cookie in page.context.cookies() if cookie["name"] == "csrftoken")
    answer = page.request.put(
        f"{site.address}/api/notifications/preferences/", data=wishes, headers={"X-CSRFToken": token}
    )
    assert answer.ok, answer.text()


def delete_all(page: Page) -> None:
    rows = page.locator(".destination")
    expect(rows.or_(page.get_by_text("You are told on these pages only")).first).to_be_visible()
    while left := rows.count():
        rows.first.get_by_role("button", name="Delete").click()
        rows.first.get_by_role("group").get_by_role("button", name="Delete").click()
        expect(rows).to_have_count(left - 1)


def tell(site: Installation, title: str) -> None:
    """One notification for demo, recorded and delivered."""
    script = (
        "from django.contrib.auth.models import User; from signals.topics import broadcast_notification; "
        f"broadcast_notification(notification_id={uuid.uuid4().hex!r}, title={title!r}, message='It is told.', "
        "user=User.objects.get(username='demo'))"
    )
    site.manage("shell", "-c", script)


def section(page: Page, name: str) -> None:
    page.get_by_role("navigation", name="Sections").get_by_role("link", name=name).click()


def add_webhook(page: Page, url: str) -> None:
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_role("radio", name="Webhook").check(force=True)
    page.get_by_label("Address").fill(url)
    # The simulated market's signals go elsewhere.
    page.get_by_role("checkbox", name="Messages").check(force=True)
    page.get_by_role("button", name="Add destination").click()


def row_of(page: Page, name: str) -> Locator:
    return page.locator(".destination").filter(has=page.get_by_role("heading", name=name, exact=True))


def test_a_webhook_is_refused_added_tested_told_and_sent_to_again(settings_page: Page, site, started, errors):
    page, receiver = settings_page, started(Receiver)
    add_webhook(page, "http://10.0.0.1/")
    address = page.get_by_label("Address")
    expect(address).to_be_focused()
    expect(address).to_have_accessible_description("Only https:// is called.")
    forgive_refusals(errors)
    take(page, "settings-refused")
    address.fill(receiver.url)
    page.get_by_role("button", name="Add destination").click()
    secret = page.get_by_label("Secret", exact=True).input_value()
    take(page, "settings-secret")
    page.get_by_role("button", name="I have kept it").click()

    row = row_of(page, "Webhook")
    expect(row).to_contain_text("Not verified")
    row.get_by_role("button", name="Send a test").click()
    expect(row.get_by_role("status")).to_have_text("Delivered. It answered “ok”.")
    expect(row).to_contain_text("Working")
    (call,) = receiver.calls
    assert call.json["test"] is True
    assert call.headers["x-tapehouse-signature"] == signature(
        secret, int(call.headers["x-tapehouse-timestamp"]), call.body
    )
    take(page, "settings-destinations")

    receiver.then(400, b"no such thing")
    tell(site, "Refused at first")
    row.get_by_role("button", name="Log").click()
    failed = page.locator('.log-row[data-status="failed"]')
    expect(failed).to_contain_text("HTTP 400")
    expect(failed).to_contain_text("no such thing")
    take(page, "settings-log")
    failed.get_by_role("button", name="Send again").click()
    expect(page.locator('.log-row[data-status="sent"]')).to_have_count(2)
    first, second = receiver.calls[1:]
    assert first.json["title"] == second.json["title"] == "Refused at first"
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    page.get_by_role("radio", name="Failed").check(force=True)
    expect(page.get_by_text("No delivery is like that.")).to_be_visible()


def test_this_browser_is_subscribed_pushed_to_and_shows_it(open_page: Open, site: Installation, started):
    service = started(PushService)
    page = open_page(path=PATH, permissions=["notifications"])
    page.add_init_script(f"({SUBSCRIBING})({json.dumps(service.subscription)})")
    page.reload()
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_role("radio", name="This browser").check(force=True)
    page.get_by_role("button", name="Allow and add").click()
    row = page.locator(".destination")
    row.get_by_role("button", name="Send a test").click()
    expect(row.get_by_role("status")).to_have_text(re.compile("^Delivered"))
    assert service.opened[0]["title"] == "Test from Tapehouse"
    assert page.evaluate("localStorage.subscribed") == "65"

    push(page, site.address, service.opened[0] | {"notification_id": "n1", "title": "BTC-USD above 70,000"})
    shown = "navigator.serviceWorker.ready.then(ready => ready.getNotifications())"
    found = wait_for(lambda: page.evaluate(f"{shown}.then(all => all.map(({{ title, data }}) => [title, data.path]))"))
    assert found == [["BTC-USD above 70,000", PATH]]
    delete_all(page)
    assert page.evaluate("localStorage.subscribed") is None


def push(page: Page, origin: str, body: dict[str, object]) -> None:
    """Hand the page's service worker a push, as the browser does."""
    session = page.context.new_cdp_session(page)
    registrations: list[dict[str, object]] = []
    session.on("ServiceWorker.workerRegistrationUpdated", lambda told: registrations.extend(told["registrations"]))
    session.send("ServiceWorker.enable")
    wait_for(lambda: page.evaluate("1") and registrations)
    at = {"origin": origin, "registrationId": registrations[0]["registrationId"]}
    session.send("ServiceWorker.deliverPushMessage", {**at, "data": json.dumps(body)})


def test_preferences_are_refused_by_field_saved_and_kept(open_page: Open, site: Installation, errors: list[str]):
    page = open_page(path=f"{PATH}?section=preferences", timezone_id="Europe/Berlin")
    zone = page.get_by_label("Time zone")
    zone.fill("Berlin")
    page.get_by_role("button", name="Save changes").click()
    expect(zone).to_have_accessible_description("There is no time zone “Berlin”; one is Europe/Berlin.")
    forgive_refusals(errors)
    page.get_by_role("button", name="Use this browser's: Europe/Berlin").click()
    page.get_by_role("button", name="Add quiet hours").click()
    start = page.get_by_label("From", exact=True)
    start.fill("23:30")
    backfills = page.get_by_role("combobox", name="Backfills")
    backfills.select_option("muted")
    page.get_by_role("button", name="Save changes").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    page.reload()
    expect(start).to_have_value("23:30")
    expect(zone).to_have_value("Europe/Berlin")
    expect(backfills).to_have_value("muted")
    take(page, "settings-preferences")
    page.get_by_role("button", name="Remove quiet hours 1").click()
    page.get_by_role("button", name="Save changes").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    prefer(page, site, {})


def test_what_is_read_in_one_tab_is_read_in_the_other(open_page: Open, site: Installation):
    tell(site, "Read elsewhere")
    here = open_page()
    here.get_by_role("button", name=re.compile("^Notifications")).click()
    here.get_by_role("link", name="All notifications").click()
    there = open_page(path=f"{PATH}?section=history", width=360, height=740, color_scheme="dark")
    newest = [page.locator(".history .notification", has_text="Read elsewhere").first for page in (here, there)]
    for item in newest:
        expect(item).to_have_class(re.compile("unread"))
    expect_no_sideways_scroll(there)
    take(there, "settings-history-phone-dark")
    newest[0].get_by_role("button", name=re.compile("as read")).click()
    for item in newest:
        expect(item).not_to_have_class(re.compile("unread"))
    for name in ("Destinations", "Preferences", "Delivery log"):
        section(there, name)
        expect(there.get_by_role("heading", level=2).locator("visible=true").first).to_be_visible()
        expect_no_sideways_scroll(there)


def test_a_visitor_is_asked_to_sign_in_and_comes_back(open_page: Open):
    page = open_page(as_demo=False, path=f"{PATH}?section=history")
    page.get_by_role("main").get_by_role("link", name="Sign in").click()
    page.get_by_label("User name").fill("demo")
    page.get_by_label("Password").fill("demo")
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(re.compile(re.escape(f"{PATH}?section=history")))
    expect(page.get_by_role("heading", name="All notifications")).to_be_visible()
