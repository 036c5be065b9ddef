"""Which instruments a piece of news is about, and how sure that is. Pure.

A symbol or a name in a text is evidence, of different weight: `$AAPL` and `NASDAQ: AAPL` can mean nothing else, while
"Apple" may be fruit and "ALL" a word. What is a word as well links only by a cashtag, or with a company's words around.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from signals import ordinary_words as ordinary

RELATED: Final = "related"
CASHTAG: Final = "cashtag"
EXCHANGE: Final = "exchange"
SYMBOL: Final = "symbol"
NAME: Final = "name"

# What each kind of evidence is worth in a headline. In a summary it is worth this part of it: there, others are named
# in passing.
WORTH: Final = {RELATED: 0.9, CASHTAG: 0.95, EXCHANGE: 0.95, SYMBOL: 0.7, NAME: 0.8}
PARENTHESES: Final = 0.85  # a bare symbol as (AAPL)
PAIR: Final = 0.9  # a pair as a whole: BTC/USDT
DOUBTFUL: Final = 0.6  # a name that is a word as well, in a company's words
IN_SUMMARY: Final = 0.6
# A story about more than this tells less of each: their links are worth so much less.
SUBJECTS_FULL: Final = 5
LINKS_MAX: Final = 20
# Of the pairs with one base (BTC-USD, BTC-USDT, …), so many are linked by the base alone.
PAIRS_MAX: Final = 10
TICKER_MIN_CHARS: Final = 3

CRYPTO: Final = "crypto"
EQUITY: Final = "equity"
FX: Final = "fx"

_TOKEN: Final = re.compile(r"[^\W_]+(?:[.&'’-][^\W_]+)*")
_CASHTAG: Final = re.compile(r"\$([A-Za-z]{1,10}(?:[.-][A-Za-z]{1,5})?)(?![\w.]*\d)")
_EXCHANGE: Final = re.compile(r"\b([A-Za-z]{2,12}):\s?([A-Z0-9][A-Z0-9.\-]{0,14})\b")
_PAIR: Final = re.compile(r"\b([A-Z0-9]{2,10})[/-]([A-Z]{3,6})\b")
_PARENTHESES: Final = re.compile(r"\(([A-Z][A-Z0-9.\-]{0,9})\)")
_LEGAL: Final = re.compile(
    r",?\s+(?:inc(?:orporated)?|corp(?:oration)?|co(?:mpany)?|ltd|limited|plc|llc|lp|sa|s\.a|ag|nv|n\.v|se|spa|asa|ab|oyj"
    r"|class [a-d]|cl [a-d]|[a-c]|adr|ads|ordinary shares|common stock|the)\.?$",
    re.IGNORECASE,
)
_LOOSE: Final = re.compile(
    r"\s+(?:group|holdings?|international|technologies|enterprises|worldwide)$",
    re.IGNORECASE,
)


class Known(msgspec.Struct, frozen=True):
    """An instrument as far as a text can name it. aliases: further names, such as `Google`; followed: before others."""

    id: int
    symbol: str
    name: str
    kind: str
    exchange: str = ""
    aliases: tuple[str, ...] = ()
    followed: bool = True


class Link(NamedTuple):
    """That a text is about an instrument. confidence: 0 to 1."""

    instrument: int
    how: str
    confidence: float


class Name(NamedTuple):
    """Words that name a subject. cautious: words that mean something else as well."""

    words: tuple[str, ...]
    subject: str
    cautious: bool


class Index:
    """The names of all instruments; built once, asked for each text. Its cost goes with the text, not with them.

    A subject is what a text speaks of: `BTC` for all pairs with that base, one instrument otherwise.
    """

    def __init__(self, known: Iterable[Known], asset_aliases: Mapping[str, str] | None = None) -> None:
        self._instruments: dict[str, list[int]] = {}
        self._exchanges: dict[str, str] = {}
        self._tickers: dict[str, str] = {}
        self._pairs: dict[str, str] = {}
        self._names: dict[str, list[Name]] = {}
        for one in sorted(known, key=lambda one: (not one.followed, one.symbol)):
            self._add(one)
        self._known_exchanges = ordinary.EXCHANGES | set(self._exchanges.values()) - {""}
        for other, usual in (asset_aliases or {}).items():
            if usual in self._tickers:
                self._tickers.setdefault(other, self._tickers[usual])

    # --- Building -------------------------------------------------------------------------------------------------

    def _add(self, one: Known) -> None:
        own = f"#{one.id}"
        self._instruments[own] = [one.id]
        symbol = one.symbol.upper()
        if one.kind == EQUITY:
            self._tickers.setdefault(symbol, own)
            self._exchanges[own] = one.exchange.upper()
            names = company_names(one.name)
            subject = own
        else:
            base, quote = parted(symbol)
            subject = base if one.kind == CRYPTO else own
            for spelled in (f"{base}-{quote}", f"{base}{quote}"):
                self._pairs.setdefault(spelled, own)
            names = ()
            if one.kind == CRYPTO:
                self._tickers.setdefault(base, base)
                self._pair_of(base, one.id)
                first = one.name.split(" / ")[0].strip()
                # A name that a machine made is no name.
                names = (
                    *ordinary.COINS.get(base, ()),
                    *((first,) if parted(first.upper())[0] != base else ()),
                )
        for name in (*names, *one.aliases):
            self._call(name, subject)

    def _pair_of(self, base: str, instrument: int) -> None:
        pairs = self._instruments.setdefault(base, [])
        if len(pairs) < PAIRS_MAX:
            pairs.append(instrument)

    def _call(self, name: str, subject: str) -> None:
        words = tuple(_folded(word) for word in _TOKEN.findall(name))
        if not words or (len(words) == 1 and (len(words[0]) < TICKER_MIN_CHARS or words[0] in ordinary.NEVER)):
            return
        cautious = len(words) == 1 and words[0] in ordinary.WORDS
        called = self._names.setdefault(words[0], [])
        if all(other.words != words for other in called):
            called.append(Name(words, subject, cautious))
            called.sort(key=lambda other: -len(other.words))

    # --- Asking ---------------------------------------------------------------------------------------------------

    def links(
        self,
        headline: str,
        summary: str = "",
        related: Sequence[int] = (),
        is_crypto: bool = False,
    ) -> list[Link]:
        """What the text is about, the surest first.

        related: what the provider says that it is about. is_crypto: told in a place where symbols are coins'.
        """
        text = f"{headline}. {summary}"
        context = _Context.of(text, is_crypto)
        found: dict[str, tuple[float, str]] = {}
        for part, worth in ((headline, 1.0), (summary, IN_SUMMARY)):
            for subject, how, sure in self._evidence(part, context):
                found[subject] = max(found.get(subject, (0.0, "")), (sure * worth, how))
        share = min(1.0, SUBJECTS_FULL / max(1, len(found)))
        links: dict[int, Link] = {}
        for subject, (sure, how) in found.items():
            for instrument in self._instruments.get(subject, ()):
                link = Link(instrument, how, round(sure * share, 4))
                links[instrument] = max(links.get(instrument, link), link, key=lambda one: one.confidence)
        for instrument in related:
            link = Link(instrument, RELATED, WORTH[RELATED])
            links[instrument] = max(links.get(instrument, link), link, key=lambda one: one.confidence)
        return sorted(links.values(), key=lambda one: (-one.confidence, one.instrument))[:LINKS_MAX]

    def _evidence(self, text: str, context: "_Context") -> Iterable[tuple[str, str, float]]:
        for match in _CASHTAG.finditer(text):
            if subject := self._tickers.get(match[1].upper()):
                yield subject, CASHTAG, WORTH[CASHTAG]
        for match in _EXCHANGE.finditer(text):
            if subject := self._listed(match[1].upper(), match[2]):
                yield subject, EXCHANGE, WORTH[EXCHANGE]
        for match in _PAIR.finditer(text):
            if subject := self._pairs.get(f"{match[1]}-{match[2]}"):
                yield subject, SYMBOL, PAIR
        for match in _PARENTHESES.finditer(text):
            if (subject := self._tickers.get(match[1])) and _is_symbolic(match[1]):
                yield subject, SYMBOL, PARENTHESES
        # A symbol on an exchange was judged with it: alone it would be another company's as well.
        yield from self._spoken(_EXCHANGE.sub(self._rest, text), context)

    def _rest(self, match: re.Match[str]) -> str:
        return " " if match[1].upper() in self._known_exchanges else match[0]

    def _listed(self, exchange: str, ticker: str) -> str | None:
        """Whoever has this symbol on this exchange: the same symbol on another one is another company's."""
        if pair := self._pairs.get(ticker):
            return pair
        subject = self._tickers.get(ticker)
        if subject is None or exchange not in self._known_exchanges:
            return None
        listed = self._exchanges.get(subject, "")
        same = ordinary.EXCHANGE_ALIASES
        return subject if not listed or same.get(listed, listed) == same.get(exchange, exchange) else None

    def _spoken(self, text: str, context: "_Context") -> Iterable[tuple[str, str, float]]:
        """Names and bare symbols, word by word; the longest name first, and no word is used twice."""
        tokens = [match[0] for match in _TOKEN.finditer(text)]
        folded = [_folded(token) for token in tokens]
        shouting = text.upper() == text
        at = 0
        while at < len(tokens):
            name = self._name_at(folded, at)
            if name is not None and self._is_meant(name, tokens, folded, at, context, shouting):
                yield name.subject, NAME, DOUBTFUL if name.cautious else WORTH[NAME]
                at += len(name.words)
                continue
            token = tokens[at].removesuffix("'s").removesuffix("’s")
            if subject := self._pairs.get(token):
                yield subject, SYMBOL, PAIR
            elif not shouting and (subject := self._tickers.get(token)) and _is_ticker(token, subject, context):
                yield subject, SYMBOL, WORTH[SYMBOL]
            at += 1

    def _name_at(self, folded: Sequence[str], at: int) -> Name | None:
        for name in self._names.get(folded[at], ()):
            if tuple(folded[at : at + len(name.words)]) == name.words:
                return name
        return None

    @staticmethod
    def _is_meant(
        name: Name,
        tokens: Sequence[str],
        folded: Sequence[str],
        at: int,
        context: "_Context",
        shouting: bool,
    ) -> bool:
        """Whether the words name the subject here. Names are written with a capital; coins' often aren't."""
        if not name.cautious:
            return tokens[at][0].isupper() or tokens[at][0].isdigit() or not name.subject.startswith("#")
        if not tokens[at][0].isupper() or shouting or context.words & ordinary.NOT_WITH.get(name.words[0], frozenset()):
            return False
        following = folded[at + 1] if at + 1 < len(folded) else ""
        if name.subject.startswith("#"):
            return context.is_business or following in ordinary.LEGAL
        return context.is_crypto


