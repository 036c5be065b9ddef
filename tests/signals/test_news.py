"""News from a provider's answer to a row, an event and an instrument's sentiment; from venues on loopback."""

import datetime as dt
import threading

import pytest
from django.db import connection
from django.utils import timezone

from ingestion import budget, demand, http
from ingestion.models import Instrument
from signals import news, news_polling, news_store, pages
from signals.models import ArticleInstrument, NewsArticle, NewsFeed, NewsItem
from signals.news_formats import Item
from signals.news_store import Origin, keep
from signals.sentiment import Score
from signals.tasks import poll_news, tidy_news
from streaming.models import Event
from tests.venues.news import Feeds, FinnhubNews, feed, finnhub_item
from worker import lease

KEY = "SECRETKEY42"
NOW = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)
NOW_US = int(NOW.timestamp() * 1e6)
WIRE = Origin("rss/1", "rss", "general")
AGENCY = Origin("finnhub/general", "finnhub", "general")
COINS = Origin("rss/2", "rss", "crypto")

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_prefix", "names")]


@pytest.fixture
def names():
    """Each test's own instruments are the ones that are named."""
    news_store.forget_names()
    yield
    news_store.forget_names()
    http.close()


@pytest.fixture
def apple(db):
    return Instrument.objects.create(symbol="AAPL", name="Apple", kind="equity", currency="USD", exchange="NASDAQ")


@pytest.fixture
def bitcoin(db):
    return Instrument.objects.create(symbol="BTC-USD", name="Bitcoin", kind="crypto", currency="USD")


@pytest.fixture
def finnhub(settings):
    settings.FINNHUB_API_KEY = KEY
    settings.REST_RETRY_S = 0.01
    with FinnhubNews(KEY) as venue:
        settings.FINNHUB_REST_URL = venue.url
        yield venue


@pytest.fixture
def feeds(settings):
    settings.FEEDS = []
    with Feeds() as venue:
        settings.NEWS_FEEDS = [f"general={venue.url}/feed"]
        yield venue


def item(id_="1", headline="Apple shares rise", at_us=NOW_US, **more):
    return Item(provider_id=id_, headline=headline, published_us=at_us, source="Wire", **more)


def store(origin, *items, at=NOW, related=None):
    return tuple(keep(origin, items, at, related or {}))


def told(topic="news:all"):
    return list(Event.objects.filter(topic=topic).order_by("seq").values_list("data", flat=True))


def due_now():
    NewsFeed.objects.update(next_due=None)


def polled(provider):
    due_now()
    return poll_news(provider)


# --- Rows and events ----------------------------------------------------------------------------------------------


def test_an_article_is_kept_linked_scored_and_told(apple):
    assert store(WIRE, item(summary="After earnings.", url="https://a.example/1?utm_source=x")) == (1, 0, 0)
    article = NewsArticle.objects.get()
    data = {
        "id": str(article.pk), "category": "general", "headline": "Apple shares rise", "summary": "After earnings.",
        "source": "Wire", "url": "https://a.example/1", "published_at": "2026-11-21T12:00:00.000000Z",
        "symbols": ["AAPL"], "sentiment": {"score": article.sentiment_score, "label": "positive"},
    }  # fmt: skip
    assert told("news:general") == told("news:all") == [data]
    assert article.sentiment_model == "lexicon (heuristic)"


def test_reading_the_same_again_changes_nothing(apple):
    items = [item("1"), item("2", "Oil slumps as demand fades")]
    store(WIRE, *items)
    before = list(NewsArticle.objects.values())
    assert store(WIRE, *items, at=NOW + dt.timedelta(hours=1)) == (0, 0, 2)
    assert list(NewsArticle.objects.values()) == before
    assert len(told()) == 2


def test_a_changed_article_is_revised_and_told_again_under_its_id(apple, bitcoin):
    store(WIRE, item(headline="Apple shares rise"))
    assert store(WIRE, item(headline="Bitcoin plunges"), at=NOW + dt.timedelta(minutes=5)) == (0, 1, 0)
    article = NewsArticle.objects.get()
    assert (article.revision, article.headline, article.sentiment_label) == (1, "Bitcoin plunges", "negative")
    first, second = told()
    assert first["id"] == second["id"]
    assert (first["symbols"], second["symbols"]) == (["AAPL"], ["BTC-USD"])


