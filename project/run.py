"""`make run`: the stores, the tables, the demo data, then every service under one supervisor.

python -m project.run
"""

import asyncio
import contextlib
import hashlib
import json
import os
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from project import progress
from project.localservices import FolderInUse, LocalServices, ServiceFailed, locked
from project.supervisor import Printer, Program, Supervisor
from project.web import AddressTaken, listen

ROOT = Path(__file__).resolve().parent.parent
READY_INTERVAL_S = 0.5
# After so long without being ready, say what is missing; and again after as long.
READY_PATIENCE_S = 60.0

# In the order they end: first what asks for work, then what serves people, then what does the work.
STAGES = (("beat", "flower"), ("web",), ("worker", "residents"))


def data_folder() -> Path:
    return Path(os.environ.get("DATA_DIR") or ROOT / ".data").resolve()


def claim_addresses() -> None:
    """Raises AddressTaken before anything is started, rather than in the middle of it."""
    host = os.environ.get("HOST", "127.0.0.1")
    listen(host, _port("PORT", 8000), "PORT").close()
    listen(os.environ.get("FLOWER_HOST", "127.0.0.1"), _port("FLOWER_PORT", 5555), "FLOWER_PORT").close()


def _port(variable: str, default: int) -> int:
    given = os.environ.get(variable) or str(default)
    if not given.isdigit() or not 0 < int(given) < 65536:
        raise SystemExit(f"{variable}={given} is not a port: give a number from 1 to 65535.")
    return int(given)


@contextlib.contextmanager
def stores(folder: Path) -> Iterator[None]:
    """PostgreSQL and Redis in the environment: those given, else our own, which end when this does."""
    services = LocalServices(folder, journal_max_bytes=int(os.environ.get("JOURNAL_MAX_BYTES") or 0))
    ours: list[tuple[str, str, Callable[[], str], Callable[[], None]]] = [
        ("PostgreSQL", "DATABASE_URL", services.postgres.start, services.postgres.stop),
        ("Redis", "REDIS_URL", services.redis.start, services.redis.stop),
    ]
    with contextlib.ExitStack() as stack:
        for title, variable, start, stop in ours:
            if os.environ.get(variable):
                print(f"  {title}: the one that {variable} names")
                continue
            stack.callback(stop)
            with progress.step(f"start {title}"):
                os.environ[variable] = start()
        os.environ.setdefault("REDIS_PREFIX", _prefix(folder))
        _leave_addresses(folder)
        yield


def _prefix(folder: Path) -> str:
    """Installations that share a Redis must not share its keys and channels."""
    return f"tapehouse-{hashlib.sha256(str(folder).encode()).hexdigest()[:8]}"


def _leave_addresses(folder: Path) -> None:
    """For `manage.py`, see settings.py. Readable by the owner alone: there are passwords in it."""
    text = "".join(f"{name}={os.environ[name]}\n" for name in ("DATABASE_URL", "REDIS_URL", "REDIS_PREFIX"))
    text += f"DEVELOPMENT={os.environ.get('DEVELOPMENT', '')}\n"
    path = folder / "addresses.env"
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def programs() -> list[list[Program]]:
    """One program a service, in the groups in which they end."""
    supervised = {"TAPEHOUSE_SUPERVISOR": str(os.getpid())}
    return [
        [Program(name, [sys.executable, "-m", "project.service", name], environment=supervised) for name in stage]
        for stage in STAGES
    ]


async def supervise() -> None:
    """Run the services until SIGINT, SIGTERM or SIGHUP."""
    stages = programs()
    printer = Printer(sys.stdout, [program.name for stage in stages for program in stage])
    supervisor = Supervisor(stages, printer)

    def stop() -> None:
        if not supervisor.stopping.is_set():
            printer.write("\nStopping …")
        supervisor.stop()

    loop = asyncio.get_running_loop()
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(sign, stop)
    await supervisor.run(beside=lambda: announce(printer))


async def announce(printer: Printer) -> None:
    """Print the addresses once the installation is of use; meanwhile, now and then, what is missing."""
    waited_s = 0.0
    while True:
        answer = await asyncio.to_thread(readiness)
        if answer.get("ready"):
            printer.write(banner())
            return
        await asyncio.sleep(READY_INTERVAL_S)
        waited_s += READY_INTERVAL_S
        if waited_s >= READY_PATIENCE_S:
            printer.write(f"Not ready yet: {missing(answer)}")
            waited_s = 0.0


def readiness() -> dict[str, Any]:
    """What /readyz says; empty while it says nothing."""
    try:
        with urllib.request.urlopen(f"{_address()}/readyz", timeout=5) as answer:  # noqa: S310 our own address
            told: dict[str, Any] = json.load(answer)
    except urllib.error.HTTPError as refusal:
        told = _json_or_nothing(refusal)
    except (OSError, ValueError):
        told = {}
    return told


def _json_or_nothing(refusal: urllib.error.HTTPError) -> dict[str, Any]:
    with refusal, contextlib.suppress(ValueError):
        told: dict[str, Any] = json.load(refusal)
        return told
    return {}


def missing(answer: dict[str, Any]) -> str:
    """The checks that fail, with what they say."""
    failing = {name: check for name, check in answer.get("checks", {}).items() if not check["ok"]}
    return ", ".join(f"{name} {_detail(check)}" for name, check in failing.items()) or "the web does not answer"


def _detail(check: dict[str, Any]) -> str:
    told = next((check[name] for name in ("error", "missing", "silent", "late") if check.get(name)), "")
    return f"({', '.join(told) if isinstance(told, list) else told})"


def _address() -> str:
    host = os.environ.get("HOST", "127.0.0.1")
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104
    return f"http://{shown}:{_port('PORT', 8000)}"


def banner() -> str:
    rows = [
        ("the page", f"{_address()}/", "demo / demo" if _development() else ""),
        ("the admin", f"{_address()}/admin/", "admin / admin" if _development() else ""),
        ("Flower", f"http://127.0.0.1:{_port('FLOWER_PORT', 5555)}/", _flower_login()),
    ]
    width = max(len(address) for _, address, _ in rows)
    text = [f"  {title:9}  {address:{width}}  {login}".rstrip() for title, address, login in rows]
    rule = "─" * 64
    return "\n".join(["", rule, "  Tapehouse is running. Ctrl-C stops it; the data stays.", "", *text, rule, ""])


def _development() -> bool:
    return os.environ.get("DEVELOPMENT", "").lower() in ("1", "true", "yes", "on")


def _flower_login() -> str:
    return "admin / admin" if _development() and "FLOWER_BASIC_AUTH" not in os.environ else ""


def _interrupt(*_signal: object) -> None:
    raise KeyboardInterrupt


def _on_signals(handler: Any) -> None:
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, handler)


def main() -> int:
    folder = data_folder()
    _on_signals(_interrupt)
    try:
        claim_addresses()
        with locked(folder), stores(folder):
            with progress.step("bring the database up to date"):
                progress.run([sys.executable, "-m", "project.service", "migrate"], cwd=ROOT)
            asyncio.run(supervise())
            _on_signals(signal.SIG_IGN)  # an impatient second Ctrl-C must not leave the stores running
    except KeyboardInterrupt:
        return 0
    except (AddressTaken, FolderInUse, ServiceFailed, progress.StepFailed) as failure:
        print(f"\n{failure}", file=sys.stderr)
        return 1
    _farewell()
    return 0


def _farewell() -> None:
    try:
        print("Stopped.", flush=True)
    except BrokenPipeError:  # nobody reads, as after `make run | head`: nor at exit shall Python complain of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    raise SystemExit(main())
