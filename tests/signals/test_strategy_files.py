"""Files that do what they may not: each is contained with a message, in a real process, and the others go on."""

import os
import re
import textwrap
from datetime import UTC, datetime, timedelta
from io import StringIO

import msgspec
import pytest
from django.core.management import CommandError, call_command

from ingestion import store
from signals import evaluation, strategy_files
from signals.models import Notification, Signal, StrategyFile
from signals.sandbox import Limits, Misbehaved, Sandbox
from signals.strategies import InvalidParameters, UnknownStrategy
from tests.processes import ROOT, wait_for

from .conftest import CLOSED, make_bars, market

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
LIMITS = Limits(call_s=0.3, load_s=10.0, check_s=10.0, memory_max_bytes=1 << 30)
# With WARMUP, ADVICE and what else a test puts in.
FILE = """
from dataclasses import dataclass

from signals.strategies.strategy import Ranges, advise


@dataclass(frozen=True)
class Green:
    '''BUY after a bar that rose.'''

    period: int = 20
    level: float = 1.5
    name: str = "green"

    @property
    def warmup(self):
        return self.period + 1

    def evaluate(self, candles):
        candles = candles.last(self.warmup)
        if len(candles) < self.warmup or candles.close[-1] <= candles.open[-1]:
            return None
        {does}
        return advise(candles, 1, 0.3, "It rose.", Ranges(period=self.period))
"""
CANDLES = market(60)
RISING = CANDLES.until(next(n for n in range(40, 60) if CANDLES.close[n - 1] > CANDLES.open[n - 1]))


def file_that(does="pass"):
    return FILE.format(does=textwrap.indent(textwrap.dedent(does).strip(), " " * 8).strip()).encode()


# What it does, and what its author is told.
CONTAINED = [
    ("1 / 0", r"ZeroDivisionError in line \d+: division by zero"),
    ("def again(): again()\nagain()", "RecursionError"),
    ("import sys; sys.exit(3)", "SystemExit"),
    ("import os; os._exit(3)", r"ended its own process \(exit code 3\)"),
    ("import os; os.kill(os.getpid(), 9)", "not do this: os.kill"),
    ("import faulthandler; faulthandler._sigsegv()", "SIGSEGV"),
    ("while True: pass", "longer than 0.3 s"),
    ("import time; time.sleep(60)", "longer than 0.3 s"),
    ("hoard = bytearray(10 * 2**30)", "MemoryError"),
    ("import os; os.fork()", "not do this: os.fork"),
    ("import subprocess; subprocess.run(['true'])", "not do this: subprocess"),
    ("import socket; socket.create_connection(('127.0.0.1', 1))", "not do this: socket"),
    ("import ctypes; ctypes.CDLL(None)", "not do this: ctypes"),
    ("import os; os.remove('/tmp/precious')", "not do this: os.remove"),
    ("open('/tmp/diary', 'a')", "not write files"),
    ("open('/proc/self/environ').read()", "not read files"),
    ("import os; os.write(4, b'garbage!' * 99)", "stopped"),
    ("return 5", "gives a int"),
]
NONSENSE = [
    ("entry_price=float('nan')", "entry price is no price"),
    ("stop_loss=candles.close[-1] + 1", "stop lies on the wrong side"),
    ("target_price=float('inf')", "target is no price"),
    ("time_us=candles.closed_us - 1", "another time than the close"),
    ("confidence_score=101", "confidence lies outside"),
    ("signal_type='HODL'", "neither BUY nor SELL"),
    ("strength='HUGE'", "strength is"),
    ("expires_us=10**18", "holds for more than"),
    ("expires_us=10**30", "OverflowError"),
    ("reason=None", "advice is none"),
    ("entry_price='high'", "advice is none"),
    ("reason=[1]", "is a list"),
]
CASES = CONTAINED + [
    (f"import msgspec\nreturn msgspec.structs.replace(advise(candles, 1, 0.3, '', Ranges()), {changed})", why)
    for changed, why in NONSENSE
]


