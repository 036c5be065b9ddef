"""Recordings through the production path, to the last row."""

import gzip
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import zstandard
from django.core.management import CommandError, call_command

from ingestion.models import Instrument, Quarantined
from ingestion.replay import Line, parse, timed
from ingestion.ticks import IRREGULAR
from tests.ingestion.market import NOW_US, SECOND_US, quote_frame, trade_frame
from tests.ingestion.rows import checksums, stored
from worker import lease as leases

ROOT = Path(__file__).resolve().parents[2]
RECORDINGS = Path(os.environ.get("TAPEHOUSE_RECORDINGS", ROOT.parent / "shared" / "data"))
NS = 1_000

pytestmark = pytest.mark.usefixtures("own_prefix")


@pytest.fixture
def run(tick_tables, capsys):
    """Replays a file; what the command said."""

    def command(path, **options):
        call_command("replay", provider="binance", file=Path(path), **options)
        return capsys.readouterr().out

    return command


def lines(*frames):
    return b"".join(b"%d %s\n" % ((NOW_US + i) * NS, frame) for i, frame in enumerate(frames))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'1723161253937085768 {"a":1}', Line(1723161253937085, b'{"a":1}')),
        (b'1633998480.25: {"a":1}', Line(1633998480250000, b'{"a":1}')),
        (b'1633998480: {"a":1}', Line(1633998480000000, b'{"a":1}')),
        (
            b'{"stream":"x","data":{"E":1723161255343}}',
            Line(1723161255343000, b'{"stream":"x","data":{"E":1723161255343}}', derived=True),
        ),
        (b'{"data":{"E":1723161255343123}}', Line(1723161255343123, b'{"data":{"E":1723161255343123}}', derived=True)),
        (b'{"p": 1, "t": 1672348887195}', Line(1672348887195000, b'{"p": 1, "t": 1672348887195}', derived=True)),
        (
            b'{"timestamp":"2026-08-09T21:05:48.228568804Z"}',
            Line(1786309548228568, b'{"timestamp":"2026-08-09T21:05:48.228568804Z"}', derived=True),
        ),
        (b'{"timestamp":"2026-99-09T21:05:48Z"}', Line(0, b'{"timestamp":"2026-99-09T21:05:48Z"}')),
        (b'{"a":1}', Line(0, b'{"a":1}')),
        (
            b'{"src":"somewhere","frame":{"t":1672348887195}}',
            Line(1672348887195000, b'{"t":1672348887195}', derived=True),
        ),
        (b'{"frame": {"a": 1}}', Line(0, b'{"a": 1}')),
        (b'{"t":"recv","conn":"1","ts":1786309548.6290078,"data":"{\\"a\\":1}"}', Line(1786309548629008, b'{"a":1}')),
        (b'{"t":"send","conn":"1","ts":1786309548.1743748,"data":"{}"}', Line(0, b"")),
        (b'{"t":"header","format":2}', Line(0, b"")),
        (b'{"t":"recv"', Line(0, b'{"t":"recv"')),
        (b"wss://stream.binance.com:9443", Line(0, b"")),
        (b"https://venue.example/depth -> 1633998512.32: {}", Line(0, b"")),
    ],
)
def test_a_lines_stamp_is_read_by_its_magnitude(line, expected):
    assert parse(line) == expected


def test_lines_without_a_time_take_their_neighbours():
    given = [Line(0, b"a"), Line(0, b"b"), Line(5, b"c"), Line(0, b"d"), Line(7, b"e")]
    assert list(timed(given)) == [Line(5, b"a"), Line(5, b"b"), Line(5, b"c"), Line(5, b"d"), Line(7, b"e")]
    assert list(timed([Line(0, b"a")])) == [Line(0, b"a")]


def test_events_of_one_millisecond_are_a_microsecond_apart():
    given = [Line(5000, b"a", True), Line(5000, b"b", True), Line(5000, b"c", True), Line(6000, b"d", True)]
    assert [line.received_us for line in timed(given)] == [5000, 5001, 5002, 6000]


