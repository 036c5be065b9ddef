"""The formats of files that ledgers are read from: one module each, pure. To add one, write NAME, TITLE, `recognizes`
and `read`, and name it here; docs/imports.md tells what each takes."""

from collections.abc import Iterator
from typing import Final, Protocol

from portfolio.import_formats import (
    binance,
    coinbase,
    generic,
    ghostfolio,
    interactive_brokers,
    portfolio_performance,
)
from portfolio.import_formats.files import Document
from portfolio.import_formats.postings import Fault, Posting
from portfolio.import_formats.reading import Options


class Format(Protocol):
    """A module of this package."""

    @property
    def NAME(self) -> str: ...
    @property
    def TITLE(self) -> str: ...

    def recognizes(self, document: Document) -> bool:
        """Whether the file is of this format."""

    def read(self, document: Document, options: Options) -> Iterator[Posting | Fault]:
        """The file's rows in its order. Raises Fault where the whole of it can't be read."""


# The most particular first: a generic file has columns that others have as well.
FORMATS: Final[dict[str, Format]] = {
    module.NAME: module
    for module in (interactive_brokers, coinbase, binance, ghostfolio, portfolio_performance, generic)
}


def detect(document: Document) -> Format:
    """The format of a file. Raises Fault."""
    for format_ in FORMATS.values():
        if format_.recognizes(document):
            return format_
    raise Fault(f"No format fits this file: say `preset`, one of {', '.join(FORMATS)}, or `mapping`.")
