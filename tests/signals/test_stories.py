"""When two tellings are one story, and when they only look alike."""

import pytest

from signals.stories import Stories, canonical_url, headline_hash, url_hash

HOUR_US = 3_600_000_000
NOW_US = 1_795_255_200_000_000


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("https://a.example/x?utm_source=rss&utm_medium=feed", "https://a.example/x"),
        ("https://A.Example:443/x/#top", "https://a.example/x"),
        ("http://a.example:8080/x?b=2&a=1&fbclid=9", "http://a.example:8080/x?a=1&b=2"),
        ("https://a.example/Story-7?id=7", "https://a.example/Story-7?id=7"),
        ("javascript:alert(1)", ""),
        ("file:///etc/passwd", ""),
        ("//a.example/x", ""),
        ("https://", ""),
        ("https://a.example:99999/", ""),
        ("https://[::1", ""),
        ("https://a.example/a b", ""),
        ("https://a.example/?q=\ud800", ""),
        ("https://a.example/\x00", ""),
        ("https://a.example/" + "x" * 3000, ""),
        ("", ""),
    ],
)
def test_an_address_has_one_spelling(url, canonical):
    assert canonical_url(url) == canonical


def test_one_page_is_one_however_it_is_reached():
    hashes = {
        url_hash(f"{scheme}://{host}/a?id=7") for scheme in ("http", "https") for host in ("b.example", "www.b.example")
    }
    assert len(hashes) == 1
    assert url_hash("https://b.example/a?id=8") not in hashes
    assert url_hash("https://b.example") == url_hash("") == ""


@pytest.mark.parametrize(
    "other",
    [
        "Apple beats estimates as iPhone sales jump",
        "UPDATE 2-Apple beats estimates as iPhone sales jump - Reuters",
        "Apple Beats Estimates as iPhone Sales Jump | CNBC",
        "Apple beats estimates as iPhone sales jump, shares rise",
        "Apple beat estimates as iPhone sales jumped",
    ],
)
def test_the_same_in_nearly_the_same_words(other):
    told = Stories(36 * HOUR_US)
    told.add(1, NOW_US, "Apple beats estimates as iPhone sales jump", "")
    assert told.find(NOW_US + HOUR_US, other, "") == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Bitcoin rallies past $70,000 for the first time", "Bitcoin rallies past $80,000 for the first time"),
        ("Stocks close higher on Friday as Apple gains", "Stocks close lower on Friday as Apple gains"),
        (
            "Apple announces third quarter results conference call",
            "Tesla announces third quarter results conference call",
        ),
        ("Apple to buy streaming rival for billions", "Apple denies to buy streaming rival for billions"),
        ("Markets wrap", "Markets wrap"),
        ("Fed raises rates by 25 basis points", "Fed raises rates by 50 basis points"),
    ],
)
def test_another_story_in_like_words(one, other):
    told = Stories(36 * HOUR_US)
    told.add(1, NOW_US, one, "")
    assert told.find(NOW_US, other, "") is None


def test_an_agency_s_text_below_another_headline():
    text = (
        "The central bank left its rate unchanged on Thursday, saying that prices were still rising faster than it "
        "would like to see them rise."
    )
    told = Stories(36 * HOUR_US)
    told.add(1, NOW_US, "Central bank holds", text)
    assert told.find(NOW_US, "No change in rates, says bank chief after meeting", text + " More follows.") == 1
    assert (
        told.find(NOW_US, "No change in rates, says bank chief after meeting", "Something else altogether. " * 9)
        is None
    )


def test_the_same_words_much_later_are_another_day_s():
    told = Stories(36 * HOUR_US)
    told.add(1, NOW_US, "Five things to know before markets open", "")
    assert told.find(NOW_US + 24 * HOUR_US, "Five things to know before markets open", "") == 1
    assert told.find(NOW_US + 48 * HOUR_US, "Five things to know before markets open", "") is None


def test_a_revised_story_is_known_by_its_new_words():
    told = Stories(36 * HOUR_US)
    told.add(1, NOW_US, "Airline cancels all flights from London", "")
    told.add(1, NOW_US, "Airline resumes most flights from London", "")
    assert told.find(NOW_US, "Airline cancels all flights from London", "") is None
    assert told.find(NOW_US, "Airline resumes most flights from London", "") == 1


def test_the_hash_is_of_the_words():
    assert headline_hash("BREAKING: Apple beats estimates - Reuters") == headline_hash("Apple Beats Estimates")
    assert headline_hash("Apple beats estimates") != headline_hash("Apple misses estimates")


def test_many_stories_stay_quick():
    """Each look costs with the words that are shared, not with the stories: here, a thousand times as many."""
    told = Stories(36 * HOUR_US)
    for number in range(3_000):
        told.add(number, NOW_US, f"Company{number} reports results for quarter{number} with growth{number}", "")
    assert told.find(NOW_US, "Company2999 reports results for quarter2999 with growth2999", "") == 2999