COINBASE = (
    b'{"channel":"candles","timestamp":"2026-01-28T10:30:01Z","sequence_num":0,"events":[{"type":"update","candles":'
    b'[{"start":"1769596200","high":"3","low":"0.5","open":"1","close":"2","volume":"10","product_id":"BTC-USD"}]}]}',
    b'{"channel":"l2_data","timestamp":"2026-01-28T10:30:01Z","sequence_num":1,"events":[{"type":"snapshot",'
    b'"product_id":"BTC-USD","updates":[]}]}',
    b'{"channel":"market_trades","timestamp":"2026-01-28T10:30:01Z","sequence_num":2,"events":[{"type":"update",'
    b'"trades":[{"product_id":"BTC-USD","trade_id":"5","price":"2","size":"1","time":"2026-01-28T10:30:01Z",'
    b'"side":"BUY"}]}]}',
)


def test_another_venues_recording_brings_its_own_candles_and_may_hold_books(tick_tables, tmp_path, capsys):
    path = tmp_path / "frames"
    path.write_bytes(b"wss://venue.example <-> 1769596200.1\n" + b"\n".join(COINBASE) + b"\n")
    for changed in (1, 0):
        call_command("replay", provider="coinbase", file=path)
        said = capsys.readouterr().out
        assert f"venue's own  {changed} candles new or changed" in said
        assert "malformed    0" in said
        assert "quarantined  0" in said
    assert stored("SELECT trade_id, price, quantity, side FROM trade") == [(5, 2, 1, -1)]
    assert Instrument.objects.get().symbol == "BTC-USD"


def test_trades_without_ids_are_each_stored_and_the_same_again_changes_nothing(tick_tables, tmp_path):
    trade = b'{"c":["1","12"],"p":203.04,"s":"TSLA","t":1769596201000,"v":1}'
    frame = b'{"data":[%s,%s],"type":"trade"}' % (trade, trade)
    path = tmp_path / "frames"
    path.write_bytes(frame + b"\n" + frame + b"\n")
    call_command("replay", provider="finnhub", file=path)
    before = stored("SELECT trade_id, time, price, flags FROM trade ORDER BY 1")
    assert len(before) == 4
    assert {row[3] for row in before} == {IRREGULAR}
    call_command("replay", provider="finnhub", file=path)
    assert stored("SELECT trade_id, time, price, flags FROM trade ORDER BY 1") == before
    assert Instrument.objects.get().kind == "equity"


def test_a_small_recording_is_on_disk_with_its_instrument(run, tmp_path):
    path = tmp_path / "frames"
    path.write_bytes(lines(trade_frame(1, "100.25", "2"), quote_frame(5), trade_frame(2, "101.5", "1", maker=False)))
    said = run(path)
    assert stored("SELECT trade_id, price, quantity, side FROM trade ORDER BY 1") == [
        (1, 100.25, 2, -1),
        (2, 101.5, 1, 1),
    ]
    [(received,)] = stored("SELECT extract(epoch FROM received_at - time) FROM quote")
    assert received == 0
    assert stored("SELECT open, close, volume, trades, final FROM candle_1m") == [(100.25, 101.5, 3, 2, True)]
    assert Instrument.objects.get().symbol == "BTC-USDT"
    assert "trades       2 (2 on disk" in said
    assert "candles      1\n" in said


@pytest.mark.parametrize("pack", [(".gz", gzip.compress), (".zst", zstandard.compress), ("", bytes)])
def test_every_packing_is_read(run, tmp_path, pack):
    suffix, compress = pack
    path = tmp_path / f"frames{suffix}"
    path.write_bytes(compress(lines(trade_frame(1), trade_frame(2))))
    assert "trades       2 (2 on disk" in run(path)


def test_bare_json_gives_the_same_twice(run, tmp_path):
    path = tmp_path / "frames.json"
    path.write_bytes(
        b"\n".join([quote_frame(1), trade_frame(1), quote_frame(2), b"", trade_frame(2, at_us=NOW_US + SECOND_US)])
    )
    run(path)
    first = checksums()
    run(path)
    assert checksums() == first
    assert stored("SELECT count(*) FROM quote") == [(2,)]


