"""Recordings of real venues, as frames for a venue to send: verbatim, but for a time shift if one is asked for."""

import gzip
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from tests.venues.market import SentTrade
from tests.venues.server import Frame, json_text

EPOCH_TIME = re.compile(r'"([ETt])":(\d{13}|\d{16})(?!\d)')
ISO_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?=[.Z])")


def shifted(frames: Iterable[Frame], seconds: int) -> Iterator[Frame]:
    """The same frames so many seconds later: every time in them is moved, nothing else."""
    for frame in frames:
        text = frame.text if isinstance(frame.text, str) else frame.text.decode()
        trades = tuple(replace(trade, time_us=trade.time_us + seconds * 1_000_000) for trade in frame.trades)
        yield replace(frame, text=moved(text, seconds), trades=trades, at_ns=frame.at_ns + seconds * 1_000_000_000)


def moved(text: str, seconds: int) -> str:
    """Whole seconds, so that no digit after the point changes."""

    def epoch(found: re.Match[str]) -> str:
        return f'"{found[1]}":{int(found[2]) + seconds * (1_000 if len(found[2]) == 13 else 1_000_000)}'

    def iso(found: re.Match[str]) -> str:
        return (datetime.fromisoformat(found[1]) + timedelta(seconds=seconds)).isoformat()

    return ISO_TIME.sub(iso, EPOCH_TIME.sub(epoch, text))


def binance(*paths: Path) -> Iterator[Frame]:
    """Lines `<nanoseconds> <json>`, gzipped, files one after the other; a REST snapshot among them is of the symbol
    before it."""
    symbol = ""
    for path in paths:
        with gzip.open(path, "rt") as lines:
            for line in lines:
                at_ns, text = line.split(" ", 1)
                frame = binance_frame(text.strip(), int(at_ns), symbol)
                symbol = symbol or frame.stream.split("@")[0].upper()
                yield frame


def binance_frame(text: str, at_ns: int, symbol: str) -> Frame:
    """symbol: of a REST snapshot, which does not name it."""
    frame = json.loads(text)
    stream, data = frame.get("stream", ""), frame.get("data", {})
    if not stream:
        return Frame("", json_text({"s": symbol} | frame), (), at_ns, snapshot=True)
    trades: tuple[SentTrade, ...] = ()
    if stream.endswith(("@trade", "@aggTrade")):
        trade_id = data["t"] if data["e"] == "trade" else data["a"]
        trades = (SentTrade(data["s"], trade_id, data["p"], data["q"], data["T"] * 1000, data["m"]),)
    return Frame(stream, text, trades, at_ns)


READERS = {"binance": binance}
