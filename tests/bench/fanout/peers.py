"""Who is compared: how each server is started, how its clients subscribe, and how its updates are published."""

import dataclasses
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
NODE_PACKAGES = ("ws", "socket.io", "@socket.io/redis-adapter", "redis")
NGINX_PACKAGES = ("nginx-light", "libnginx-mod-nchan")
NCHAN_MODULE = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")


def cache() -> Path:
    """Where the peers that the registries have are installed; outside the repository."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tapehouse-bench"
    return Path(os.environ.get("BENCH_PEERS_DIR") or default)


def _always() -> str:
    return ""


def _no_conversation(_symbols: list[str]) -> list[list[str]]:
    return []


@dataclass(frozen=True)
class Peer:
    """key: its name on the command line. absent: why it can't take part, or nothing.

    steps: what a client says after having read what; ready: what it has read when it is subscribed.
    share: of the rate at which the others are loaded. environment: for its server.
    """

    key: str
    title: str
    way: str
    command: Callable[[int], list[str]]
    absent: Callable[[], str] = _always
    path: Callable[[list[str]], str] = lambda _symbols: "/ws/"
    steps: Callable[[list[str]], list[list[str]]] = _no_conversation
    ready: str = "subscribed"
    share: float = 1.0
    environment: dict[str, str] = field(default_factory=dict)


def subscribing(**more: object) -> Callable[[list[str]], list[list[str]]]:
    """One message of the core protocol, once the handshake is over."""

    def steps(symbols: list[str]) -> list[list[str]]:
        data = {"topics": [f"bench:{symbol}" for symbol in symbols], **more}
        return [[" 101 ", json.dumps({"type": "subscribe", "data": data})]]

    return steps


def tapehouse(title: str = "Tapehouse", **more: object) -> Peer:
    """Without an interval of the client's own: STREAM_INTERVAL_MS=0 sends each update by itself, as the others do."""
    environment = {
        "ANONYMOUS_MARKET_DATA": "true",
        "MAX_CONNECTIONS_PER_ADDRESS": "1000000",
        "STREAM_INTERVAL_MS": "0",
    }
    return Peer(
        "tapehouse", title, "tapehouse", _python("tapehouse"),
        path=lambda _symbols: "/ws/realtime/", steps=subscribing(**more), environment=environment,
    )  # fmt: skip


def variant(key: str, title: str) -> Peer:
    """Tapehouse otherwise than it is run."""
    return dataclasses.replace(tapehouse(title), key=key, command=_python(key))


def _python(server: str) -> Callable[[int], list[str]]:
    return lambda port: [sys.executable, "-m", "tests.bench.fanout.servers", server, str(port)]


def _node(script: str) -> Callable[[int], list[str]]:
    return lambda port: ["node", str(HERE / script), str(port)]


def _nchan(port: int) -> list[str]:
    """One process of nginx, configured by a file of its own."""
    folder = cache() / "nchan"
    folder.mkdir(parents=True, exist_ok=True)
    configuration = folder / "nginx.conf"
    configuration.write_text(
        f"""load_module {NCHAN_MODULE};
        daemon off; master_process off; worker_rlimit_nofile 20000;
        pid {folder}/nginx.pid; error_log stderr error;
        events {{ worker_connections 16000; }}
        http {{
            access_log off; keepalive_requests 100000000; client_body_temp_path {folder}/body;
            server {{
                listen 127.0.0.1:{port} backlog=4096;
                location = /publish {{
                    nchan_publisher; nchan_channel_id $arg_id; nchan_message_buffer_length 10;
                }}
                location = /ws/ {{
                    nchan_subscriber websocket;
                    nchan_channel_id $arg_ids; nchan_channel_id_split_delimiter ",";
                    nchan_subscriber_first_message newest;
                }}
            }}
        }}
        """
    )
    return ["nginx", "-p", str(folder), "-c", str(configuration)]


def _without_nchan() -> str:
    if shutil.which("nginx") is None:
        return "nginx is not installed (apt install nginx libnginx-mod-nchan)"
    return "" if NCHAN_MODULE.exists() else "nginx has no nchan module (apt install libnginx-mod-nchan)"


def _without_picows() -> str:
    sys.path.append(str(cache() / "python"))
    try:
        found = importlib.util.find_spec("picows")
    finally:
        sys.path.remove(str(cache() / "python"))
    return "" if found else "the Python package picows is not installed"


def _without_node(*packages: str) -> Callable[[], str]:
    def absent() -> str:
        if shutil.which("node") is None:
            return "node is not installed"
        missing = [package for package in packages if not (cache() / "node_modules" / package).exists()]
        return f"the node packages {', '.join(missing)} are not installed" if missing else ""

    return absent


def _socketio(symbols: list[str]) -> list[list[str]]:
    return [["0{", "40"], ["40{", "42" + json.dumps(["subscribe", symbols])]]


# The usual way can't take the load of the others: it gets a tenth of it.
PEERS = [
    tapehouse(),
    Peer("core", "usual way, core layer", "core", _python("core"), steps=subscribing(), share=0.1),
    Peer("pubsub", "usual way, pub/sub layer", "pubsub", _python("pubsub"), steps=subscribing(), share=0.1),
    Peer(
        "socketio", "socket.io with Redis", "redis", _node("socketio.js"),
        _without_node("socket.io", "@socket.io/redis-adapter", "redis"),
        path=lambda _symbols: "/socket.io/?EIO=4&transport=websocket", steps=_socketio,
    ),
    Peer("ws", "node ws, bare", "redis", _node("ws.js"), _without_node("ws", "redis"), steps=subscribing()),
    Peer(
        "nchan", "nginx nchan", "http", _nchan, _without_nchan,
        path=lambda symbols: f"/ws/?ids={','.join(symbols)}", ready=" 101 ",
    ),
    Peer("picows", "picows, bare", "redis", _python("picows"), _without_picows, steps=subscribing()),
    Peer("sends", "a bare loop of send()", "redis", _python("sends"), steps=subscribing()),
    variant("nagle", "Tapehouse, Nagle's algorithm as nchan"),
    variant("uvloop", "Tapehouse on uvloop alone"),
]  # fmt: skip


def environment() -> dict[str, str]:
    """Where the servers find what was installed for them."""
    own = str(HERE.parents[2])
    return {
        "NODE_PATH": str(cache() / "node_modules"),
        "PYTHONPATH": os.pathsep.join(filter(None, (own, os.environ.get("PYTHONPATH"), str(cache() / "python")))),
    }


def install() -> None:
    """Bring the peers from their registries into the cache folder; nginx from apt, where we may."""
    cache().mkdir(parents=True, exist_ok=True)
    if shutil.which("npm"):
        _run("npm", "install", "--no-audit", "--no-fund", "--prefix", str(cache()), *NODE_PACKAGES)
    _run(*_pip(), "--target", str(cache() / "python"), "picows")
    if _without_nchan() and os.geteuid() == 0 and shutil.which("apt-get"):
        # At this run level Debian installs a service without starting it.
        _run("env", "RUNLEVEL=1", "apt-get", "install", "--yes", "--no-install-recommends", *NGINX_PACKAGES)


def _pip() -> list[str]:
    """The environment of `make` is made by uv, and has no pip."""
    uv = Path(sys.executable).with_name("uv")
    if uv.exists():
        return [str(uv), "pip", "install", "--python", sys.executable]
    return [sys.executable, "-m", "pip", "install"]


def _run(*command: str) -> None:
    """A peer that can't be installed is absent, no more."""
    print("  " + " ".join(command))
    if subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode != 0:
        print("  failed; it will be named as absent")
