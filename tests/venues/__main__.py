"""One venue as a process: `python -m tests.venues binance --port 9443 --live 200`."""

import argparse
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.venues import recordings
from tests.venues.binance import BinanceVenue
from tests.venues.binance_history import BinanceHistory
from tests.venues.coinbase import CoinbaseVenue
from tests.venues.coinbase_history import CoinbaseHistory
from tests.venues.finnhub import FinnhubVenue
from tests.venues.kraken import KrakenVenue
from tests.venues.kraken_history import KrakenHistory
from tests.venues.server import Venue

VENUES: dict[str, type[Venue]] = {
    venue.name: venue for venue in (BinanceVenue, CoinbaseVenue, KrakenVenue, FinnhubVenue)
}
HISTORIES: dict[str, Callable[[Any], object]] = {
    "binance": BinanceHistory,
    "coinbase": CoinbaseHistory,
    "kraken": KrakenHistory,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("venue", choices=sorted(VENUES))
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--symbols", default="", help="by comma; each venue has some of its own")
    parser.add_argument("--live", type=float, default=0, help="made-up trades a second")
    parser.add_argument("--recording", type=Path, help="played once somebody subscribed; see recordings.py")
    parser.add_argument("--speed", type=float, help="a multiple of the recorded pace; as fast as possible without")
    arguments = parser.parse_args()
    symbols = [symbol for symbol in arguments.symbols.split(",") if symbol]
    with VENUES[arguments.venue](symbols, arguments.port, made_up=arguments.recording is None) as venue:
        if arguments.venue in HISTORIES:
            HISTORIES[arguments.venue](venue)
        print(f"{venue.ws_url} {venue.rest_url}", flush=True)
        if arguments.live:
            venue.live(arguments.live)
        if arguments.recording:
            while not any(client.streams for client in venue.open_clients):
                time.sleep(0.05)
            venue.play(recordings.READERS[arguments.venue](arguments.recording), arguments.speed)
        threading.Event().wait()


if __name__ == "__main__":
    main()
