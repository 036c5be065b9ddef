"""Recordings of real venues, as frames for a venue to send: verbatim, but for a time shift if one is asked for."""

import gzip
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import zstandard

from tests.venues.binance import event_frame
from tests.venues.coinbase import iso
from tests.venues.kraken import BookFrame
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


def cryptofeed_binance(http: Path, socket: Path) -> Iterator[Frame]:
    """cryptofeed's first format: `url -> seconds: body` and `seconds: json`; the snapshots at their moments."""
    told: list[tuple[int, str, str]] = []
    for line in _lines(http):
        url, _, rest = line.partition(" -> ")
        if "/depth?" in url:
            at, _, body = rest.partition(": ")
            told.append((nanoseconds(at), body, parse_qs(urlsplit(url).query)["symbol"][0]))
    for line in _lines(socket):
        at, _, text = line.partition(": ")
        if text.startswith("{"):
            told.append((nanoseconds(at), text, ""))
    for at_ns, text, symbol in sorted(told):
        yield binance_frame(text, at_ns, symbol)


def aggregate_trades(path: Path, symbol: str) -> Iterator[Frame]:
    """freqtrade's: a list of ccxt's trades with the venue's own words as `info`, sent as aggTrade events."""
    for trade in json.loads(gzip.decompress(path.read_bytes())):
        info = trade["info"]
        sent = SentTrade(symbol, int(info["a"]), info["p"], info["q"], int(info["T"]) * 1000, bool(info["m"]))
        data = {"e": "aggTrade", "E": info["T"], "s": symbol} | info
        yield replace(event_frame(f"{symbol.lower()}@aggTrade", data, sent), at_ns=sent.time_us * 1000)


def coinbase(path: Path) -> Iterator[Frame]:
    """cryptofeed's second format: typed records, zstd. Answers to subscriptions are the venue's own to give."""
    with path.open("rb") as packed:
        for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(packed), encoding="utf-8"):
            record = json.loads(line)
            if record["t"] == "recv":
                frame = coinbase_frame(record["data"], int(record["ts"] * 1e9))
                if frame is not None:
                    yield frame


def coinbase_frame(text: str, at_ns: int) -> Frame | None:
    told = json.loads(text)
    channel = {"l2_data": "level2"}.get(told["channel"], told["channel"])
    if channel == "subscriptions":
        return None
    event = told["events"][0]
    within = [event, *(event.get("trades") or event.get("tickers") or event.get("candles") or [])]
    product = next((part["product_id"] for part in within if "product_id" in part), channel)
    trades = tuple(
        SentTrade(
            t["product_id"], int(t["trade_id"]), t["price"], t["size"], microseconds(t["time"]), t["side"] == "BUY"
        )
        for event in told["events"]
        for t in reversed(event.get("trades", []))
    )
    snapshot = channel == "level2" and event["type"] == "snapshot"
    return Frame(f"{channel}:{product}", text, trades, at_ns, snapshot)


def kraken(path: Path) -> Iterator[Frame]:
    """Lines of frames, or python-kraken-sdk's `{"init": …, "updates": […]}`; books of depth 10."""
    text = path.read_text()
    if path.suffix == ".jsonl":
        texts = [line for line in text.splitlines() if '"data"' in line and '"status"' not in line]
    else:
        whole = json.loads(text)
        texts = [json_text(frame) for frame in (whole["init"], *whole["updates"])]
    for place, frame in enumerate(texts):
        yield kraken_frame(frame, place * 100_000_000, depth=10)


def kraken_frame(text: str, at_ns: int, depth: int) -> Frame:
    told = json.loads(text, parse_float=str, parse_int=str)
    channel, data = told["channel"], told["data"]
    stream = f"{channel}:{data[0]['symbol']}"
    if channel == "book":
        return BookFrame(stream, text, (), at_ns, told["type"] == "snapshot", depth)
    trades = tuple(
        SentTrade(
            t["symbol"], int(t["trade_id"]), t["price"], t["qty"], microseconds(t["timestamp"]), t["side"] == "sell"
        )
        for t in (data if channel == "trade" else ())
    )
    return Frame(stream, text, trades, at_ns)


