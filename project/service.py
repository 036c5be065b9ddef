"""The one place that knows how each service is started; `make run` and docker-compose.yml both use it.

python -m project.service NAME          become the service
python -m project.service check NAME    exit 0 if it serves, else 1 and why (for container health checks)
"""

import argparse
import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import django
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command

ROOT = Path(__file__).resolve().parent.parent
SUPERVISOR = "TAPEHOUSE_SUPERVISOR"  # the pid of the supervisor, if there is one

# The queues of each worker. `worker` serves all task queues; the others split them into a process each.
QUEUES = {
    "worker": ("control", "polling", "backfill", "portfolio", "signals", "notifications"),
    "worker-market": ("control", "polling", "backfill"),
    "worker-portfolio": ("portfolio",),
    "worker-signals": ("signals", "notifications"),
    "residents": ("resident",),
}
# Residents keep a thread for as long as they live: more threads than residents, or the last one waits for ever.
THREADS = {"residents": 32}
TASK_THREADS = 8

NAMES = ("web", *QUEUES, "beat", "flower", "migrate")


def command(name: str) -> list[str]:
    """What the service runs, without the interpreter."""
    if name in QUEUES:
        return _worker(name)
    return {"web": ["-m", "project.web"], "beat": _BEAT, "flower": _flower()}[name]


# The scheduler holds a lease (beat/scheduler.py); a pid file would only keep beat from starting after a kill -9.
_BEAT = ["-m", "celery", "-q", "-A", "worker", "beat", "--pidfile="]
# Celery warns of pickled messages run as root. Ours are JSON.
_NO_WARNING_OF_ROOT = ["-W", "ignore:You're running the worker with superuser"]


def _worker(name: str) -> list[str]:
    """Mingle and gossip are off: with them a worker may stay deaf after a black hole (docs/operations.md)."""
    return [
        *_NO_WARNING_OF_ROOT,
        *("-m", "celery", "-q", "-A", "worker", "worker", "-n", f"{name}@%h", "-Q", ",".join(QUEUES[name])),
        *("-P", "threads", "-c", str(THREADS.get(name, TASK_THREADS)), "--prefetch-multiplier", "1"),
        *("-E", "--without-mingle", "--without-gossip"),
    ]


def _flower() -> list[str]:
    address = [f"--address={settings.FLOWER_HOST}", f"--port={settings.FLOWER_PORT}"]
    return ["-m", "celery", "-A", "worker", "flower", *address]


def _setup_steps() -> list[list[str]]:
    steps = [["migrate", "--noinput"], ["sync_schedule"]]
    return [*steps, ["load_demo"]] if settings.DEVELOPMENT else steps


def migrate() -> None:
    """Bring the database up to date: tables, schedule and, in development, the demo data. Safe to repeat."""
    django.setup()
    for name, *options in _setup_steps():
        call_command(name, *options)


def environment(name: str) -> dict[str, str]:
    """What the service needs beyond what it inherits. A login is not for the command line, where `ps` shows it."""
    if name != "flower":
        return {}
    if not settings.FLOWER_BASIC_AUTH:
        raise ImproperlyConfigured("Flower can run and revoke tasks: set FLOWER_BASIC_AUTH to user:password.")
    return {"FLOWER_BASIC_AUTH": settings.FLOWER_BASIC_AUTH}


def become(name: str) -> None:
    """Replace this process by the service."""
    os.chdir(ROOT)
    _end_with_supervisor()
    arguments = [sys.executable, *command(name)]
    os.execve(sys.executable, arguments, os.environ | environment(name))  # noqa: S606


def _end_with_supervisor() -> None:
    """Let the kernel send SIGTERM when the supervisor dies, even by kill -9: no orphan keeps a port or a lease."""
    if SUPERVISOR not in os.environ or sys.platform != "linux":
        return
    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)
    if os.getppid() != int(os.environ[SUPERVISOR]):  # it died before the call
        raise SystemExit(1)


def main(arguments: Sequence[str] | None = None) -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    parser = argparse.ArgumentParser(prog="python -m project.service", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("names", nargs="+", choices=("check", *NAMES), metavar="[check] NAME", help=", ".join(NAMES))
    names = parser.parse_args(arguments).names
    if names[0] == "check" and len(names) == 2:
        return _check(names[1])
    if len(names) != 1 or names[0] == "check":
        parser.error("one service at a time")
    if names[0] == "migrate":
        migrate()
    else:
        become(names[0])
    return 0


def _check(name: str) -> int:
    django.setup()
    from project import health  # its models want Django set up

    problem = health.problem_of(name)
    sys.stdout.write(f"{problem or 'ok'}\n")
    return 1 if problem else 0


if __name__ == "__main__":
    raise SystemExit(main())
