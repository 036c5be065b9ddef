"""The browser clients before the running server, through a proxy that cuts, stalls and slows."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open, forgive_outage
from tests.flows.installation import Installation
from tests.processes import ROOT, wait_for
from tests.proxy import Proxy

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

CONFIG = """
import {{ defineConfig }} from "vite";
import shared from "./vite.config.ts";
export default defineConfig({{
  resolve: shared.resolve,
  build: {{ outDir: {out!r}, emptyOutDir: true, target: "es2022", lib: {{ entry: {entry!r}, formats: ["iife"],
           name: "page", fileName: () => "page.js" }} }},
  define: {{ "process.env.NODE_ENV": '"production"' }},
}});
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tests/browser/pages/hooks.tsx, built as the page's own scripts are."""
    out = tmp_path_factory.mktemp("hooks")
    config = ROOT / "frontend" / "vite.hooks-test.config.ts"
    entry = ROOT / "frontend" / "hooks-test-page.tsx"
    shutil.copy(ROOT / "tests" / "browser" / "pages" / "hooks.tsx", entry)
    entry.write_text(entry.read_text().replace("../../../frontend/", "./"))
    config.write_text(CONFIG.format(out=str(out), entry=str(entry)))
    try:
        subprocess.run(["npx", "--no-install", "vite", "build", "-c", str(config)], cwd=ROOT / "frontend", check=True)
    finally:
        config.unlink()
        entry.unlink()
    return out / "page.js"


@pytest.fixture
def proxy(site: Installation) -> Iterator[Proxy]:
    with Proxy(site.port) as made:
        yield made


@pytest.fixture
def page(open_page: Open, script: Path, proxy: Proxy) -> Page:
    """The hooks' page, all of it by way of the proxy: a page of another origin would be refused."""
    opened = open_page(path="/healthz")
    opened.goto(f"http://127.0.0.1:{proxy.port}/healthz")
    opened.set_content('<div id="page"></div>')
    opened.add_script_tag(path=script)
    expect(opened.locator("#live")).to_have_text("true")
    return opened


def number(page: Page, name: str) -> int:
    return int(page.locator(f"#{name}").inner_text() or 0)


def moves(page: Page, name: str) -> None:
    before = number(page, name)
    wait_for(lambda: number(page, name) > before, 30, f"#{name} to move")


def test_the_hooks_tell_of_prices_books_and_any_path(page: Page) -> None:
    expect(page.locator("#price")).not_to_be_empty()
    expect(page.locator("#book")).to_have_text("live")
    expect(page.locator("#active")).to_have_text("2")
    expect(page.locator("#plain")).to_have_text("true")
    moves(page, "heard")
    moves(page, "count")
    page.get_by_role("button", name="more").click()
    expect(page.locator("#active")).to_have_text("3")
    page.get_by_role("button", name="less").click()
    expect(page.locator("#active")).to_have_text("2")
    expect(page.locator("#book")).to_be_empty()


@pytest.mark.parametrize("trouble", ["cut", "stall"])
def test_after_trouble_everything_goes_on(page: Page, proxy: Proxy, errors: list[str], trouble: str) -> None:
    getattr(proxy, trouble)()
    if trouble == "cut":
        expect(page.locator("#live")).to_have_text("false")
        expect(page.locator("#plain")).to_have_text("false")
    proxy.resume()
    if trouble == "stall":
        proxy.drop()  # what fell into the black hole is found out by the heartbeat, after half a minute
    expect(page.locator("#live")).to_have_text("true")
    expect(page.locator("#plain")).to_have_text("true")
    moves(page, "count")
    forgive_outage(errors)


def test_through_a_slow_line_prices_still_move(page: Page, proxy: Proxy) -> None:
    proxy.slow(bytes_per_s=30_000, delay_s=0.05)
    moves(page, "count")


def test_a_stream_hands_over_batches_and_counts(page: Page) -> None:
    page.evaluate(
        """() => { window.batches = [];
        window.stream.subscribe("grid", ["BTC-USDT", "ETH-USDT", "AAPL"], (b) => window.batches.push(b), "high"); }"""
    )
    wait_for(lambda: page.evaluate("window.batches.length") >= 2, 30, "two batches")
    metrics = page.evaluate("window.stream.getMetrics()")
    assert (metrics["connections"], metrics["connected"], metrics["symbols"]) == (1, 1, 3)
    assert metrics["delivered"] >= 2
    page.evaluate("window.stream.close()")


def test_the_plain_script(open_page: Open, site: Installation) -> None:
    page = open_page(path="/healthz")
    page.set_content("<p>A page without a build.</p>")
    page.add_script_tag(url=site.address + "/static/js/websocket_client.js")
    page.evaluate(
        """() => { window.heard = []; window.refused = [];
        websocketClient.subscribeToSymbol("btc", (update) => window.heard.push(update.symbol));
        websocketClient.onRefusal((refusal) => window.refused.push(refusal.code));
        window.signals = [];
        websocketClient.filterSignals({signal_type: "BUY"}, (signal) => window.signals.push(signal.signal_type));
        websocketClient.markNotificationRead("0"); }"""
    )
    wait_for(lambda: page.evaluate("window.heard.length") >= 2, 30, "two prices")
    assert page.evaluate("window.heard[0]") == "BTC"
    assert set(page.evaluate("window.signals")) <= {"BUY"}
    assert page.evaluate("websocketClient.getMetrics().connected") is True
    page.evaluate("websocketClient.disconnect()")


def test_where_sockets_are_blocked_it_polls(open_page: Open, site: Installation, errors: list[str]) -> None:
    page = open_page(path="/healthz")
    page.set_content("<p>Behind a proxy that lets no sockets through.</p>")
    page.evaluate(
        """() => { window.WebSocket = class {
            constructor() { setTimeout(() => this.onclose?.({code: 1006, reason: ""})); }
            close() {} send() {} }; }"""
    )
    page.add_script_tag(url=site.address + "/static/js/websocket_client.js")
    page.evaluate(
        """() => { window.heard = [];
        websocketClient.subscribeToSymbol("BTC-USDT", (update) => window.heard.push(update.price)); }"""
    )
    wait_for(lambda: page.evaluate("new Set(window.heard).size") >= 2, 40, "two polled prices")
    assert page.evaluate("websocketClient.getMetrics().polling") is True
    page.evaluate("websocketClient.disconnect()")
