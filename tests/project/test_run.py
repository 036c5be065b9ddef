"""What `make run` decides and prints; tests/flows/test_run.py starts it."""

import io
import urllib.error

import pytest

from project import run


def test_each_installation_has_a_prefix_of_its_own(tmp_path):
    assert run._prefix(tmp_path / "one") != run._prefix(tmp_path / "two")
    assert run._prefix(tmp_path / "one") == run._prefix(tmp_path / "one")


@pytest.mark.parametrize("given", ["0", "65536", "http", "-1", "80.5"])
def test_what_is_no_port_is_refused_with_the_name_of_its_variable(monkeypatch, given):
    monkeypatch.setenv("PORT", given)
    with pytest.raises(SystemExit, match=f"PORT={given} is not a port"):
        run._port("PORT", 8000)


def test_the_banner_shows_addresses_that_a_browser_can_open(monkeypatch):
    for name, value in {"HOST": "0.0.0.0", "PORT": "9000", "FLOWER_PORT": "9001", "DEVELOPMENT": "1"}.items():
        monkeypatch.setenv(name, value)
    banner = run.banner()
    assert "http://127.0.0.1:9000/ " in banner
    assert "http://127.0.0.1:9001/" in banner
    assert "demo / demo" in banner


def test_no_demo_login_is_promised_in_production(monkeypatch):
    monkeypatch.setenv("DEVELOPMENT", "0")
    assert "demo" not in run.banner()
    assert "admin / admin" not in run.banner()


def test_what_is_missing_is_told_in_words():
    answer = {
        "checks": {
            "database": {"ok": True},
            "redis": {"ok": False, "error": "ConnectionError"},
            "residents": {"ok": False, "missing": ["ingestion.listen:simulated:0"]},
        }
    }
    assert run.missing(answer) == "redis (ConnectionError), residents (ingestion.listen:simulated:0)"
    assert run.missing({}) == "the web does not answer"


def test_a_refusal_that_is_no_json_counts_as_no_answer():
    refusal = urllib.error.HTTPError("http://127.0.0.1", 502, "Bad Gateway", {}, io.BytesIO(b"<html>"))
    assert run._json_or_nothing(refusal) == {}


def test_given_stores_are_not_started_and_are_left_to_manage_py(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("DATABASE_URL", "postgresql://theirs")
    monkeypatch.setenv("REDIS_URL", "redis://theirs")
    monkeypatch.setenv("REDIS_PREFIX", "mine")
    with run.stores(tmp_path):
        left = (tmp_path / "addresses.env").read_text()
    assert "DATABASE_URL=postgresql://theirs\nREDIS_URL=redis://theirs\nREDIS_PREFIX=mine\n" in left
    assert (tmp_path / "addresses.env").stat().st_mode & 0o777 == 0o600
    assert "the one that DATABASE_URL names" in capsys.readouterr().out
    assert not (tmp_path / "postgres").exists()