def test_one_story_of_several_sources_is_one_article():
    headline = "Central bank surprises markets with half a point"
    assert store(WIRE, item("1", headline)) == (1, 0, 0)
    assert store(AGENCY, item("77", f"UPDATE 1-{headline} - Reuters")) == (0, 0, 1)
    assert NewsArticle.objects.count() == 1
    assert NewsItem.objects.count() == 2
    assert len(told()) == len(told("news:general")) == 1


def test_one_address_is_one_story_whatever_is_written_above_it():
    store(WIRE, item("1", "One", url="https://www.a.example/story?id=1&utm_medium=rss"))
    store(AGENCY, item("2", "Something else", url="http://a.example/story?id=1"))
    assert NewsArticle.objects.count() == 1
    store(AGENCY, item("3", "Third", url="http://a.example/story?id=2"))
    assert NewsArticle.objects.count() == 2


def test_the_second_teller_of_a_story_does_not_revise_it():
    headline = "Central bank surprises markets with half a point"
    store(WIRE, item("1", headline))
    store(AGENCY, item("77", headline))
    store(AGENCY, item("77", headline + " today", summary="More."))
    article = NewsArticle.objects.get()
    assert (article.headline, article.revision) == (headline, 0)


def test_a_story_that_reaches_another_category_is_told_there_too():
    headline = "Miners sell coins as prices of power double"
    store(WIRE, item("1", headline))
    store(COINS, item("1", headline))
    assert [data["category"] for data in told("news:crypto")] == ["crypto"]
    assert [data["category"] for data in told("news:all")] == ["general"]
    assert [row.category for row in news.newest("crypto")] == ["general"]


def test_one_answer_that_tells_a_story_twice_makes_one_article():
    headline = "Central bank surprises markets with half a point"
    assert store(WIRE, item("1", headline), item("2", headline), item("1", headline)) == (1, 0, 2)
    assert NewsArticle.objects.count() == 1


def test_what_a_provider_adds_later_is_linked_and_told(apple, bitcoin):
    names = {"AAPL": apple.pk, "BTC": bitcoin.pk}
    store(AGENCY, item("1", "A quiet day", related=("AAPL",)), related=names)
    assert store(AGENCY, item("1", "A quiet day", related=("BTC",)), related=names) == (0, 1, 0)
    assert told()[-1]["symbols"] == ["AAPL", "BTC-USD"]
    assert store(AGENCY, item("1", "A quiet day", related=("BTC",)), related=names) == (0, 0, 1)


def test_an_absurd_time_becomes_the_receipt():
    store(
        WIRE, item("1", "From the future", NOW_US + 10**15), item("2", "From the past", 1), item("3", "Undated", None)
    )
    assert set(NewsArticle.objects.values_list("published_at", flat=True)) == {NOW}


def test_events_come_in_the_order_of_publication():
    store(WIRE, item("2", "Second", NOW_US), item("1", "First", NOW_US - 5_000_000))
    assert [data["headline"] for data in told()] == ["First", "Second"]


