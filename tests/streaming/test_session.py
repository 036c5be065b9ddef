"""A session decides in values: text in, effects out."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.core import Core
from streaming.effects import Act, Authenticate, Close, Send, SetPace, Subscribe, Subscription, Unsubscribe
from streaming.protocol import Address, Message, Position
from streaming.session import MINUTE_US, Limits, Session

NOW = 1_769_596_201_123_456
LIMITS = Limits(messages_per_minute=100, message_bytes=65_536, broken_messages=3, subscriptions=3, symbols=5)


@pytest.fixture
def session() -> Session:
    return Session(Core(), LIMITS)


def say(session: Session, type: str, data: Any = None, now: int = NOW, **more: Any) -> list[Any]:
    return session.receive(json.dumps({"type": type, "data": data if data is not None else {}, **more}), now)


def hold(session: Session, *names: str) -> None:
    for name in names:
        session.granted(Subscription(Address(topic=name, name=name)))


def sent(effect: Any) -> dict[str, Any]:
    assert isinstance(effect, Send)
    return effect.message


def test_a_ping_is_answered_with_its_id(session: Session) -> None:
    assert say(session, "ping", id="x") == [
        Send({"type": "pong", "data": {}, "timestamp": "2026-01-28T10:30:01.123456Z", "id": "x"})
    ]


def test_an_id_of_null_is_no_id(session: Session) -> None:
    assert "id" not in sent(say(session, "ping", id=None)[0])


def test_subscribe_asks_for_each_topic_once_with_all_its_options(session: Session) -> None:
    since = {"notifications": {"epoch": "e", "seq": 3}}
    data = {"topics": ["b", "a", "b"], "since": since, "interval_ms": 250, "depth": 5, "batch": True}

    assert say(session, "subscribe", data, id=1) == [
        SetPace(250, True),
        Subscribe(("b", "a"), 1, since={"notifications": Position("e", 3)}, depth=5),
    ]


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"topics": "price:BTC"},
        {"topics": [7]},
        {"topics": [""]},
        {"topics": ["x" * 201]},
        {"topics": ["price:\x00"]},
        {"topics": ["a"], "interval_ms": 49},
        {"topics": ["a"], "interval_ms": 5001},
        {"topics": ["a"], "depth": 0},
        {"topics": ["a"], "since": {"a": {"seq": 1}}},
        {"topics": ["a"], "intervall_ms": 100},
        [],
        None,
    ],
)
def test_a_wrong_subscribe_is_an_error_and_nothing_else(session: Session, data: Any) -> None:
    (answer,) = session.receive(json.dumps({"type": "subscribe", "data": data, "id": 5}), NOW)

    assert sent(answer)["data"]["code"] == 4000
    assert sent(answer)["id"] == 5


def test_list_and_unsubscribe_name_what_is_held(session: Session) -> None:
    hold(session, "price:BTC", "signals")

    assert sent(say(session, "list")[0])["data"] == {"topics": ["price:BTC", "signals"]}
    leave, answer = say(session, "unsubscribe", {"topics": ["price:btc", "price:ETH"]})
    assert leave == Unsubscribe(("price:BTC",))
    assert sent(answer)["data"] == {"topics": ["price:BTC"]}


def test_the_older_words_for_assets_and_portfolios(session: Session) -> None:
    hold(session, "price:BTC", "portfolio:7")

    assert say(session, "subscribe_asset", {"symbol": "BTC"}) == [Subscribe(("price:BTC",), quiet=True)]
    assert say(session, "unsubscribe_asset", {"symbol": "btc"}) == [Unsubscribe(("price:BTC",))]
    assert say(session, "subscribe_portfolio", {"portfolio_id": 7}) == [Subscribe(("portfolio:7",), quiet=True)]
    assert say(session, "unsubscribe_portfolio", {"portfolio_id": "7"}) == [Unsubscribe(("portfolio:7",))]


def test_set_interval_changes_the_pace(session: Session) -> None:
    pace, answer = say(session, "set_interval", {"interval_ms": 500, "batch": False})
    assert pace == SetPace(500, False)
    assert (sent(answer)["type"], sent(answer)["data"]) == ("interval", {"interval_ms": 500, "batch": False})


def test_mark_read_is_an_action_of_another_package(session: Session) -> None:
    assert say(session, "mark_read", {"notification_ids": [1, "2"]}, id=9) == [
        Act("mark_read", {"notification_ids": ["1", "2"]}, 9)
    ]


def test_a_token_is_handed_on_to_be_looked_at(session: Session) -> None:
    assert say(session, "auth", {"token": "x"}, id=3) == [Authenticate("x", 3)]


def test_subscriptions_beyond_the_limit_are_refused_by_name(session: Session) -> None:
    hold(session, "a", "b")

    _, refusal, kept = say(session, "subscribe", {"topics": ["b", "c", "d"]}, id=1)

    assert kept == Subscribe(("b", "c"), 1)
    assert sent(refusal)["data"] == {
        "code": 4029,
        "message": "At most 3 subscriptions per connection; refused: d",
        "retry": False,
    }


def test_room_is_made_by_leaving(session: Session) -> None:
    hold(session, "a", "b", "c")
    session.left("b")
    assert say(session, "subscribe", {"topics": ["d"]})[1:] == [Subscribe(("d",))]


def test_a_minutes_messages_are_limited_and_the_minute_slides(session: Session) -> None:
    for n in range(LIMITS.messages_per_minute):
        assert isinstance(say(session, "ping", now=NOW + n)[0], Send)

    error, close = say(session, "ping", now=NOW + MINUTE_US - 1)
    assert (sent(error)["data"]["code"], sent(error)["data"]["retry"]) == (4129, True)
    assert isinstance(close, Close)
    assert close.code == 4129
    (answer,) = say(session, "ping", now=NOW + MINUTE_US)
    assert sent(answer)["type"] == "pong"


def test_broken_messages_are_borne_up_to_a_limit(session: Session) -> None:
    for _ in range(LIMITS.broken_messages):
        assert len(session.receive("{", NOW)) == 1
    answer, close = session.receive("{", NOW)
    assert sent(answer)["type"] == "error"
    assert isinstance(close, Close)
    assert close.code == 4000


@pytest.mark.parametrize(
    "text", ["[" * 20_000, '{"a":' * 20_000, '"' + "x" * 70_000 + '"', '"' + "é" * 40_000 + '"', None]
)
def test_monstrous_messages_are_errors(session: Session, text: str | None) -> None:
    (answer,) = session.receive(text, NOW)
    assert sent(answer)["data"]["code"] == 4000


@given(
    st.text()
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda v: st.lists(v) | st.dictionaries(st.text(), v),
    ).map(json.dumps)
)
def test_no_text_breaks_a_session(text: str) -> None:
    session = Session(Core(), LIMITS)
    for effect in session.receive(text, NOW):
        json.dumps(sent(effect))


@given(
    st.sampled_from(["ping", "subscribe", "unsubscribe", "list", "mark_read", "auth", "set_interval"]),
    st.recursive(
        st.none() | st.integers() | st.text(),
        lambda v: st.lists(v) | st.dictionaries(st.sampled_from(["topics", "since", "id"]), v),
    ),
)
def test_no_data_breaks_a_session(type: str, data: Any) -> None:
    Session(Core(), LIMITS).receive(json.dumps({"type": type, "data": data, "id": data}), NOW)


def test_an_event_carries_the_asked_symbol_and_its_position() -> None:
    message = Message("price:BTC-USDT", "asset_update", {"symbol": "BTC-USDT", "price": 1.5}, NOW, "e", 7)
    address = Address(topic="price:BTC-USDT", name="price:BTC", symbol="BTC")

    assert Core().render(message, Subscription(address)) == [
        {
            "type": "asset_update",
            "topic": "price:BTC",
            "data": {"symbol": "BTC", "price": 1.5},
            "timestamp": "2026-01-28T10:30:01.123456Z",
            "epoch": "e",
            "seq": 7,
        }
    ]


def test_a_book_is_cut_to_the_depth_asked_for() -> None:
    levels = [[100.0 - n, 1.0] for n in range(5)]
    message = Message("book:A", "book", {"symbol": "A", "bids": levels, "asks": levels, "depth": 5}, NOW)

    (event,) = Core().render(message, Subscription(Address("book:A", "book:A"), depth=2))

    assert (event["data"]["bids"], event["data"]["depth"]) == (levels[:2], 2)
    assert len(message.data["bids"]) == 5
