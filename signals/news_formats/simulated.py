"""News that is made up, for installations without any: the same each time, from a seed and the time alone. Pure."""

from collections.abc import Sequence
from typing import Final

import msgspec

from ingestion.providers.hashed import named
from signals.news_formats.item import Item

NAME: Final = "simulated"
SUMMARY: Final = "Made up here, from a seed, as the simulated market is. It tells of nothing that happened."

# Which kinds of instruments each category tells of.
CATEGORIES: Final = {
    "general": ("equity", "crypto", "fx"),
    "crypto": ("crypto",),
    "forex": ("fx",),
    "merger": ("equity",),
}
_TEMPLATES: Final = (
    "{name} climbs {n}% as buyers return",
    "{name} slips {n}% in quiet trading",
    "{name} surges {n}% to a record high",
    "{name} tumbles {n}% in a broad sell-off",
    "Analysts upgrade {name} and see {n}% more",
    "Analysts downgrade {name} and see {n}% less",
    "{name} steady, {n}% above its monthly average",
    "{name}: volatility at {n}% before a busy week",
)
_MERGERS: Final = (
    "{name} in talks over a takeover at a premium of {n}%",
    "{name} shareholders approve the acquisition of a rival, {n}% in favour",
    "{name} drops its bid of {n} billion after an antitrust probe",
)


class Subject(msgspec.Struct, frozen=True):
    """An instrument to tell of. kind: crypto, equity or fx."""

    symbol: str
    name: str
    kind: str


def items(
    seed: int,
    category: str,
    subjects: Sequence[Subject],
    first: int,
    last: int,
    every_us: int,
) -> list[Item]:
    """The news number `first` to `last` of a category, newest first; number n is of `n * every_us`.

    subjects: in an order of their own. No subject of the category's kinds: no news.
    """
    known = [one for one in subjects if one.kind in CATEGORIES[category]]
    return [_item(seed, category, known, number, every_us) for number in range(last, first - 1, -1)] if known else []


def _item(seed: int, category: str, subjects: Sequence[Subject], number: int, every_us: int) -> Item:
    drawn = named(seed, f"news {category} {number}")
    subject = subjects[drawn % len(subjects)]
    templates = _MERGERS if category == "merger" else _TEMPLATES
    template = templates[(drawn >> 16) % len(templates)]
    percent = 1 + (drawn >> 32) % 190 / 10
    return Item(
        provider_id=str(number),
        headline=template.format(name=subject.name.split(" / ")[0], n=f"{percent:.1f}"),
        summary=SUMMARY,
        source=NAME,
        published_us=number * every_us,
        related=(subject.symbol,),
    )