def test_two_at_once_make_one(transactional_db):
    ready = threading.Barrier(2)

    def go(origin):
        ready.wait()
        store(origin, item("1", "Central bank surprises markets with half a point"))
        connection.close()

    threads = [threading.Thread(target=go, args=(origin,)) for origin in (WIRE, AGENCY)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert NewsArticle.objects.count() == 1
    assert len(told()) == 1


def test_old_news_goes_and_does_not_come_back(settings):
    store(WIRE, item())
    later = NOW + dt.timedelta(days=settings.NEWS_KEEP_DAYS + 1)
    assert news_store.forget_old(later) == 1
    assert store(WIRE, item(), at=later) == (0, 0, 1)
    assert not NewsArticle.objects.exists()
    assert tidy_news() == 0


# --- Sentiment ----------------------------------------------------------------------------------------------------


class Grumpy:
    """A model of somebody's own."""

    name = "grumpy 1.0"

    def score(self, headline, summary):
        return Score(-0.5, "positive")


class Broken:
    name = "broken"

    def score(self, headline, summary):
        raise RuntimeError("no model today")


class Wrong:
    name = "wrong"

    def score(self, headline, summary):
        return Score(float("nan"), "positive")


def test_a_model_takes_over_by_its_name(settings):
    settings.NEWS_SENTIMENT_MODEL = f"{__name__}.Grumpy"
    assert news_store.scored("All is well", "") == (Score(-0.5, "negative"), "grumpy 1.0")


@pytest.mark.parametrize("model", ["Broken", "Wrong"])
def test_a_model_that_fails_leaves_it_to_the_lexicon(settings, model):
    settings.NEWS_SENTIMENT_MODEL = f"{__name__}.{model}"
    assert news_store.scored("Shares surge", "")[1] == "lexicon (heuristic)"


def article_on(instrument, score, hours_ago, confidence=1.0, provider="rss", received=None):
    at = NOW - dt.timedelta(hours=hours_ago)
    row = NewsArticle.objects.create(
        origin="x", provider=provider, provider_id="x", category="general", headline="x", source="x", published_at=at,
        received_at=received or at, sentiment_score=score, sentiment_label="neutral", sentiment_model="x",
    )  # fmt: skip
    ArticleInstrument.objects.create(article=row, instrument=instrument, how="name", confidence=confidence)


def test_sentiment_is_weighted_by_age_and_confidence(apple, bitcoin):
    article_on(apple, 1.0, 0)
    article_on(apple, -1.0, 6)  # a quarter of the window: half the weight
    article_on(bitcoin, 1.0, 1, confidence=0.8)
    article_on(bitcoin, -1.0, 1, confidence=0.2)
    found = news.sentiment([apple.pk, bitcoin.pk], NOW, 24)
    assert found[apple.pk].score == pytest.approx((1 - 0.5) / 1.5)
    assert found[bitcoin.pk].score == pytest.approx(0.6)
    assert found[apple.pk].count == found[bitcoin.pk].count == 2


def test_sentiment_knows_no_more_than_was_known_then(apple):
    article_on(apple, 1.0, 30)
    article_on(apple, 1.0, 1, received=NOW + dt.timedelta(hours=1))
    assert news.sentiment([apple.pk], NOW, 24) == {}
    assert news.sentiment([], NOW, 24) == {}


def test_what_is_made_up_counts_only_alone(apple):
    article_on(apple, -1.0, 1, provider="simulated")
    assert news.sentiment([apple.pk], NOW, 24)[apple.pk].score == -1
    article_on(apple, 1.0, 1)
    found = news.sentiment([apple.pk], NOW, 24)[apple.pk]
    assert (found.score, found.count) == (1, 1)


# --- Finnhub ------------------------------------------------------------------------------------------------------


def test_finnhub_is_polled_by_category_from_where_it_stood(finnhub, apple):
    at = int(NOW.timestamp())
    finnhub.news["general"] = [finnhub_item(5, "Apple unveils a phone, shares rise", at, related="AAPL")]
    finnhub.news["crypto"] = [finnhub_item(6, "Coins slide", at)]
    assert polled("finnhub")["new"] == 2
    finnhub.news["general"].append(finnhub_item(9, "Another day", at))
    finnhub.calls.clear()
    assert polled("finnhub")["new"] == 1
    cursors = {arguments["category"]: arguments.get("minId") for _, arguments, _ in finnhub.calls}
    assert cursors == {"general": "5", "crypto": "6", "forex": None, "merger": None}
    assert finnhub.violations == []
    article = NewsArticle.objects.get(provider_id="5")
    assert (article.category, article.kind) == ("general", "top news")
    assert article.links.get().how == "related"


def test_news_of_companies_is_asked_for_those_that_somebody_wants(finnhub, apple, bitcoin):
    Instrument.objects.create(symbol="MSFT", name="Microsoft", kind="equity", currency="USD", exchange="NASDAQ")
    demand.want("test", [apple.pk, bitcoin.pk], 60)
    finnhub.company["AAPL"] = [finnhub_item(50, "Quiet quarter expected", int(NOW.timestamp()), related="AAPL")]
    assert polled("finnhub")["new"] == 1
    asked = [arguments for path, arguments, _ in finnhub.calls if path == "/company-news"]
    assert [one["symbol"] for one in asked] == ["AAPL"]
    assert asked[0]["from"] < asked[0]["to"]
    assert told("news:company")[0]["symbols"] == ["AAPL"]
    finnhub.calls.clear()
    assert polled("finnhub")["new"] == 0
    assert not [path for path, _, _ in finnhub.calls if path == "/company-news"]


def test_a_company_that_is_refused_keeps_no_other_waiting(finnhub, apple, settings):
    other = Instrument.objects.create(symbol="MSFT", name="Microsoft", kind="equity", currency="USD", exchange="NASDAQ")
    demand.want("test", [apple.pk, other.pk], 60)
    finnhub.company["MSFT"] = [finnhub_item(50, "Quiet quarter expected", int(NOW.timestamp()))]
    finnhub.company["AAPL"] = {"error": "You don't have access to this resource."}
    done = polled("finnhub")
    assert (done["new"], done["failed"]) == (1, [])
    assert told("news:company")[0]["symbols"] == ["MSFT"]
    other.delete()
    settings.NEWS_COMPANY_INTERVAL_S = 0.0
    assert len(polled("finnhub")["failed"]) == 1


def test_a_list_is_left_alone_until_it_is_due(finnhub):
    assert poll_news("finnhub")["due"] == 5
    finnhub.calls.clear()
    assert poll_news("finnhub")["due"] == 0
    assert finnhub.calls == []


def test_a_refused_key_is_noted_and_asked_again_later_each_time(finnhub, settings):
    finnhub.key = "another"
    assert len(polled("finnhub")["failed"]) == 4
    row = NewsFeed.objects.get(provider="finnhub", category="general")
    first_wait = row.next_due - row.polled_at
    assert (row.last_status, row.failures) == (401, 1)
    assert KEY not in row.last_error
    polled("finnhub")
    row.refresh_from_db()
    assert row.next_due - row.polled_at == 2 * first_wait


def test_too_many_requests_end_the_round_until_the_venue_s_time(finnhub, settings):
    settings.NEWS_BUDGET_WAIT_S = 0.1
    finnhub.say_next(429, {"error": "API limit reached."}, {"Retry-After": "77"})
    done = polled("finnhub")
    assert "pause" in done["stopped"] or "429" in done["stopped"]
    assert len(finnhub.calls) == 1
    assert budget.banned_until("finnhub") is not None
    row = NewsFeed.objects.exclude(last_error="").get()
    assert 60 < (row.next_due - timezone.now()).total_seconds() <= 78


@pytest.mark.parametrize("body", [b"{}", b"[", b"null", b'{"error": "x"}'])
def test_nonsense_from_finnhub_is_noted(finnhub, body):
    finnhub.say_next(200, body)
    assert len(polled("finnhub")["failed"]) == 1
    assert NewsFeed.objects.filter(failures=1).count() == 1


def test_nothing_is_asked_without_a_key(settings):
    settings.FINNHUB_API_KEY = ""
    assert poll_news("finnhub")["stopped"] == "not configured"
    assert not NewsFeed.objects.exists()


def test_two_rounds_at_once_are_one(feeds):
    held = lease.acquire("news:rss", 5.0)
    assert poll_news("rss")["stopped"] == "another round runs"
    held.release()


# --- Feeds --------------------------------------------------------------------------------------------------------


def test_a_feed_is_read_once_and_then_asked_only_for_news(feeds, apple):
    feeds.files["/feed"] = feed(("1", "Apple shares rise", "<link>https://a.example/1</link>"))
    assert polled("rss")["new"] == 1
    assert polled("rss")["new"] == 0
    row = NewsFeed.objects.get()
    assert (row.last_status, row.category, row.of_settings, row.last_error) == (304, "general", True, "")
    assert feeds.calls[-1][2]["if-none-match"] == row.etag
    assert feeds.calls[-1][2]["if-modified-since"] == row.last_modified
    feeds.files["/feed"] = feed(("2", "Oil slumps", ""), ("1", "Apple shares rise", "<link>https://a.example/1</link>"))
    assert polled("rss")["new"] == 1
    assert {row.source for row in NewsArticle.objects.all()} == {"The Wire"}


def test_a_feed_that_the_settings_name_no_more_is_not_asked(feeds, settings):
    feeds.files["/feed"] = feed()
    polled("rss")
    settings.NEWS_FEEDS = []
    feeds.calls.clear()
    assert polled("rss")["due"] == 0
    assert feeds.calls == []


@pytest.mark.parametrize("entry", ["general", "=http://x", "ALL=http://x", "a b=http://x", "x" * 40 + "=http://x", ""])
def test_an_entry_of_the_settings_that_is_none_is_left_out(settings, entry):
    settings.NEWS_FEEDS = [entry]
    assert poll_news("rss")["due"] == 0


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (404, "nothing", "HTTP 404"),
        (500, "", "HTTP 500"),
        (200, b"<html>hello", "not a feed"),
        (200, b"", "not a feed"),
    ],
)
def test_a_feed_that_fails_says_so_and_the_others_go_on(feeds, settings, status, body, said):
    settings.NEWS_FEEDS = [f"general={feeds.url}/one", f"crypto={feeds.url}/two"]
    feeds.files["/one"] = feeds.files["/two"] = feed(("1", "News", ""))
    feeds.say_next(status, body)
    done = polled("rss")
    assert (done["new"], len(done["failed"])) == (1, 1)
    assert said in NewsFeed.objects.get(failures=1).last_error


