"""Indicators over HTTP."""

from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model

from ingestion import store

from .conftest import CLOSED, make_bars

pytestmark = pytest.mark.django_db

PATH = "/api/market/BTC-USD/indicators/"


@pytest.fixture
def reader(client, db):
    client.force_login(get_user_model().objects.create_user("reader"))
    return client


def test_values_by_bar(reader, candles):
    candles([100.0 + i for i in range(60)])
    told = reader.get(PATH, {"name": ["sma(3)", "bollinger(3,2)"], "limit": 2}).json()
    assert told["indicators"][0] | {"variant": ""} == {
        "label": "sma(3)", "name": "sma", "variant": "", "outputs": ["sma"], "lookback": 2, "warmup": 3,
    }  # fmt: skip
    assert [row["close"] for row in told["results"]] == [158, 159]
    assert told["results"][-1]["values"]["sma(3)"] == {"sma": 158}
    assert told["results"][-1]["values"]["bollinger(3,2)"]["middle"] == 158
    assert told["live"] is None
    assert told["next"] is None


def test_the_forming_bar_is_told_apart(reader, btc, candles):
    candles([100.0] * 30)
    store.copy_candles(make_bars([130.0], btc.id, closed=CLOSED + timedelta(minutes=1), final=False))
    told = reader.get(PATH, {"name": "sma(3)"}).json()
    assert told["results"][-1]["values"]["sma(3)"]["sma"] == 100
    assert told["live"]["values"]["sma(3)"]["sma"] == 110
    assert told["live"]["close"] == 130


def test_several_by_comma_and_parameters_of_several(reader, candles):
    candles([100.0 + i % 7 for i in range(120)])
    told = reader.get(PATH, {"name": "rsi,macd(5,20,4), rsi(14)"}).json()
    assert [one["label"] for one in told["indicators"]] == ["rsi(14)", "macd(5,20,4)"]


def test_a_window_that_is_not_full_is_null(reader, candles):
    candles([100.0, 101.0])
    told = reader.get(PATH, {"name": "sma(3)"}).json()
    assert [row["values"]["sma(3)"]["sma"] for row in told["results"]] == [None, None]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"name": "rsii"}, "name"),
        ({}, "name"),
        ({"name": "rsi", "interval": "7m"}, "interval"),
        ({"name": "rsi", "limit": 0}, "limit"),
        ({"name": ",".join(f"sma({n})" for n in range(2, 20))}, "name"),
    ],
)
def test_what_cannot_be_asked(reader, btc, asked, field):
    answer = reader.get(PATH, asked)
    assert answer.status_code == 400
    assert field in answer.json()


def test_an_unknown_symbol_is_not_found(reader):
    assert reader.get("/api/market/NOPE/indicators/", {"name": "rsi"}).status_code == 404


def test_which_there_are(reader):
    told = reader.get("/api/indicators/").json()["results"]
    rsi = next(one for one in told if one["name"] == "rsi")
    assert rsi["variant"] == "Wilder's smoothing"
    assert rsi["parameters"] == [{"name": "period", "default": 14, "min": 2, "max": 1000, "whole": True}]