class _Context(NamedTuple):
    """What else the text speaks of."""

    words: frozenset[str]
    is_business: bool
    is_crypto: bool

    @classmethod
    def of(cls, text: str, is_crypto: bool) -> "_Context":
        words = frozenset(map(_folded, _TOKEN.findall(text)))
        return cls(
            words,
            bool(words & ordinary.BUSINESS),
            is_crypto or bool(words & ordinary.CRYPTO),
        )


def _is_ticker(token: str, subject: str, context: _Context) -> bool:
    """Whether a bare word in capitals is a symbol here."""
    if not _is_symbolic(token):
        return False
    return len(token) > TICKER_MIN_CHARS or subject in ordinary.COINS or context.is_business or context.is_crypto


def _is_symbolic(token: str) -> bool:
    """Whether a word in capitals can be a symbol, and hardly anything else."""
    is_word = token.lower() in ordinary.WORDS or token in ordinary.ACRONYMS
    return token.isupper() and len(token) >= TICKER_MIN_CHARS and not is_word


def _folded(token: str) -> str:
    """As words are compared: `Apple's` → `apple`."""
    return token.casefold().replace("’", "'").removesuffix("'s")


def parted(symbol: str) -> tuple[str, str]:
    """Base and quote of a pair.

    >>> parted("BTC-USDT"), parted("EURUSD=X"), parted("GOLD")
    (('BTC', 'USDT'), ('EUR', 'USD'), ('GOLD', ''))
    """
    base, _, quote = symbol.removesuffix("=X").replace("/", "-").partition("-")
    if not quote and len(base) == 6 and symbol.endswith("=X"):
        return base[:3], base[3:]
    return base, quote


def company_names(name: str) -> tuple[str, ...]:
    """How a company is called, from how it is registered.

    >>> company_names("APPLE INC"), company_names("Berkshire Hathaway B"), company_names("KCB Group")
    (('APPLE',), ('Berkshire Hathaway',), ('KCB Group', 'KCB'))
    """
    bare = name.strip()
    while (shorter := _LEGAL.sub("", bare)) != bare and shorter:
        bare = shorter
    loose = _LOOSE.sub("", bare)
    # "Equity Group" is no company called "Equity".
    with_loose = (loose,) if loose != bare and loose.casefold() not in ordinary.WORDS | ordinary.NEVER else ()
    return (bare, *with_loose) if bare else ()