@pytest.mark.parametrize(
    ("after", "least", "most"), [("300", 290, 300), ("soon", 100, 120), ("9" * 30, 80_000, 86_400)]
)
def test_a_feed_that_asks_for_time_gets_it(feeds, after, least, most):
    feeds.say_next(503, "", {"Retry-After": after})
    polled("rss")
    assert least < (NewsFeed.objects.get().next_due - timezone.now()).total_seconds() <= most


def test_a_date_to_come_back_at_is_heeded():
    assert pages.retry_after_s("Sat, 21 Nov 2026 12:10:00 GMT", NOW) == 600
    assert pages.retry_after_s("Sat, 21 Nov 2026 11:00:00 GMT", NOW) == 0


def test_a_feed_that_is_gone_is_asked_no_more(feeds):
    feeds.say_next(410, "gone")
    polled("rss")
    assert NewsFeed.objects.get().enabled is False
    assert polled("rss")["due"] == 0


def test_a_huge_feed_is_cut_off(feeds, settings):
    settings.NEWS_ANSWER_MAX_BYTES = 100_000
    feeds.files["/feed"] = feed(("1", "x" * 200_000, ""))
    polled("rss")
    assert NewsFeed.objects.get().last_error == "more than 100000 bytes"


def test_a_feed_of_many_entries_is_read_so_far(feeds, settings):
    settings.NEWS_ITEMS_MAX = 5
    feeds.files["/feed"] = feed(*((str(i), f"Company{i} reports results for quarter{i}", "") for i in range(20)))
    assert polled("rss")["new"] == 5


