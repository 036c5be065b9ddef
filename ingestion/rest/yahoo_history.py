"""Yahoo's daily bars as one more history: no trades, no shorter candles, prices in the currency itself. Pure."""

import msgspec

from ingestion.rest import yahoo
from ingestion.rest.call import Call
from ingestion.rest.history import HistoryError
from ingestion.rest.quoted import Unreadable
from ingestion.ticks import VenueBar

# It gives decades at once; so many days are one chunk.
DAYS: int = 3650


class YahooCandles:
    """Daily bars at the midnight UTC of their exchange's day."""

    rows_per_call = DAYS
    intervals: tuple[str, ...] = (yahoo.DAY,)

    def candles_call(self, symbol: str, interval: str, from_us: int, until_us: int, now_us: int) -> Call:
        # In the east a day opens before its midnight UTC, in the west after: a day more on either side.
        return yahoo.daily_call(symbol, from_us - yahoo.DAY_US, until_us + yahoo.DAY_US)

    def read_candles(self, body: bytes, symbol: str, interval: str, received_us: int) -> list[VenueBar]:
        """In pounds where Yahoo says pence."""
        try:
            bars, _, minor_units = yahoo.read_daily(body, symbol, received_us)
        except Unreadable as error:
            raise HistoryError(yahoo.NAME, error.reason, body) from error
        return [_in_units(bar, minor_units) for bar in bars]


def _in_units(bar: VenueBar, minor_units: int) -> VenueBar:
    if minor_units == 1:
        return bar
    prices = {name: getattr(bar, name) / minor_units for name in ("open", "high", "low", "close")}
    return msgspec.structs.replace(bar, **prices)