@pytest.fixture(scope="module")
def sandbox():
    """All cases in one file: `level` says which."""
    cases = "".join(
        f"if self.level == {at}:\n{textwrap.indent(does, '    ')}\n" for at, (does, _) in enumerate(CASES, 100)
    )
    sandbox = Sandbox(file_that(cases), LIMITS)
    yield sandbox
    sandbox.close()


def test_it_is_asked_as_one_of_ours(sandbox):
    advice = sandbox.evaluate({}, RISING)
    assert (advice.signal_type, advice.time_us, advice.reason) == ("BUY", RISING.closed_us, "It rose.")


@pytest.mark.parametrize("case", range(len(CASES)), ids=[does for does, _ in CASES])
def test_what_it_may_not_is_contained(sandbox, case):
    with pytest.raises(Misbehaved, match=CASES[case][1]):
        sandbox.evaluate({"level": 100 + case}, RISING)
    assert sandbox.evaluate({}, RISING)  # anew, if it had to be killed


def test_what_it_prints_reaches_nobody_and_it_knows_nothing_of_us(capfd, monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "xyzzy")
    does = """
        import os, sys
        print("garbage" * 10_000); sys.stderr.write("more"); os.write(1, b"more still")
        secrets = [name for name in os.environ if name not in ("LANG", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")]
        return advise(candles, 1, 0.3, f"{secrets} {os.getcwd()}", Ranges(period=self.period))
    """
    sandbox = Sandbox(file_that(does), LIMITS)
    assert sandbox.evaluate({}, RISING).reason == "[] /"
    sandbox.close()
    assert capfd.readouterr() == ("", "")


def test_what_it_started_is_killed_with_it():
    does = """
        import _posixsubprocess, os  # below what is refused
        ends = os.pipe()
        fork = _posixsubprocess.fork_exec
        fork(["/bin/sleep", "100"], [b"/bin/sleep"], True, (), None, None, -1, -1, -1, -1, -1, -1, *ends,
             True, False, 0, None, None, None, -1, None, False)
        while True: pass
    """
    sandbox = Sandbox(file_that(does), LIMITS)
    sandbox.describe()
    group = sandbox._process.pid
    with pytest.raises(Misbehaved, match=r"longer|raises"):
        sandbox.evaluate({}, RISING)
    sandbox.close()
    wait_for(lambda: not _is_alive(group), timeout_s=5)


