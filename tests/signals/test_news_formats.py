"""Whatever those who bring news send: plain text comes out of it, or a sentence."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signals.news_formats import Unreadable, finnhub, rss, simulated
from signals.news_formats.item import Item, believed, named, plain
from signals.news_formats.simulated import Subject
from signals.stories import canonical_url
from tests.venues.news import feed, finnhub_item

URL = "https://wire.example/feed.xml"
NOW_US = 1_795_255_200_000_000


def read(body, most=100, **headers):
    return rss.read(body, URL, headers, most)


# --- Text -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("<p>One</p><p>two</p>", "One two"),
        ("<b>A</b>pple", "Apple"),
        ("P/E < 10 and AT&amp;T > 5", "P/E < 10 and AT&T > 5"),
        ("x<script>alert(1)</script>y", "x y"),
        ("x<script>alert(1)", "x"),
        ("&lt;script&gt;alert(1)&lt;/script&gt;", ""),
        ("&amp;lt;img src=x onerror=alert(1)&amp;gt;", ""),
        ("a<!-- b -->c", "a c"),
        ("nul\x00 \u202eevil \ud800half\n\tline", "nul evil half line"),
        (None, ""),
    ],
)
def test_markup_becomes_text(raw, text):
    assert plain(raw, 100) == text


def test_long_text_is_cut_between_words():
    assert plain("word " * 1000, 22) == "word word word word…"


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="<>/!-&;abscript \"'=#x1\x00\ud800", max_size=300))
def test_no_text_keeps_a_tag_or_breaks(raw):
    text = plain(raw, 120)
    assert len(text) <= 120
    assert "<script" not in text
    text.encode()  # no halves of characters


def test_markup_without_end_takes_no_time():
    assert plain("<" * 200_000, 10)
    assert plain("<script>" * 30_000, 10) == ""
    assert plain("<!--" * 30_000, 10) == ""


@pytest.mark.parametrize("absurd", [None, 0, -5, 10**30, NOW_US * 1000, NOW_US + 3_600_000_000, 5_000_000])
def test_an_absurd_time_is_our_receipt(absurd):
    assert believed(absurd, NOW_US) == NOW_US


def test_a_time_is_believed_and_never_later_than_our_receipt():
    assert believed(NOW_US - 1, NOW_US) == NOW_US - 1
    assert believed(NOW_US + 5_000_000, NOW_US) == NOW_US


def test_an_id_that_cannot_be_kept_gets_another_name():
    assert named("tag:example.com,2026:7") == "tag:example.com,2026:7"
    assert len(named("x" * 1000)) == len(named("a\x00b")) == 32
    assert named("a\x00b") != named("ab")


# --- Finnhub ------------------------------------------------------------------------------------------------------


def test_finnhub_news_is_read():
    body = json.dumps([finnhub_item(7, "Square &amp; co", 1_596_589_501, related="AAPL,MSFT", summary="<p>S</p>")])
    assert finnhub.read(body.encode(), 10).items == [
        Item(
            provider_id="7", headline="Square & co", summary="S", source="Reuters", url="https://news.example/7",
            kind="top news", published_us=1_596_589_501_000_000, related=("AAPL", "MSFT"),
        )
    ]  # fmt: skip


def test_one_broken_item_does_not_spoil_the_others():
    good = finnhub_item(7, "Good", 1_700_000_000)
    rows = [good, 5, None, {"id": 1e400}, {"id": -1, "headline": "x"}, {"id": 2**70, "headline": "x"},
            {"headline": "x"}, {"id": 9, "headline": None}, {"id": 8, "headline": ["x"]}]  # fmt: skip
    found = finnhub.read(json.dumps(rows).replace("Infinity", "1e400").encode(), 100)
    assert [item.provider_id for item in found.items] == ["7"]
    assert found.broken == 8


def test_no_more_than_asked_for_are_read():
    rows = [finnhub_item(i, f"H{i}", 0) for i in range(1, 51)]
    assert len(finnhub.read(json.dumps(rows).encode(), 20).items) == 20


@pytest.mark.parametrize("body", [b"", b'{"error": "x"}', b"<html>", b"[NaN]", b"[" * 10_000, b'["\\ud800', b"\xff"])
def test_what_is_no_list_is_refused(body):
    with pytest.raises(Unreadable):
        finnhub.read(body, 10)


def test_the_cursor_is_the_newest_and_never_goes_back():
    items = [Item(provider_id=str(i), headline="x") for i in (3, 9, 5)]
    assert finnhub.newest_id(items, 0) == finnhub.newest_id(items[:1], 9) == 9


def test_the_first_call_has_no_cursor():
    assert finnhub.market_call("crypto", 0).params == {"category": "crypto"}
    assert finnhub.market_call("crypto", 12).params == {"category": "crypto", "minId": "12"}


# --- RSS and Atom -------------------------------------------------------------------------------------------------


def test_rss_is_read():
    more = (
        "<link>/a?id=1</link><description>&lt;p&gt;Hello &lt;b&gt;W&lt;/b&gt;orld&lt;/p&gt;</description>"
        "<pubDate>Sat, 21 Nov 2026 10:00:00 GMT</pubDate><category>Tech</category>"
    )
    assert read(feed(("g1", "Up &amp; down", more))).items == [
        Item(
            provider_id="g1", headline="Up & down", summary="Hello World", source="The Wire",
            url="https://wire.example/a?id=1", kind="Tech", published_us=NOW_US,
        )
    ]  # fmt: skip


def test_atom_is_read():
    body = (
        b'<feed xmlns="http://www.w3.org/2005/Atom"><title>A</title><entry><id>urn:1</id><title>T</title>'
        b'<link href="https://a.example/1"/><updated>2026-11-21T11:00:00+01:00</updated><content>C</content></entry></feed>'
    )
    item = read(body).items[0]
    assert (item.provider_id, item.url, item.summary, item.published_us) == (
        "urn:1",
        "https://a.example/1",
        "C",
        NOW_US,
    )


@pytest.mark.parametrize("date", ["", "<pubDate>soon</pubDate>", "<pubDate>Sat, 99 Foo 99999</pubDate>"])
def test_a_date_that_is_none_is_none(date):
    assert read(feed(("1", "Without a date", date))).items[0].published_us is None


def test_what_comes_before_a_broken_end_counts():
    whole = feed(("1", "First", ""), ("2", "Second", ""))
    items = read(whole[: whole.index(b"Second")]).items
    assert items[0].headline == "First"


@pytest.mark.parametrize("encoding", ["utf-8", "iso-8859-1", "utf-16", "windows-1251"])
def test_encodings_are_read_as_they_say(encoding):
    word = "Рубль" if encoding == "windows-1251" else "Zürich"
    assert read(feed(("1", word, ""), encoding=encoding)).items[0].headline == word


def test_a_wrong_encoding_still_gives_text():
    body = feed(("1", "Zürich", ""), encoding="iso-8859-1").replace(b"iso-8859-1", b"utf-8")
    assert read(body).items[0].headline.startswith("Z")


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"<html><body>Checking</body></html>", b"\x00\x01", b"/etc/passwd", b"http://127.0.0.1:9/x"]
)
def test_what_is_no_feed_is_refused(body):
    with pytest.raises(Unreadable):
        read(body)


def test_an_empty_feed_is_one():
    assert read(feed()).items == []


def test_entities_that_grow_do_not():
    entities = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, 12))
    body = f'<!DOCTYPE x [<!ENTITY e0 "lol">{entities}<!ENTITY f SYSTEM "file:///etc/passwd">]>'.encode()
    bomb = body + feed(("1", "&e11; &f;", ""))[len('<?xml version="1.0" encoding="utf-8"?>') :]
    try:
        text = str(read(bomb).items)
    except Unreadable:
        return
    assert len(text) < 5_000
    assert "root:" not in text


def test_an_entry_without_anything_is_left_out():
    found = read(
        b"<rss version='2.0'><channel><title>T</title><item></item><item><title>A</title></item></channel></rss>"
    )
    assert [item.headline for item in found.items] == ["A"]
    assert found.broken == 1


def test_an_entry_without_a_title_gets_one_of_its_text():
    item = read(feed(("1", "", f"<description>{'word ' * 100}</description>"))).items[0]
    assert item.headline.startswith("word word")
    assert len(item.headline) <= 120


@settings(max_examples=25, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 400))
def test_no_bytes_break_the_readers(noise, at):
    whole = feed(("1", "A headline", "<link>https://a.example</link><pubDate>Sat, 21 Nov 2026 10:00:00 GMT</pubDate>"))
    for reader in (read, lambda body: finnhub.read(body, 10)):
        for body in (noise, whole[:at] + noise + whole[at + 3 :]):
            try:
                found = reader(body)
            except Unreadable:
                continue
            assert all(item.headline and item.provider_id for item in found.items)
            assert all(canonical_url(item.url).encode() is not None for item in found.items)


# --- Simulated ----------------------------------------------------------------------------------------------------

SUBJECTS = [Subject("AAPL", "Apple", "equity"), Subject("BTC-USD", "Bitcoin / US dollar", "crypto")]


def test_made_up_news_is_the_same_each_time_and_says_what_it_is():
    once = simulated.items(7, "general", SUBJECTS, 1, 40, 60_000_000)
    assert once == simulated.items(7, "general", SUBJECTS, 1, 40, 60_000_000)
    assert once[10:] == simulated.items(7, "general", SUBJECTS, 1, 30, 60_000_000)
    assert {item.source for item in once} == {"simulated"}
    assert {item.related[0] for item in once} == {"AAPL", "BTC-USD"}
    assert once != simulated.items(8, "general", SUBJECTS, 1, 40, 60_000_000)


def test_a_category_without_instruments_has_no_news():
    assert simulated.items(7, "forex", SUBJECTS, 1, 40, 60_000_000) == []