def kraken_v1(*paths: Path) -> Iterator[Frame]:
    """cryptofeed's recording of the old sockets, in the envelope of v2: numbers and checksums as they were.

    The books are of depth 1000. The old trades had no ids: these count from one.
    """
    ids: Counter[str] = Counter()
    told = [
        (nanoseconds(at), json.loads(text))
        for path in paths
        for at, _, text in (line.partition(": ") for line in _lines(path))
        if text.startswith("[")
    ]
    for at_ns, (_, *parts, channel, pair) in sorted(told, key=lambda frame: frame[0]):
        symbol = pair.replace("XBT", "BTC").replace("XDG", "DOGE")
        if channel.startswith("book-"):
            text = _v2_book(symbol, {name: value for part in parts for name, value in part.items()})
            yield kraken_frame(text, at_ns, depth=int(channel[5:]))
        elif channel == "trade":
            yield kraken_frame(_v2_trades(symbol, parts[0], ids), at_ns, depth=0)


def _v2_book(symbol: str, told: dict[str, Any]) -> str:
    snapshot = "as" in told or "bs" in told
    bids, asks = (told.get(name, []) for name in (("bs", "as") if snapshot else ("b", "a")))
    newest = max(level[2] for level in (*bids, *asks))
    sides = [",".join(f'{{"price":{price},"qty":{quantity}}}' for price, quantity, *_ in side) for side in (bids, asks)]
    check = f',"checksum":{told["c"]}' if "c" in told else ""
    return (
        f'{{"channel":"book","type":"{"snapshot" if snapshot else "update"}","data":[{{"symbol":"{symbol}",'
        f'"bids":[{sides[0]}],"asks":[{sides[1]}]{check},"timestamp":"{iso(nanoseconds(newest) // 1000)}"}}]}}'
    )


def _v2_trades(symbol: str, trades: list[list[str]], ids: Counter[str]) -> str:
    data = []
    for price, quantity, at, side, kind, _ in trades:
        ids[symbol] += 1
        data.append(
            f'{{"symbol":"{symbol}","side":"{"buy" if side == "b" else "sell"}","price":{price},"qty":{quantity},'
            f'"ord_type":"{"market" if kind == "m" else "limit"}","trade_id":{ids[symbol]},'
            f'"timestamp":"{iso(nanoseconds(at) // 1000)}"}}'
        )
    return f'{{"channel":"trade","type":"update","data":[{",".join(data)}]}}'


def finnhub(path: Path) -> Iterator[Frame]:
    """Quoted frames, one a line, as `{"frame": …}`; their trades are counted from one, by symbol."""
    ids: Counter[str] = Counter()
    for place, line in enumerate(path.read_text().splitlines()):
        frame = json.loads(line, parse_float=str, parse_int=str)["frame"]
        if frame["type"] == "trade":
            text = json_text(json.loads(line)["frame"])
            yield Frame("trade", text, tuple(_finnhub_trade(t, ids) for t in frame["data"]), place * 1_000_000_000)


def _finnhub_trade(told: dict[str, str], ids: Counter[str]) -> SentTrade:
    ids[told["s"]] += 1
    return SentTrade(told["s"], ids[told["s"]], told["p"], told["v"], int(told["t"]) * 1000)


def nanoseconds(seconds: str) -> int:
    return int(Decimal(seconds) * 10**9)


def microseconds(at: str) -> int:
    """Of an RFC 3339 time, whose fraction may have any number of digits.

    >>> microseconds("2026-08-12T19:27:48.298771Z") % 1_000_000
    298771
    """
    whole, _, fraction = at.removesuffix("Z").partition(".")
    seconds = int(datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp())
    return seconds * 1_000_000 + int(f"{fraction[:6]:0<6}")


def _lines(path: Path) -> Iterator[str]:
    with gzip.open(path, "rt") as lines:
        yield from (line.strip() for line in lines)


READERS: dict[str, Callable[[Path], Iterator[Frame]]] = {
    "binance": binance,
    "coinbase": coinbase,
    "kraken": kraken,
    "finnhub": finnhub,
}
