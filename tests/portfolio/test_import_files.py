import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portfolio.import_formats import FORMATS, detect
from portfolio.import_formats.files import open_document, sniff
from portfolio.import_formats.postings import Fault
from portfolio.import_formats.reading import Options

ROWS = "date,type,amount\n2026-01-05,DEPOSIT,5\n"


def opened(content, **limits):
    return open_document(content, **{"rows_max": 100, "columns_max": 50, **limits})


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1"])
def test_the_encoding_is_found(encoding):
    text = ROWS + "2026-01-06,DEPOSIT,7\n" + "2026-01-07,Zuführung,7\n"
    document = opened(text.encode(encoding))
    assert [record.cells[1] for record in document.records()] == ["type", "DEPOSIT", "DEPOSIT", "Zuführung"]


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("a,b,c\n1,2,3\n", ","),
        ("a;b;c\n1,5;2;3\n", ";"),
        ("a\tb\n1,5\t2\n", "\t"),
        ('a;b\n"x,y";"z,w,v"\n', ";"),
        ("a\n1\n", ","),
    ],
)
def test_the_delimiter_is_found(text, delimiter):
    assert sniff(text) == delimiter


@pytest.mark.parametrize(
    ("content", "row", "says"),
    [
        (b"", None, "empty"),
        (b"  \n\n ", None, "empty"),
        (b"date,type\n2026-01-05,DEP\0OSIT\n", 2, "U\\+0000"),
        (b'date,type\n"2026-01-05,DEPOSIT\n', 2, "never closed"),
        (b'date,type\n"2026-01-05"x,DEPOSIT\n', 2, "closing quote"),
        (b",".join([b"a"] * 10_000), 1, "10000 columns are more than 50"),
        (b"a,b\n" * 101, 101, "more than 100 rows"),
        (b"a,b\n" + b"x" * 200_000 + b",1\n", 2, "longer than"),
        (b'{"transactions": [}', 1, "not JSON"),
        (b"[" * 100_000, None, "too deeply"),
        (b'{"a": NaN}', None, "NaN"),
    ],
)
def test_what_is_no_file_of_rows_is_refused_by_line(content, row, says):
    with pytest.raises(Fault, match=says) as fault:
        list(opened(content).records())
    assert fault.value.row == row


def test_a_file_of_no_known_format_says_which_there_are():
    with pytest.raises(Fault, match="coinbase"):
        detect(opened(b"colour,size\nred,5\n"))


@given(
    st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda text: ("type,at,quantity\n" + text).encode()))
)
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_rows_or_faults(content):
    for format_ in FORMATS.values():
        try:
            for _ in format_.read(opened(content), Options()):
                pass
        except Fault:
            pass


@pytest.mark.parametrize(
    "cell", ["1" * 100_000 + "x", "1." * 50_000, "1/" * 50_000, "A " * 50_000, "A(B) " * 20_000], ids=len
)
def test_a_long_cell_costs_no_more_than_reading_it(cell):
    """Each would cost minutes where a pattern tries it again from every character."""
    flex = "ClientAccountID,CurrencyPrimary,Symbol,ActionDescription,Description,Date/Time,Amount,Type,Quantity"
    rows = [
        f"date,type,symbol,quantity\n{cell},BUY,x,{cell}\n",
        f"{flex}\nU,USD,,{cell},{cell},20260105,1,Dividends,1\n",
    ]
    started = time.process_time()
    for text in rows:
        document = opened(text.encode())
        assert len(list(detect(document).read(document, Options()))) == 1
    assert time.process_time() - started < 2
