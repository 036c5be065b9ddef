"""A ticker is whose it was at the time."""

import datetime as dt

import pytest
from django.core.management import CommandError, call_command

from ingestion import listings, renames, symbols
from ingestion.models import VenueSymbol
from tests.ingestion.market import make_instrument
from tests.ingestion.recordings import recording

META = "20120518,fb,Q\n20220608,fb,Q\n20501231,meta,Q\n"
FUND = "20210630,meta,P\n20220130,meta,P\n20501231,metv,P\n"


def on(year, month, day):
    """Noon in New York."""
    return dt.datetime(year, month, day, 12, tzinfo=renames.NEW_YORK)


def test_a_map_tells_each_names_time():
    fb, meta = renames.read(META.splitlines())
    assert (fb.symbol, fb.start.date(), fb.until.date()) == ("FB", dt.date(2012, 5, 18), dt.date(2022, 6, 9))
    assert (meta.symbol, meta.start, meta.until) == ("META", fb.until, None)
    assert fb.until.utcoffset() == dt.timedelta(hours=-4)


def test_a_stock_that_is_gone_has_an_end():
    [gone] = renames.read(["19980102,twx,N", "20180614,twx,N"])
    assert gone.until.date() == dt.date(2018, 6, 15)


def test_a_recorded_map_is_read():
    spells = renames.read(recording("lean/corporate/map_aapl.csv").read_text().splitlines())
    assert [(spell.symbol, spell.until) for spell in spells] == [("AAPL", None)]


@pytest.mark.parametrize(
    "text", ["", "20120518,fb,Q", "date,ticker\n20220608,fb", "20220608,fb\n20120518,fb", "20120518,fb\n20220608,"]
)
def test_what_is_no_map_is_refused(text):
    with pytest.raises(renames.BadMap):
        renames.read(text.splitlines())


@pytest.mark.django_db
def test_two_companies_shared_a_ticker_and_their_histories_do_not(tmp_path, capsys):
    meta, fund = make_instrument("META", kind="equity", finnhub="META"), make_instrument("METV", kind="equity")
    for name, text in (("meta", META), ("fund", FUND)):
        (tmp_path / name).write_text(text)
    for _ in range(2):
        call_command("import_renames", provider="finnhub", file=tmp_path / "meta", symbol=None)
        call_command("import_renames", provider="finnhub", file=tmp_path / "fund", symbol="METV")
    assert "finnhub:FB was META from 2012-05-18 until 2022-06-09" in capsys.readouterr().out
    assert VenueSymbol.objects.count() == 4
    assert symbols.resolve("META", on(2021, 10, 1)) == fund
    assert symbols.resolve("META", on(2022, 6, 9)) == symbols.resolve("FB", on(2022, 6, 8)) == meta
    assert set(symbols.provider_map("finnhub")) == {"META", "METV"}


@pytest.mark.django_db
def test_a_name_that_was_anothers_is_refused(tmp_path):
    make_instrument("META", kind="equity")
    make_instrument("OTHER", kind="equity", finnhub="FB")
    (tmp_path / "meta").write_text(META)
    with pytest.raises(CommandError, match="is OTHER"):
        call_command("import_renames", provider="finnhub", file=tmp_path / "meta", symbol="META")
    assert not VenueSymbol.objects.filter(symbol="META").exists()
    with pytest.raises(CommandError, match="no instrument"):
        call_command("import_renames", provider="finnhub", file=tmp_path / "meta", symbol="NOSUCH")


@pytest.mark.django_db
def test_a_name_that_came_back_has_two_times():
    stock = make_instrument("ABC", kind="equity")
    spells = renames.read(["20000103,abc,Q", "20050103,abc,Q", "20100104,xyz,Q", "20501231,abc,Q"])
    for _ in range(2):
        rows = listings.rename("finnhub", stock, spells)
    assert [row.symbol for row in rows] == ["ABC", "XYZ", "ABC"]
    assert VenueSymbol.objects.count() == 3
    assert symbols.resolve("XYZ", on(2007, 1, 3)) == symbols.resolve("ABC", on(2001, 1, 3)) == stock