def test_a_redirect_is_followed_but_not_behind_our_own_door(feeds, settings):
    settings.NEWS_FEEDS = [f"general={feeds.url.replace('127.0.0.1', 'localhost')}/old"]
    feeds.files["/feed"] = feed(("1", "Moved", ""))
    feeds.say_next(301, "", {"Location": "/feed"})
    assert polled("rss")["new"] == 1
    for target in (
        f"{feeds.url}/feed",
        "http://169.254.169.254/latest/",
        "http://[::ffff:127.0.0.1]/",
        "file:///etc/passwd",
    ):
        feeds.say_next(302, "", {"Location": target})
        assert len(polled("rss")["failed"]) == 1
    feeds.say_next(302, "", {"Location": "/old"}, times=9)
    polled("rss")
    assert "redirects" in NewsFeed.objects.get().last_error


def test_an_address_of_no_web_is_not_fetched(settings):
    for url in ("file:///etc/passwd", "ftp://a.example/x", "http://", "http://[::1"):
        with pytest.raises(pages.Unfetched):
            pages.get(url, NOW)


# --- Made up ------------------------------------------------------------------------------------------------------


def test_made_up_news_comes_only_where_there_is_no_other(settings, apple):
    settings.FEEDS, settings.NEWS_FEEDS, settings.FINNHUB_API_KEY = ["simulated"], [], ""
    assert polled("simulated")["new"] > 0
    assert set(NewsArticle.objects.values_list("source", flat=True)) == {"simulated"}
    assert polled("simulated")["new"] == 0
    NewsFeed.objects.create(category="general", url="https://a.example/feed")
    assert polled("simulated")["stopped"] == "not configured"


