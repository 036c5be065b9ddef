"""The pages that people open: what the server writes into them, and for whom."""

import json
import re
from pathlib import Path

import pytest
from django.test import Client
from django_vite.core.asset_loader import DjangoViteAssetLoader

pytestmark = pytest.mark.django_db

PAGES = {
    "/": "market",
    "/alerts/": "alerts",
    "/signals/": "signals",
    "/settings/notifications/": "settings",
    "/realtime/dashboard/": "dashboard",
}
MANIFEST = {
    f"pages/{name}.tsx": {
        "file": f"{name}.0123456789ab.js",
        "src": f"pages/{name}.tsx",
        "isEntry": True,
        "css": [f"{name}.0123456789ab.css"],
    }
    for name in PAGES.values()
} | {
    "styles/account.css": {"file": "account.0123456789ab.css", "src": "styles/account.css", "isEntry": True},
}


@pytest.fixture(autouse=True)
def built(tmp_path: Path, settings, monkeypatch):
    """As after `npm run build`, without node."""
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps(MANIFEST))
    settings.DJANGO_VITE = {"default": {"dev_mode": False, "manifest_path": manifest}}
    monkeypatch.setattr(DjangoViteAssetLoader, "_instance", None)


def bootstrap(client: Client) -> dict[str, object]:
    """What the page is told before it can ask."""
    answer = client.get("/")
    assert answer.status_code == 200
    found = re.search(r'<script id="bootstrap" type="application/json">(.*?)</script>', answer.content.decode(), re.S)
    assert found is not None
    return dict(json.loads(found[1]))


@pytest.mark.parametrize(("path", "name"), PAGES.items())
def test_each_page_loads_what_was_built_for_it(client, path, name):
    answer = client.get(path)
    page = answer.content.decode()
    assert re.search(rf'<script type="module"[^>]* src="/static/{name}.0123456789ab.js"', page)
    assert f'href="/static/{name}.0123456789ab.css"' in page
    assert '<script id="bootstrap"' in page
    assert "no-store" in answer.headers["Cache-Control"]


def test_every_page_is_built(settings):
    config = (settings.BASE_DIR / "frontend" / "vite.config.ts").read_text()
    for name in PAGES.values():
        assert f'{name}: "pages/{name}.tsx"' in config


def test_a_visitor_sees_the_market_where_it_is_open(client, settings):
    settings.ANONYMOUS_MARKET_DATA = True
    told = bootstrap(client)
    assert told["user"] is None
    assert told["market_data"] is True
    assert told["login_url"] == "/accounts/login/"


def test_a_visitor_is_asked_to_sign_in_where_it_is_not(client, settings, alice):
    settings.ANONYMOUS_MARKET_DATA = False
    assert bootstrap(client)["market_data"] is False
    client.force_login(alice)
    assert bootstrap(client)["market_data"] is True


def test_staff_are_told_apart(client, alice, django_user_model):
    assert bootstrap(client)["staff"] is False
    client.force_login(alice)
    assert bootstrap(client)["staff"] is False
    client.force_login(django_user_model.objects.create_user("admin", is_staff=True))
    assert bootstrap(client)["staff"] is True


def test_a_name_cannot_break_out_of_the_page(client, django_user_model):
    client.force_login(django_user_model.objects.create_user("</script><script>alert(1)"))
    assert bootstrap(client)["user"] == {"username": "</script><script>alert(1)"}
    assert b"<script>alert" not in client.get("/").content


def test_the_page_is_for_one_person_and_not_kept(client):
    assert "no-store" in client.get("/").headers["Cache-Control"]


def test_only_reading(client):
    assert client.post("/").status_code == 405


@pytest.mark.parametrize(("cookie", "attribute"), [("dark", 'data-theme="dark"'), ('"><script>', None), ("", None)])
def test_the_chosen_theme_is_in_the_page_from_the_first_byte(client, cookie, attribute):
    client.cookies["theme"] = cookie
    opening = client.get("/").content.decode().split("<head>")[0]
    assert (attribute in opening) if attribute else ("data-theme" not in opening)


def test_signing_in_and_out(alice):
    client = Client(enforce_csrf_checks=True)
    form = client.get("/accounts/login/")
    assert b'href="/static/account.0123456789ab.css"' in form.content
    token = form.cookies["csrftoken"].value
    answer = client.post(
        "/accounts/login/",
        {"username": "alice", "password": "alice", "csrfmiddlewaretoken": token, "next": "/?symbol=ETH-USDT"},
    )
    assert answer.status_code == 302
    assert answer.headers["Location"] == "/?symbol=ETH-USDT"
    told = bootstrap(client)
    assert told["user"] == {"username": "alice"}

    assert client.post("/accounts/logout/").status_code == 403
    out = client.post("/accounts/logout/", {"csrfmiddlewaretoken": told["csrf_token"]})
    assert out.headers["Location"] == "/"
    assert bootstrap(client)["user"] is None


def test_signing_in_again_leads_to_the_page(client, alice):
    client.force_login(alice)
    assert client.get("/accounts/login/").headers["Location"] == "/"


def test_a_wrong_password_is_said_and_the_name_kept(client, alice):
    answer = client.post("/accounts/login/", {"username": "alice", "password": "bob"})
    assert answer.status_code == 200
    assert b'role="alert"' in answer.content
    assert b'value="alice"' in answer.content


def test_a_foreign_next_is_not_followed(client, alice):
    answer = client.post(
        "/accounts/login/", {"username": "alice", "password": "alice", "next": "https://elsewhere.example/"}
    )
    assert answer.headers["Location"] == "/"


@pytest.mark.parametrize(("development", "shown"), [(True, True), (False, False)])
def test_the_demo_user_is_named_in_development_only(client, settings, development, shown):
    settings.DEVELOPMENT = development
    assert (b"<code>demo</code>" in client.get("/accounts/login/").content) is shown


def test_the_service_worker_is_in_charge_of_the_whole_site_and_never_stale(client, settings, tmp_path):
    settings.FRONTEND_DIST = tmp_path
    assert client.get("/service-worker.js").status_code == 404
    (tmp_path / "service-worker.js").write_text("self;")
    answer = client.get("/service-worker.js")
    assert (answer.content, answer["Content-Type"]) == (b"self;", "text/javascript; charset=utf-8")
    assert answer["Service-Worker-Allowed"] == "/"
    assert "no-store" in answer["Cache-Control"]


def test_the_service_worker_is_built_under_its_own_name(settings):
    assert (settings.BASE_DIR / "frontend" / "public" / "service-worker.js").is_file()
