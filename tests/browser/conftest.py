"""A real browser before a whole installation."""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Error,
    Page,
    Playwright,
    expect,
    sync_playwright,
)

from tests.flows.conftest import prepared, pytest_runtest_makereport  # noqa: F401 - fixtures go by name
from tests.flows.installation import Installation

SCREENSHOTS = Path(__file__).parent / "screenshots"
EXECUTABLES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# A busy machine draws slowly: waiting costs nothing where the page is quick.
PATIENCE_MS = 30_000
# What the browser itself reports of a server that is away, or was told to fail; everything else is a bug of ours.
OUTAGE = re.compile(r"ERR_CONNECTION_(REFUSED|RESET|CLOSED)|ERR_EMPTY_RESPONSE|WebSocket connection to|status of 5\d\d")

Open = Callable[..., Page]


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """For one file: while it is there its event loop is this thread's, and Django's database is out of bounds."""
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """The system's Chromium, else the one that Playwright has downloaded."""
    executable = next(filter(None, map(shutil.which, EXECUTABLES)), None)
    try:
        launched = playwright.chromium.launch(executable_path=executable, args=FLAGS)
    except Error as error:
        if executable is not None:
            raise
        pytest.skip(
            f"no browser: neither {', '.join(EXECUTABLES)} nor Playwright's own ({error.message.splitlines()[0]})"
        )
    yield launched
    launched.close()


@pytest.fixture(scope="package")
def site(
    tmp_path_factory: pytest.TempPathFactory,
    prepared: Path,  # noqa: F811 - the fixture imported above
) -> Iterator[Installation]:
    """Everything that `make run` starts, with the simulated feed; for all files here, so each leaves it as it was."""
    settings = {"FEEDS": "simulated", "WEBHOOK_ALLOWED_HOSTS": "127.0.0.1"}
    with Installation(tmp_path_factory.mktemp("site"), prepared, **settings) as installation:
        installation.start()
        installation.wait_ready(90.0)
        yield installation


@pytest.fixture(autouse=True)
def _told_on_failure(request: pytest.FixtureRequest, site: Installation) -> None:
    request.node.installations = [site]


@pytest.fixture(scope="module")
def signed_in(browser: Browser, site: Installation) -> dict[str, object]:
    """demo's cookies, got as people get them."""
    context = browser.new_context()
    page = context.new_page()
    sign_in(page, site, "demo")
    state = context.storage_state()
    context.close()
    return dict(state)


@pytest.fixture
def errors() -> list[str]:
    """What the browser's console complained of; whatever is left at the test's end fails it."""
    return []


@pytest.fixture
def open_page(browser: Browser, site: Installation, signed_in: dict[str, object], errors: list[str]) -> Iterator[Open]:
    """`open_page()` opens `/` as demo; `open_page(as_demo=False, path="/…", color_scheme="dark", …)` otherwise."""
    contexts: list[BrowserContext] = []

    def listen(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            errors.append(f"{message.text} ({message.location.get('url')})")

    def open_(
        as_demo: bool = True, path: str = "/?symbol=BTC-USDT", width: int = 1440, height: int = 900, **more
    ) -> Page:
        # Without flashes a machine that draws in software keeps up.
        settings = {"reduced_motion": "reduce", "color_scheme": "light", "timezone_id": "UTC"} | more
        context = browser.new_context(
            viewport={"width": width, "height": height}, storage_state=signed_in if as_demo else None, **settings
        )
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        page = context.new_page()
        page.on("console", listen)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(site.address + path)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert errors == []


def forgive_outage(errors: list[str]) -> None:
    """Strike what the browser says of a server that the test itself took away."""
    errors[:] = [error for error in errors if not OUTAGE.search(error)]


def forgive_refusals(errors: list[str]) -> None:
    """Strike what the browser says of answers with 400, which the page shows at its fields."""
    errors[:] = [error for error in errors if "status of 400" not in error]


def sign_in(page: Page, site: Installation, name: str) -> None:
    page.goto(site.address + "/accounts/login/")
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill(name)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(site.address + "/")


def expect_no_sideways_scroll(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]


def take(page: Page, name: str) -> None:
    """A picture for whoever wants to look, in `screenshots/`."""
    SCREENSHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png")
