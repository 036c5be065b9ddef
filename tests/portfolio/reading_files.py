"""Files as short values, for the tests of the formats."""

from decimal import Decimal

import msgspec

from portfolio.import_formats import FORMATS, detect
from portfolio.import_formats.files import open_document
from portfolio.import_formats.postings import Fault, Posting
from portfolio.import_formats.reading import Options
from portfolio.money import plain

_HIDDEN = {"line", "part", "names", "columns", "reference", "note"}


def read(text, preset=None, detected=None, **options):
    """The rows of a file as dicts of what they state, and its faults as (row, column, message)."""
    content = text if isinstance(text, bytes) else text.encode()
    document = open_document(content, rows_max=1_000, columns_max=200)
    format_ = FORMATS[preset] if preset else detect(document)
    assert detected in (None, format_.NAME)
    return [shown(item) for item in format_.read(document, Options(**options))]


def shown(item):
    if isinstance(item, Fault):
        return (item.row, item.column, item.message)
    assert isinstance(item, Posting)
    told = {name: _short(name, value) for name, value in msgspec.structs.asdict(item).items() if name not in _HIDDEN}
    return {name: value for name, value in told.items() if value not in (None, "", ())}


def _short(name, value):
    if isinstance(value, Decimal):
        return plain(value)
    return value.isoformat().removesuffix("+00:00").removesuffix("T00:00:00") if name == "at" else value
