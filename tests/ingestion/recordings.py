"""Where the recordings of real venues are, and what an independent computation found in them."""

import datetime as dt
import gzip
import io
import json
import os
from decimal import Decimal
from functools import cache
from pathlib import Path

import pytest
import zstandard

ROOT = Path(__file__).resolve().parent.parent.parent
RECORDINGS = Path(os.environ.get("TAPEHOUSE_RECORDINGS", ROOT.parent / "shared" / "data"))


def recording(name):
    """The file's path; skips the test, saying why, where the recordings are absent."""
    path = RECORDINGS / name
    if not path.exists():
        pytest.skip(f"no recording {path}: set TAPEHOUSE_RECORDINGS")
    return path


@cache
def expected():
    return json.loads(recording("EXPECTED.json").read_text())


def frames(name):
    """(frame, received in µs) of a file of lines `<nanoseconds> <json>`."""
    with gzip.open(recording(name)) as lines:
        for line in lines:
            at_ns, _, frame = line.partition(b" ")
            yield frame.strip(), int(at_ns) // 1000


def typed(name):
    """(frame, received in µs) of a file of JSON records, zstandard: those that were received."""
    with recording(name).open("rb") as file:
        for line in io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(file)):
            record = json.loads(line)
            if record["t"] == "recv":
                yield record["data"].encode(), int(Decimal(str(record["ts"])) * 1_000_000)


def stamped(name):
    """(frame, received in µs) of a file of lines `<seconds>: <json>`; lines about connections are left out."""
    with gzip.open(recording(name)) as lines:
        for line in lines:
            stamp, colon, frame = line.partition(b": ")
            if colon and stamp.replace(b".", b"").isdigit():
                yield frame.strip(), int(Decimal(stamp.decode()) * 1_000_000)


def answers(name):
    """(url, body) of a file of lines `<url> -> <seconds>: <body>`."""
    with gzip.open(recording(name), "rt") as lines:
        for line in lines:
            url, arrow, rest = line.partition(" -> ")
            if arrow:
                yield url, rest.partition(": ")[2].strip().encode()


def quoted(name):
    """The frames of a file of JSON lines, as bytes; those wrapped with a word on their source are unwrapped."""
    for line in recording(f"quoted/{name}").read_bytes().splitlines():
        record = json.loads(line)
        yield json.dumps(record["frame"]).encode() if record.keys() & {"frame"} else line


# --- Kraken's first protocol, in the second's envelopes ------------------------------------------------------------
# The numbers stay as they were written, zeros and all, so that the recorded checksums hold.

KRAKEN_V1 = {"trade": "48", "ticker": "49", "book": "50"}


def kraken_v2(kind):
    """(frame, received in µs): the recorded trades, tickers or books (depth 1,000) of ten pairs, as v2 sends them."""
    for frame, received_us in stamped(f"cryptofeed/main/KRAKEN.ws.{KRAKEN_V1[kind]}.0.gz"):
        said = json.loads(frame, parse_float=str, parse_int=str)
        if isinstance(said, list):
            for text in enveloped(kind, said, received_us):
                yield text.encode(), received_us
        elif said.get("event") == "heartbeat":
            yield b'{"channel":"heartbeat"}', received_us


def enveloped(kind, said, received_us):
    """One message `[channel, data, …, name, pair]` as the texts of v2 frames; a v1 update may hold both sides apart."""
    pair = said[-1].replace("XBT", "BTC")
    parts = said[1:-2]
    if kind == "book":
        return [enveloped_book(pair, {k: v for part in parts for k, v in part.items()})]
    data = enveloped_ticker(pair, parts[0], received_us) if kind == "ticker" else enveloped_trades(pair, parts[0])
    return [f'{{"channel":"{kind}","type":"update","data":[{data}]}}']


def enveloped_book(pair, data):
    whole = "as" in data or "bs" in data
    bids, asks = (data.get(f"{side}s" if whole else side, []) for side in "ba")
    checksum = f',"checksum":{data["c"]}' if "c" in data else ""
    levels = f'"bids":[{levels_text(bids)}],"asks":[{levels_text(asks)}]'
    time_s = max(Decimal(level[2]) for level in (*bids, *asks))
    return (
        f'{{"channel":"book","type":"{"snapshot" if whole else "update"}","data":[{{"symbol":"{pair}",{levels}'
        f'{checksum},"timestamp":"{iso(time_s)}"}}]}}'
    )


def levels_text(levels):
    return ",".join(f'{{"price":{level[0]},"qty":{level[1]}}}' for level in levels)


def enveloped_trades(pair, trades):
    """v1 numbers no trades: their times, in microseconds, do."""
    return ",".join(
        f'{{"symbol":"{pair}","side":"{"buy" if side == "b" else "sell"}","price":{price},"qty":{quantity},'
        f'"ord_type":"{"market" if kind == "m" else "limit"}","trade_id":{int(Decimal(time_s) * 1_000_000)},'
        f'"timestamp":"{iso(Decimal(time_s))}"}}'
        for price, quantity, time_s, side, kind, _ in trades
    )


def enveloped_ticker(pair, t, received_us):
    """Of each figure for today and for the last 24 hours v2 tells the second."""
    change = Decimal(t["c"][0]) - Decimal(t["o"][1])
    return (
        f'{{"symbol":"{pair}","bid":{t["b"][0]},"bid_qty":{t["b"][2]},"ask":{t["a"][0]},"ask_qty":{t["a"][2]},'
        f'"last":{t["c"][0]},"volume":{t["v"][1]},"vwap":{t["p"][1]},"low":{t["l"][1]},"high":{t["h"][1]},'
        f'"change":{change:f},"trades":{t["t"][1]},"timestamp":"{iso(Decimal(received_us) / 1_000_000)}"}}'
    )


def iso(seconds):
    """
    >>> iso(Decimal("1618678133.366461"))
    '2021-04-17T16:48:53.366461Z'
    """
    whole, microseconds = divmod(int(seconds * 1_000_000), 1_000_000)
    return f"{dt.datetime.fromtimestamp(whole, dt.UTC):%Y-%m-%dT%H:%M:%S}.{microseconds:06d}Z"
