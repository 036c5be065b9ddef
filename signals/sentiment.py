"""How good or bad a piece of news sounds. Pure.

A heuristic, not a judgement: VADER (C.J. Hutto and E. Gilbert, 2014; MIT licence), a lexicon with rules for negation
and emphasis, made for social media; with terms of finance (`finance_terms.py`), since it takes "shares" for generosity
and knows nothing of downgrades. NEWS_SENTIMENT_MODEL names what takes its place.
"""

import math
import re
from functools import cache
from typing import Final, Protocol

import msgspec
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from signals import finance_terms

POSITIVE: Final = "positive"
NEUTRAL: Final = "neutral"
NEGATIVE: Final = "negative"
# Below this, either way, a text says nothing.
NEUTRAL_MAX: Final = 0.1
# A summary repeats, and then tells of other things.
SUMMARY_SHARE: Final = 0.3
SUMMARY_MAX_CHARS: Final = 600


class Score(msgspec.Struct, frozen=True):
    """score: -1 (bad) to 1 (good). label: positive, neutral or negative."""

    score: float
    label: str


class Model(Protocol):
    """What scores news. name: kept with each score. A model of one's own is a class with these, made without arguments;
    a score that is none (NaN, or beyond ±1), or an exception, leaves the article to the lexicon."""

    name: str

    def score(self, headline: str, summary: str) -> Score: ...


def label_of(score: float) -> str:
    """
    >>> label_of(0.4), label_of(-0.05), label_of(-0.4)
    ('positive', 'neutral', 'negative')
    """
    if abs(score) < NEUTRAL_MAX:
        return NEUTRAL
    return POSITIVE if score > 0 else NEGATIVE


def believed(said: Score) -> Score | None:
    """A model's word with the label that its number has; None where the number is none."""
    if not isinstance(said.score, int | float) or not math.isfinite(said.score) or abs(said.score) > 1:
        return None
    return Score(float(said.score), label_of(said.score))


class Lexicon:
    """VADER with the terms of finance."""

    name = "lexicon (heuristic)"

    def __init__(self) -> None:
        self._vader = _vader()

    def score(self, headline: str, summary: str) -> Score:
        """Of the headline, and to a lesser part of the summary's beginning."""
        value = self._polarity(headline)
        if summary:
            value = (1 - SUMMARY_SHARE) * value + SUMMARY_SHARE * self._polarity(summary[:SUMMARY_MAX_CHARS])
        value = round(value, 4)
        return Score(value, label_of(value))

    def _polarity(self, text: str) -> float:
        return float(self._vader.polarity_scores(_spoken(text))["compound"])


@cache
def _vader() -> SentimentIntensityAnalyzer:
    """Its lexicon and ours; ours counts."""
    vader = SentimentIntensityAnalyzer()
    vader.lexicon.update(dict.fromkeys(finance_terms.NEUTRAL, 0.0))
    vader.lexicon.update(finance_terms.TERMS)
    vader.lexicon.update({_joined(phrase): value for phrase, value in finance_terms.PHRASES.items()})
    return vader


def _spoken(text: str) -> str:
    """The text as VADER is to read it: phrases as one word each, and no shouting, which in a headline is a symbol."""
    text = text.replace("’", "'").lower()
    return _PHRASE.sub(lambda match: _joined(match[0]), text)


def _joined(phrase: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", phrase.lower())


# The longest first: "not as bad as feared" before "as bad as feared".
_PHRASE: Final = re.compile(
    r"\b(?:" + "|".join(re.escape(one) for one in sorted(finance_terms.PHRASES, key=len, reverse=True)) + r")\b"
)
