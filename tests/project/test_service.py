"""What starts each service, here and in containers."""

import os
import re
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from django.core.exceptions import ImproperlyConfigured

from project import run, service
from worker import queues

ROOT = Path(service.__file__).parent.parent
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
OURS = {name: given for name, given in COMPOSE["services"].items() if "project.service" in given.get("command", [])}


def test_one_worker_serves_every_queue_but_the_residents():
    assert set(service.QUEUES["worker"]) == set(queues.NAMES) - {queues.RESIDENT}
    assert service.QUEUES["residents"] == (queues.RESIDENT,)


def test_the_split_workers_serve_what_the_whole_one_does():
    split = [queue for name, served in service.QUEUES.items() if name.startswith("worker-") for queue in served]
    assert sorted(split) == sorted(service.QUEUES["worker"])


def test_make_run_starts_every_service_once():
    names = [program.name for stage in run.programs() for program in stage]
    assert sorted(names) == ["beat", "flower", "residents", "web", "worker"]


@pytest.mark.parametrize("name", service.QUEUES)
def test_a_worker_neither_mingles_nor_prefetches(name):
    command = service.command(name)
    assert {"--without-mingle", "--without-gossip", "threads", f"{name}@%h"} <= set(command)
    assert command[command.index("--prefetch-multiplier") + 1] == "1"


def test_the_login_of_flower_is_not_on_its_command_line(settings):
    settings.FLOWER_BASIC_AUTH = "someone:secret"
    assert "secret" not in " ".join(service.command("flower"))
    assert service.environment("flower") == {"FLOWER_BASIC_AUTH": "someone:secret"}


def test_flower_without_a_login_is_refused(settings):
    settings.FLOWER_BASIC_AUTH = ""
    with pytest.raises(ImproperlyConfigured, match="FLOWER_BASIC_AUTH"):
        service.environment("flower")


def test_the_demo_is_for_development_only(settings):
    settings.DEVELOPMENT = True
    assert ["load_demo"] in service._setup_steps()
    settings.DEVELOPMENT = False
    assert ["load_demo"] not in service._setup_steps()


def test_a_service_ends_with_a_supervisor_that_is_killed(tmp_path):
    """The supervisor's pid in the environment is what ties a service to it."""
    become = (
        "import subprocess, sys, os\n"
        "from project import service\n"
        "code = 'from project import service; service._end_with_supervisor(); print(1, flush=True); input()'\n"
        "os.environ[service.SUPERVISOR] = str(os.getpid())\n"
        "child = subprocess.Popen([sys.executable, '-c', code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "print(child.pid, flush=True)\n"
        "child.wait()\n"
    )
    with subprocess.Popen([sys.executable, "-c", become], cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        child = int(parent.stdout.readline())
        watch = os.pidfd_open(child)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    try:
        assert _ends(watch, timeout_s=10)
    finally:
        os.close(watch)


def _ends(pidfd: int, timeout_s: float) -> bool:
    return bool(select.select([pidfd], [], [], timeout_s)[0])


# --- docker-compose.yml and the Dockerfile ---


def test_compose_starts_the_services_that_make_run_starts():
    started = {name: given["command"][-1] for name, given in OURS.items()}
    assert all(name == command for name, command in started.items())
    assert set(started) <= set(service.NAMES)
    served = [queue for name in started for queue in service.QUEUES.get(name, ())]
    assert sorted(served) == sorted(queues.NAMES)
    assert {"web", "beat", "flower", "migrate"} <= set(started)


def test_compose_checks_the_health_of_each_and_waits_for_the_tables():
    for name, given in OURS.items():
        if name == "migrate":
            continue
        assert given["healthcheck"]["test"] == ["CMD", "python", "-m", "project.service", "check", name]
        assert given["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
    assert all(COMPOSE["services"][store]["healthcheck"] for store in ("database", "redis"))


def test_compose_refuses_to_start_without_its_secrets():
    text = (ROOT / "docker-compose.yml").read_text()
    for secret in ("SECRET_KEY", "POSTGRES_PASSWORD", "REDIS_PASSWORD", "FLOWER_BASIC_AUTH"):
        assert set(re.findall(rf"\$\{{{secret}(:\?)", text)) == {":?"}, secret


def test_compose_publishes_on_loopback_unless_told_otherwise():
    published = [port for given in COMPOSE["services"].values() for port in given.get("ports", [])]
    assert published
    assert all(port.startswith(("127.0.0.1:", "${BIND_ADDRESS:-127.0.0.1}:")) for port in published)


def test_the_redis_of_compose_never_evicts_and_holds_twice_the_journal(settings):
    command = COMPOSE["services"]["redis"]["command"]
    assert "--maxmemory-policy noeviction" in command
    assert "--maxmemory 1gb" in command
    assert 2 * settings.JOURNAL_MAX_BYTES <= 1024**3


def test_the_image_holds_every_package_and_runs_as_a_plain_user():
    dockerfile = (ROOT / "Dockerfile").read_text()
    ignored = (ROOT / ".dockerignore").read_text().split()
    for package in ("worker", "streaming", "ingestion", "portfolio", "signals", "beat", "project"):
        assert f"COPY {package}/ {package}/" in dockerfile
        assert f"!{package}" in ignored
    assert dockerfile.index("USER tapehouse") < dockerfile.index("CMD ")


@pytest.mark.parametrize("lock", sorted(path.name for path in (ROOT / "requirements").glob("*.lock")))
def test_locks_hold_hashes_and_no_addresses(lock):
    text = (ROOT / "requirements" / lock).read_text()
    assert "://" not in text
    pinned = re.findall(r"^[\w.-]+(?:\[[\w,-]+\])?==", text, re.M)
    assert pinned
    assert len(pinned) == len(re.findall(r"^[\w.-]+(?:\[[\w,-]+\])?==[^\n]*\\\n    --hash=sha256:", text, re.M))
