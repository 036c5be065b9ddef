"""The market's older paths, each in its own shapes, beside the topics that they render. Pure."""

from ingestion.dialects import market, market_data, streams
from streaming import dialects

for _dialect in (
    streams.MarketStream(),
    streams.MarketMulti(),
    market.Market(),
    market_data.MarketDataOf(),
    market_data.MarketData(),
):
    dialects.register(_dialect)