@pytest.mark.parametrize(
    "other", [{"FEEDS": ["binance"]}, {"FINNHUB_API_KEY": KEY}, {"NEWS_FEEDS": ["general=http://x"]}]
)
def test_made_up_news_never_stands_beside_real_news(settings, other):
    settings.FEEDS, settings.NEWS_FEEDS, settings.FINNHUB_API_KEY = ["simulated"], [], ""
    for name, value in other.items():
        setattr(settings, name, value)
    assert poll_news("simulated")["stopped"] == "not configured"


# --- HTTP ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def some_news(apple, bitcoin):
    store(WIRE, item("1", "Apple shares rise", NOW_US - 7_200_000_000), item("2", "Oil slumps"))
    store(COINS, item("1", "Bitcoin plunges 12% in a day", NOW_US - 3_600_000_000))


@pytest.mark.parametrize(
    ("query", "headlines"),
    [
        ("", ["Oil slumps", "Bitcoin plunges 12% in a day", "Apple shares rise"]),
        ("?category=general", ["Oil slumps", "Apple shares rise"]),
        ("?category=CRYPTO", ["Bitcoin plunges 12% in a day"]),
        ("?category=merger", []),
        ("?category=all&limit=1", ["Oil slumps"]),
        ("?symbol=aapl", ["Apple shares rise"]),
        ("?symbol=BTC-USD&category=general", []),
        ("?since=2026-11-21T11:00:00Z", ["Oil slumps", "Bitcoin plunges 12% in a day"]),
    ],
)
def test_news_over_http(some_news, client, query, headlines):
    answer = client.get(f"/api/news/{query}")
    assert answer.status_code == 200
    assert [row["headline"] for row in answer.json()["results"]] == headlines


def test_http_tells_what_the_topic_tells_and_pages(some_news, client):
    answer = client.get("/api/news/?category=crypto").json()
    assert answer == {"results": told("news:crypto"), "next": None}
    page, seen = "/api/news/?limit=2", []
    while page:
        answer = client.get(page).json()
        seen += [row["headline"] for row in answer["results"]]
        page = answer["next"]
    assert seen == ["Oil slumps", "Bitcoin plunges 12% in a day", "Apple shares rise"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("category=nope", "category"),
        ("category=a%00b", "category"),
        ("category=" + "x" * 100, "category"),
        ("symbol=NOPE", "symbol"),
        ("symbol=%00", "symbol"),
        ("since=yesterday", "since"),
        ("since=99999-01-01", "since"),
        ("topic=general", "topic"),
    ],
)
def test_a_question_that_means_nothing_is_refused(some_news, client, query, field):
    answer = client.get(f"/api/news/?{query}")
    assert answer.status_code == 400
    assert list(answer.json()) == [field]


def test_sentiment_over_http(apple, client):
    now = timezone.now()
    store(WIRE, item("1", "Apple shares rise", int(now.timestamp() * 1e6) - 1_000_000), at=now)
    answer = client.get("/api/market/aapl/sentiment/?hours=12").json()
    assert answer | {"as_of": "", "score": 0} == {
        "symbol": "AAPL", "instrument": "AAPL", "hours": 12.0, "score": 0, "label": "positive", "count": 1,
        "basis": "heuristic", "as_of": "",
    }  # fmt: skip
    assert 0 < answer["score"] <= 1


def test_no_news_is_no_sentiment(apple, client):
    answer = client.get("/api/market/AAPL/sentiment/").json()
    assert (answer["score"], answer["label"], answer["count"]) == (None, None, 0)
    assert client.get("/api/market/NOPE/sentiment/").status_code == 404