def _is_alive(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


# --- The folder -------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path, settings, db):
    """folder({"name.py": source}) makes these the files, and looks at them."""
    settings.STRATEGY_DIR = tmp_path
    settings.STRATEGY_CALL_TIMEOUT_S = 0.5
    settings.STRATEGY_CHECK_BARS = 40

    def folder(files):
        for old in tmp_path.iterdir():
            old.unlink()
        for name, source in files.items():
            (tmp_path / name).write_bytes(source)
        return {row.path: row for row in strategy_files.refresh(NOW)}

    yield folder
    strategy_files.close()


def fails_at(strategy, candles):
    with pytest.raises(Misbehaved) as failed:
        strategy.evaluate(candles)
    return str(failed.value)


def test_a_good_file_becomes_a_strategy(folder):
    row = folder({"mine.py": file_that(), "_notes.py": b"1 / 0", "readme.txt": b""})["mine.py"]
    assert (row.status, row.checked_at) == ("ok", NOW)
    assert row.message.startswith("Checked on 61 bars of a simulated market (1m): it spoke at ")
    strategy = strategy_files.available()["green"]
    assert (strategy.name, strategy.warmup, strategy.defaults) == ("green", 21, {"period": 20, "level": 1.5})
    assert strategy.evaluate(RISING).reason == "It rose."
    assert strategy.evaluate(RISING.last(20)) is None
    assert strategy_files.refresh(NOW) == []  # it has not changed


def test_parameters_by_name(folder):
    folder({"mine.py": file_that()})
    strategy = strategy_files.make("green", {"period": 9})
    assert (strategy.warmup, strategy.evaluate(RISING).signal_type) == (10, "BUY")
    for parameters, why in [
        ({"period": 2.5}, "whole"), ({"speed": 1}, "no parameter"), ({"level": "1"}, "is a number"),
        ({"period": 10_000}, "between 1 and"), ({"period": -5}, "between 1 and"),
    ]:  # fmt: skip
        with pytest.raises(InvalidParameters, match=why):
            strategy_files.make("green", parameters)
    with pytest.raises(UnknownStrategy):
        strategy_files.make("blue", {})


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (b"class Mine(", "SyntaxError in line 1"),
        (b"x = 1", "holds no strategy"),
        (file_that() + b"\nclass Other(Green): pass\n", "several strategies: Green, Other"),
        (file_that().replace(b'"green"', b'"sma_cross"'), "come with Tapehouse"),
        (file_that().replace(b"1.5", b"'a'"), "needs a number as default"),
        (file_that().replace(b"self.period + 1", b"0"), "lies between"),
        (
            file_that().replace(
                b"candles = candles.last(self.warmup)",
                b"whole = candles.close.base if candles.close.base is not None else candles.close\n"
                b"        if whole[-1] > whole[0]: return None",
            ),
            "It looks ahead",
        ),
        (
            file_that().replace(b"candles = candles.last(self.warmup)", b"if len(candles) > 30: return None"),
            "It needs more than the 21 bars",
        ),
        (b"#" * 300_000, "longer than"),
    ],
)  # fmt: skip
def test_a_file_that_breaks_the_rules_is_refused(folder, source, why):
    row = folder({"mine.py": source})["mine.py"]
    assert row.status == "refused"
    assert why in row.message
    assert strategy_files.available() == {}


def test_one_that_fails_again_and_again_is_switched_off_until_it_changes_and_the_others_go_on(folder, settings):
    settings.STRATEGY_FAILURES_MAX = 2
    fails = file_that("if candles.volume[-1] == 7: raise ValueError('seven')").replace(b'"green"', b'"touchy"')
    folder({"mine.py": file_that(), "touchy.py": fails})
    strategies = strategy_files.available()
    seven = msgspec.structs.replace(RISING, volume=RISING.volume * 0 + 7)
    touchy = strategies["touchy"]
    assert fails_at(touchy, seven) == "It raises ValueError in line 23: seven"
    row = StrategyFile.objects.get(path="touchy.py")
    assert (row.status, row.failures) == ("ok", 1)
    assert "ValueError in line 23: seven" in row.message
    assert touchy.evaluate(RISING)  # a success in between: the count begins anew
    assert StrategyFile.objects.get(path="touchy.py").failures == 0
    assert [fails_at(touchy, candles)[:12] for candles in (seven, seven, RISING)] == [
        *["It raises Va"] * 2,
        "Switched off",
    ]
    row.refresh_from_db()
    assert row.status == "failing"
    assert "Switched off after 2 failures" in row.message
    assert strategies["green"].evaluate(RISING)
    assert set(strategy_files.available()) == {"green"}

    folder({"mine.py": file_that(), "touchy.py": fails + b"# mended"})
    assert set(strategy_files.available()) == {"green", "touchy"}


def test_two_of_one_name_and_one_that_is_gone(folder):
    rows = folder({"a.py": file_that(), "b.py": file_that()})
    assert (rows["a.py"].status, rows["b.py"].status) == ("ok", "refused")
    assert "the strategy in a.py" in rows["b.py"].message
    folder({})
    assert not StrategyFile.objects.exists()


