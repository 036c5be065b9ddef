"""Whether this installation lives (`/healthz`) and is of use (`/readyz`); each service's container health check."""

import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import redis as redis_py
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse

from ingestion import control
from ingestion import status as feed_status
from project.service import QUEUES
from worker import lease, tasks
from worker.redis import client
from worker.resident import lease_name, registry

Check = dict[str, Any]


def healthz(request: HttpRequest) -> HttpResponse:
    """200 while the process answers at all. Asks no store: a broken database is no reason to restart the web."""
    return HttpResponse("ok\n", content_type="text/plain")


def readyz(request: HttpRequest) -> JsonResponse:
    """`{"ready": bool, "checks": {name: {"ok": bool, …}}}`, 200 or 503."""
    checks = examine()
    ready = all(check["ok"] for check in checks.values())
    response = JsonResponse({"ready": ready, "checks": checks}, status=200 if ready else 503)
    # Django logs each 5xx answer as an error. A probe that is told "not yet" is no news.
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response


def examine() -> dict[str, Check]:
    """Every check; one that asks a store which is down says so instead of raising."""
    found = {"database": _checked(database), "redis": _checked(redis)}
    rest: dict[str, Callable[[], Check]] = {"residents": residents, "workers": workers, "feeds": feeds}
    for name, check in rest.items():
        needed = ("redis", "database") if name == "residents" else ("redis",)
        down = [store for store in needed if not found[store]["ok"]]
        found[name] = {"ok": False, "error": f"{down[0]} is down"} if down else _checked(check)
    return found


def _checked(check: Callable[[], Check]) -> Check:
    started_at = time.monotonic()
    try:
        result = check()
    except (DatabaseError, redis_py.RedisError, OSError) as error:
        # Its class alone: the text may hold addresses and names, and anyone may ask.
        result = {"ok": False, "error": type(error).__name__}
    return result | {"took_ms": round((time.monotonic() - started_at) * 1000, 1)}


def database() -> Check:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return {"ok": True}


def redis() -> Check:
    client(settings.READY_STORE_TIMEOUT_S).ping()
    return {"ok": True}


def residents() -> Check:
    """Whether somebody holds the lease of each resident that is wanted."""
    missing = sorted(lease_name(registration.name, shard) for registration, shard in tasks.unowned(registry.values()))
    return {"ok": not missing, "missing": missing}


def workers() -> Check:
    """Whether each queue's tasks were taken lately: an alive worker may be deaf to a broker it lost."""
    ages = {name: _rounded(age) for name, age in tasks.pulse_ages_s().items()}
    silent = sorted(name for name, age in ages.items() if age is None or age > settings.READY_WORKER_SILENCE_S)
    return {"ok": not silent, "silent": silent, "last_task_age_s": ages}


def feeds() -> Check:
    """Whether the newest tick of each feed that should run is young enough; a closed market's may be older."""
    now_us = time.time_ns() // 1000
    known = feed_status.feeds(now_us, control.running())
    told = {
        feed.provider: {"state": feed.state, "last_tick_age_s": _rounded(feed.last_tick_age_s(now_us))}
        for feed in known
    }
    late = sorted(feed.provider for feed in known if not (feed.closed or _is_young(feed.last_tick_age_s(now_us))))
    return {"ok": not late, "late": late, "feeds": told}


def _is_young(age_s: float | None) -> bool:
    return age_s is not None and age_s <= settings.READY_TICK_AGE_S


def _rounded(age_s: float | None) -> float | None:
    return None if age_s is None else round(age_s, 3)


# --- Container health checks ----------------------------------------------------------------------------------------


def problem_of(name: str) -> str | None:
    """What is wrong with the service (a name of `service.NAMES`), None if it serves."""
    try:
        if name == "web":
            return _http_problem(settings.PORT, "/healthz")
        if name == "flower":
            return _http_problem(settings.FLOWER_PORT, "/healthcheck")
        if name == "beat":
            return _silence(["control"]) or (None if lease.holder("beat") else "nobody holds the beat lease")
        return _silence(QUEUES[name])
    except redis_py.RedisError as error:
        return f"redis: {error}"


def _silence(queues: "tuple[str, ...] | list[str]") -> str | None:
    ages = tasks.pulse_ages_s()
    for queue in queues:
        age = ages[queue]
        if age is None or age > settings.READY_WORKER_SILENCE_S:
            return f"no task of the queue {queue} was taken " + ("ever" if age is None else f"for {age:.0f} s")
    return None


def _http_problem(port: int, path: str) -> str | None:
    # The name that Django accepts in production; a pattern such as `.example.com` stands for its bare domain.
    host = next((name.lstrip(".") for name in settings.ALLOWED_HOSTS if name != "*"), "localhost")
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Host": host})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
            return None if answer.status == 200 else f"{path} answered {answer.status}"
    except (urllib.error.URLError, OSError) as error:
        return f"{path}: {error}"