@pytest.mark.parametrize("hours", ["0", "-1", "nan", "inf", "1e400", "1000000", "x", ""])
def test_hours_that_are_none_are_refused(apple, client, hours):
    answer = client.get(f"/api/market/AAPL/sentiment/?hours={hours}")
    assert answer.status_code == 400
    assert list(answer.json()) == ["hours"]


def test_strangers_read_news_where_they_may_read_the_market(some_news, settings, client, alice):
    settings.ANONYMOUS_MARKET_DATA = False
    assert client.get("/api/news/").status_code in (401, 403)
    assert client.get("/api/market/AAPL/sentiment/").status_code in (401, 403)
    client.force_login(alice)
    assert client.get("/api/news/").status_code == 200


# --- Admin --------------------------------------------------------------------------------------------------------

FEEDS_PAGE = "/admin/signals/newsfeed/"


@pytest.fixture
def staff(client, admin):
    client.force_login(admin)
    return client


def add(staff, **fields):
    return staff.post(
        f"{FEEDS_PAGE}add/", {"category": "general", "url": "https://a.example/feed", "enabled": "on"} | fields
    )


def test_staff_add_a_feed(staff):
    assert add(staff, category="Energy").status_code == 302
    row = NewsFeed.objects.get()
    assert (row.provider, row.category, row.of_settings) == ("rss", "energy", False)
    assert news.is_category("energy")
    assert staff.get(FEEDS_PAGE).status_code == 200
    assert staff.get(f"{FEEDS_PAGE}{row.pk}/change/").status_code == 200


@pytest.mark.parametrize(
    "fields",
    [
        {"url": "file:///etc/passwd"}, {"url": "ftp://a.example/"}, {"url": ""}, {"category": "all"},
        {"category": "a b"}, {"category": ""}, {"interval_s": "1"}, {"url": "https://a.example/" + "x" * 2000},
    ],
)  # fmt: skip
def test_a_feed_that_cannot_be_is_refused(staff, fields):
    assert add(staff, **fields).status_code == 200
    assert not NewsFeed.objects.exists()


def test_a_feed_is_there_once(staff):
    add(staff)
    assert add(staff).status_code == 200
    assert NewsFeed.objects.count() == 1


def test_another_address_forgets_what_was_read(staff):
    add(staff)
    NewsFeed.objects.update(etag='"x"', last_modified="then", next_due=NOW + dt.timedelta(days=1))
    row = NewsFeed.objects.get()
    fields = {"category": "general", "url": "https://b.example/feed", "enabled": "on"}
    assert staff.post(f"{FEEDS_PAGE}{row.pk}/change/", fields).status_code == 302
    row.refresh_from_db()
    assert (row.url, row.etag, row.last_modified, row.next_due) == ("https://b.example/feed", "", "", None)


def test_articles_are_looked_at_and_not_written(staff, some_news):
    row = NewsArticle.objects.first()
    assert staff.get("/admin/signals/newsarticle/").status_code == 200
    assert staff.get(f"/admin/signals/newsarticle/{row.pk}/change/").status_code == 200
    assert staff.get("/admin/signals/newsarticle/add/").status_code == 403
    staff.post(f"/admin/signals/newsarticle/{row.pk}/change/", {"headline": "Fake"})
    row.refresh_from_db()
    assert row.headline != "Fake"


def test_a_poll_is_asked_for_now(staff, django_capture_on_commit_callbacks):
    NewsFeed.objects.create(category="general", url="https://a.example/feed", next_due=NOW + dt.timedelta(days=900))
    row = NewsFeed.objects.get()
    asked = {"action": "poll_now", "_selected_action": [row.pk]}
    with django_capture_on_commit_callbacks() as callbacks:
        assert staff.post(FEEDS_PAGE, asked).status_code == 302
    assert [callback.args for callback in callbacks if hasattr(callback, "args")] == [("rss",)]
    row.refresh_from_db()
    assert row.next_due <= timezone.now()


def test_lists_in_use_are_those_of_providers_that_are_named():
    assert news_polling.usable("rss")
    assert not news_polling.usable("nobody")