def test_a_file_that_changed_is_not_asked_until_it_was_looked_at(folder, settings):
    folder({"mine.py": file_that()})
    (settings.STRATEGY_DIR / "mine.py").write_bytes(file_that("1 / 0"))
    assert "has changed" in fails_at(strategy_files.available()["green"], RISING)
    assert StrategyFile.objects.get().failures == 0


def test_one_that_is_slow_each_time_has_its_share_of_a_minute(folder, settings):
    settings.STRATEGY_BUDGET_S_PER_MINUTE = 0.1
    folder({"mine.py": file_that("if candles.volume[-1] == 7: __import__('time').sleep(0.1)")})
    slow = strategy_files.available()["green"]
    assert slow.evaluate(msgspec.structs.replace(RISING, volume=RISING.volume * 0 + 7))
    assert fails_at(slow, RISING) == "It has used up its 0.1 s of this minute."
    assert StrategyFile.objects.get().failures == 1


def test_staff_have_a_file_checked_again(folder, client, admin, bob):
    row = folder({"mine.py": file_that()})["mine.py"]
    page, again = "/admin/signals/strategyfile/", {"action": "check_again", "_selected_action": [row.pk]}
    client.force_login(admin)
    assert "mine.py" in client.get(page).content.decode()
    assert client.get(f"{page}add/").status_code == 403
    client.post(page, again)
    assert strategy_files.available()["green"].digest == ""
    assert [row.status for row in strategy_files.refresh(NOW)] == ["ok"]
    for other in ("finding", "signaloutcome"):
        assert client.get(f"/admin/signals/{other}/").status_code == 200
    client.force_login(bob)
    assert client.post(page, again).status_code == 302


def test_no_folder_is_no_trouble(settings, tmp_path, db):
    settings.STRATEGY_DIR = tmp_path / "nowhere"
    assert strategy_files.refresh(NOW) == []


def test_whoever_is_signed_in_makes_a_strategy_of_it_and_hears_of_its_signals(folder, client, alice, btc):
    folder({"mine.py": file_that()})
    client.force_login(alice)
    (kind,) = [kind for kind in client.get("/api/strategies/").json()["kinds"] if kind["origin"] == "file"]
    assert (kind["kind"], kind["warmup"], kind["description"]) == ("green", 21, "BUY after a bar that rose.")
    mine = {"name": "Mine", "kind": "green", "interval": "1m", "instruments": ["BTC-USD"], "parameters": {"period": 9}}
    made = client.post("/api/strategies/", mine, content_type="application/json")
    assert made.status_code == 201, made.json()
    bars = make_bars([100.0] * 30, btc.id)
    store.copy_candles([*bars[:-1], msgspec.structs.replace(bars[-1], open=99.5)])
    evaluation.run("1m", CLOSED + timedelta(seconds=5))
    signal = Signal.objects.get(strategy="green")
    assert (signal.reason, signal.private, signal.entry_price) == ("It rose.", True, 100.0)
    assert [told.user for told in Notification.objects.all()] == [alice]


def test_the_documents_example_keeps_the_rules():
    (example,) = re.findall(r"^```python\n(# mine\.py.*?)^```", (ROOT / "docs" / "signals.md").read_text(), re.M | re.S)
    look = strategy_files.look_at(example.encode(), strategy_files.simulated(400))
    assert (look.status, look.strategies[0].name) == ("ok", "three_higher")


def test_authors_check_a_file_by_command(tmp_path):
    path, told = tmp_path / "mine.py", StringIO()
    path.write_bytes(file_that())
    call_command("check_strategy", path, "--simulated", "--bars", "60", stdout=told)
    assert "green: needs 21 bars. BUY after a bar that rose." in told.getvalue()
    path.write_bytes(file_that("1 / 0"))
    with pytest.raises(CommandError, match=r"refused\. It raises ZeroDivisionError"):
        call_command("check_strategy", path, "--simulated")
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("check_strategy", tmp_path / "none.py", "--simulated")
