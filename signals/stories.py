"""Whether two pieces of news are one story. Pure.

The same address, but for what only counts clicks; the same headline within a time; a headline that says the same in
nearly the same words; or the same text below another headline, as agencies' reports have. Figures decide: what differs
in a number is another story, and so is what has another word in place of one, not merely another form of it, or more.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

URL_MAX_CHARS: Final = 2_000
# Headlines of fewer words that count are too common to be anything's name ("Morning markets wrap").
WORDS_MIN: Final = 4
# Of the words of both headlines together, how many must be in both.
HEADLINE_ALIKE: Final = 0.7
# Of the three-word sequences of two summaries, as far as they have enough to compare.
SUMMARY_ALIKE: Final = 0.6
SUMMARY_MIN_SHINGLES: Final = 15
SHINGLE: Final = 3
# Words that are in more headlines than this find nothing.
COMMON: Final = 200

_TRACKING: Final = re.compile(
    r"utm_.*|fbclid|gclid|dclid|msclkid|yclid|igshid|mc_[ce]id|_ga|cmpid?|icid|ncid|ocid|sr_share|guce.*|guccounter"
    r"|\.?tsrc|ref|ref_src|ref_url|referrer|smid|smtyp|xtor|at_(?:medium|campaign)|feature|taid|src|partner|soc_.*|rss"
)
_WORD: Final = re.compile(r"[^\W_]+(?:[.,'’%][^\W_]+)*%?")
# What desks put before and after a headline: who says so, and that it is new.
_BEFORE: Final = re.compile(
    r"^(?:update ?\d*|breaking(?: news)?|exclusive|just in|live|alert|correct(?:ed|ion)|refile|wrapup ?\d*)"
    r"\s*[-:–—|]+\s*"
)
_AFTER: Final = re.compile(r"\s+(?:[-–—|])\s+[^-–—|]{2,40}$")
_STOP: Final = {
    "a", "an", "the", "of", "in", "on", "at", "to", "for", "by", "with", "from", "as", "and", "or", "but", "is", "are",
    "was", "were", "be", "been", "it", "its", "that", "this", "after", "amid", "over", "into", "than", "has", "have",
    "had", "will", "says", "said", "say", "per", "via",
}  # fmt: skip
# By their stems.
_DENIALS: Final = {
    "not", "no", "never", "without", "despite", "den", "deny", "deni", "fail", "halt",
}  # fmt: skip


def canonical_url(url: str) -> str:
    """An address without its fragment and without what only counts clicks; empty where it is none of http(s).

    >>> canonical_url("HTTPS://Example.com:443/a/?utm_source=rss&id=7#top")
    'https://example.com/a?id=7'
    """
    url = url.strip()
    if len(url) > URL_MAX_CHARS or any(sign <= " " or "\ud800" <= sign <= "\udfff" for sign in url):
        return ""
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme.lower(), (parts.hostname or "").lower(), parts.port
    except ValueError:
        return ""
    if scheme not in ("http", "https") or not host:
        return ""
    if port is not None and port != {"http": 80, "https": 443}[scheme]:
        host = f"{host}:{port}"
    kept = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if not _TRACKING.fullmatch(pair[0].lower())]
    found = urlunsplit((scheme, host, parts.path.rstrip("/"), urlencode(sorted(kept)), ""))
    return found if len(found) <= URL_MAX_CHARS else ""


def url_hash(canonical: str) -> str:
    """What two addresses of one page have in common; empty for one that is a whole site's.

    >>> url_hash("https://www.example.com/a") == url_hash("http://example.com/a"), url_hash("https://example.com")
    (True, '')
    """
    parts = urlsplit(canonical)
    if parts.path in ("", "/") and not parts.query:
        return ""
    return digest(parts.netloc.removeprefix("www.").removeprefix("m."), parts.path, parts.query)


def digest(*parts: str) -> str:
    """32 characters that stand for the parts."""
    return hashlib.blake2b("\0".join(parts).encode("utf-8", "replace"), digest_size=16).hexdigest()


def words_of(headline: str) -> tuple[str, ...]:
    """The words of a headline that count, in order.

    >>> words_of("UPDATE 2-Apple beats estimates, shares up 5% - Reuters")
    ('apple', 'beats', 'estimates', 'shares', 'up', '5%')
    """
    text = _AFTER.sub("", _BEFORE.sub("", headline.casefold().strip()))
    return tuple(word.replace("’", "'").removesuffix("'s") for word in _WORD.findall(text) if word not in _STOP)


def headline_hash(headline: str) -> str:
    """The same for the same words."""
    return digest(*words_of(headline))


class Told(NamedTuple):
    """A story that was told already, with what it is compared by."""

    id: int
    at_us: int
    words: frozenset[str]
    figures: Counter[str]
    shingles: frozenset[tuple[str, ...]]


class Stories:
    """The stories of the last days, to be asked whether one of them is told again within `window_us`."""

    def __init__(self, window_us: int) -> None:
        self._window_us = window_us
        self._told: dict[int, Told] = {}
        self._with_word: dict[str, set[int]] = {}
        self._with_shingle: dict[tuple[str, ...], set[int]] = {}

    def add(self, story: int, at_us: int, headline: str, summary: str) -> None:
        """Know a story of a time (microseconds since 1970); its text may be another than it was."""
        self._forget(story)
        told = self._told[story] = _told(story, at_us, headline, summary)
        for word in told.words:
            self._with_word.setdefault(word, set()).add(story)
        for shingle in told.shingles:
            self._with_shingle.setdefault(shingle, set()).add(story)

    def find(self, at_us: int, headline: str, summary: str) -> int | None:
        """The story that these words tell again, the most alike of those; None: it is new."""
        new = _told(0, at_us, headline, summary)
        alike: list[tuple[float, int]] = []
        if len(new.words) >= WORDS_MIN:
            told = self._sharing(new.words, self._with_word, at_us)
            alike = [(_alike(new.words, one.words), -one.id) for one in told if _same_headline(new, one)]
        if not alike and len(new.shingles) >= SUMMARY_MIN_SHINGLES:
            told = self._sharing(new.shingles, self._with_shingle, at_us)
            found = [(_alike(new.shingles, one.shingles), -one.id) for one in told]
            alike = [pair for pair in found if pair[0] >= SUMMARY_ALIKE]
        return -max(alike)[1] if alike else None

    def _sharing(self, parts: Collection[Any], index: Mapping[Any, set[int]], at_us: int) -> list[Told]:
        """The stories of about that time with at least half of these parts, but for parts that many have."""
        rare = [index[part] for part in parts if len(index.get(part, ())) <= COMMON and part in index]
        counts = Counter(story for stories in rare for story in stories)
        least = max(1, len(parts) // 2 - (len(parts) - len(rare)))
        found = (self._told[story] for story, count in counts.items() if count >= least)
        return [one for one in found if abs(one.at_us - at_us) <= self._window_us]

    def _forget(self, story: int) -> None:
        told = self._told.pop(story, None)
        if told is not None:
            for word in told.words:
                self._with_word[word].discard(story)
            for shingle in told.shingles:
                self._with_shingle[shingle].discard(story)


def _told(story: int, at_us: int, headline: str, summary: str) -> Told:
    words = [_stem(word) for word in words_of(headline)]
    text = [word.casefold() for word in _WORD.findall(summary)]
    shingles = frozenset(tuple(text[at : at + SHINGLE]) for at in range(len(text) - SHINGLE + 1))
    return Told(
        story,
        at_us,
        frozenset(words),
        Counter(word for word in words if _is_figure(word)),
        shingles,
    )


def _is_figure(word: str) -> bool:
    return any(sign.isdigit() for sign in word)


def _same_headline(new: Told, old: Told) -> bool:
    """Nearly the same words, and what one of them lacks is not what makes it another story."""
    if new.figures != old.figures or len(old.words) < WORDS_MIN or _alike(new.words, old.words) < HEADLINE_ALIKE:
        return False
    here, there = new.words - old.words, old.words - new.words
    # One says more than the other, and doesn't deny it.
    return not (here and there) and not (here | there) & _DENIALS


def _alike(one: frozenset[Any], other: frozenset[Any]) -> float:
    """The common part of both."""
    return len(one & other) / (len(one | other) or 1)


def _stem(word: str) -> str:
    """What forms of a word have in common, near enough: `rises` and `rise`, `surged` and `surges`."""
    for ending in ("ing", "ies", "ed", "es", "s", "e", "d"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word