def test_bad_lines_are_counted_kept_and_passed_over(run, tmp_path):
    path = tmp_path / "frames"
    snapshot = b'{"lastUpdateId":5,"bids":[],"asks":[]}'
    path.write_bytes(
        lines(b"{broken", trade_frame(1, "0"), snapshot, b"\xff\xfe", trade_frame(2), trade_frame(3, "-1"))
        + b"nonsense\n"
    )
    said = run(path)
    assert stored("SELECT trade_id FROM trade") == [(2,)]
    for line in ("malformed    4", "quarantined  1", "other frames 1"):
        assert line in said
    assert sorted(Quarantined.objects.values_list("reason", flat=True)) == ["bad_price"] + ["malformed_frame"] * 4


def test_a_recording_twice_leaves_the_tables_as_they_were(run, tmp_path):
    path = tmp_path / "frames"
    minute = 60 * SECOND_US
    path.write_bytes(lines(*(trade_frame(i, str(100 + i), at_us=NOW_US + i * minute // 3) for i in range(1, 30))))
    run(path)
    first = checksums()
    assert first["candle_1m"][0][0] > 5
    run(path)
    assert checksums() == first


def test_a_speed_paces_it(run, tmp_path):
    path = tmp_path / "frames"
    path.write_bytes(lines(trade_frame(1)) + b"%d %s\n" % ((NOW_US + 4 * SECOND_US) * NS, trade_frame(2)))
    began = time.monotonic()
    assert "trades       2 (2 on disk" in run(path, speed=10.0)
    assert time.monotonic() - began >= 0.4


@pytest.mark.django_db
def test_a_missing_file_or_a_truncated_one_fails_clearly(run, tmp_path):
    with pytest.raises(CommandError, match="no file"):
        run(tmp_path / "none")
    broken = tmp_path / "frames.gz"
    broken.write_bytes(gzip.compress(lines(trade_frame(1)) * 100)[:-20])
    with pytest.raises(CommandError, match="cannot be read to its end"):
        run(broken)


def test_one_replay_at_a_time(run, tmp_path, settings):
    settings.LEASE_TTL_S = 0.3
    path = tmp_path / "frames"
    path.write_bytes(lines(trade_frame(1)))
    other = leases.acquire("ingestion.listen:binance:replay", ttl_s=30)
    with pytest.raises(CommandError, match="Another replay"):
        run(path)
    other.release()
    assert "trades       1 (1 on disk" in run(path)


def test_the_real_recording_is_on_disk_exactly_and_twice_the_same(run):
    path = RECORDINGS / "hftbacktest" / "spot" / "btcusdt_20240808.gz"
    if not path.exists():
        pytest.skip(f"no recording at {path}: set TAPEHOUSE_RECORDINGS")
    expected = json.loads((RECORDINGS / "EXPECTED.json").read_text())["hftbacktest_spot"]["btcusdt_20240808"]
    run(path)

    [(trades, volume, vwap)] = stored(
        "SELECT count(*), sum(q), sum(p * q) / sum(q) FROM (SELECT price::numeric p, quantity::numeric q FROM trade) t"
    )
    assert (trades, f"{volume:.8f}", f"{vwap:.8f}") == (9757, expected["base_volume"], expected["vwap"])
    assert stored("SELECT count(*) FROM quote") == [(expected["kinds"]["btcusdt@bookTicker"],)]
    bars = stored(
        "SELECT extract(epoch FROM time)::int8, open, high, low, close, volume, trades, final FROM candle_1m ORDER BY 1"
    )
    assert {str(at): [*(f"{x:.8f}" for x in bar[:5]), bar[5]] for at, *bar in bars} == expected["minute_bars_by_T"]
    assert all(bar[-1] for bar in bars)

    first = checksums()
    run(path)
    assert checksums() == first


def test_it_is_a_command(tick_tables, tmp_path):
    """Refusals are the command line's: a status, and a sentence."""
    done = subprocess.run(
        [sys.executable, "manage.py", "replay", "--provider", "nowhere", "--file", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "nowhere" in done.stderr
