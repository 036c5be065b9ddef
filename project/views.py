"""The pages that people open. What moves on them comes by the API and the socket."""

import inspect
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth import views as auth
from django.http import Http404, HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from streaming import asyncapi, dialects


def page(name: str, title: str) -> Callable[[HttpRequest], HttpResponse]:
    """The page that `frontend/pages/<name>.tsx` draws, for anybody: it asks to sign in itself where that is needed."""

    @never_cache
    @require_safe
    def view(request: HttpRequest) -> HttpResponse:
        shown = {"entry": f"pages/{name}.tsx", "title": title, "bootstrap": bootstrap(request)}
        return render(request, "index.html", shown)

    return view


@never_cache
@require_safe
def service_worker(request: HttpRequest) -> HttpResponse:
    """What shows web pushes. From the root, because a worker is in charge of what lies below its own address."""
    try:
        script = (settings.FRONTEND_DIST / "service-worker.js").read_bytes()
    except FileNotFoundError:
        raise Http404("The front end is not built.") from None
    return HttpResponse(script, content_type="text/javascript; charset=utf-8", headers={"Service-Worker-Allowed": "/"})


def bootstrap(request: HttpRequest) -> dict[str, Any]:
    """What the page has to know before it can ask: who looks at it, and what is open to them.

    `{"user": {"username": "demo"} or null, "staff": false, "market_data": true, "price_fresh_s": 60.0, "login_url",
    "logout_url", "csrf_token"}`
    """
    signed_in = request.user.is_authenticated
    return {
        "user": {"username": request.user.get_username()} if signed_in else None,
        "staff": request.user.is_staff,
        "market_data": signed_in or settings.ANONYMOUS_MARKET_DATA,
        "price_fresh_s": settings.PRICE_FRESH_S,
        "login_url": settings.LOGIN_URL,
        "logout_url": "/accounts/logout/",
        "csrf_token": get_token(request),
    }


@never_cache
@require_safe
def console(request: HttpRequest) -> HttpResponse:
    """`/realtime/test/`: sockets by hand."""
    shown = {"paths": paths(), "user": bootstrap(request)["user"], "csrf_token": get_token(request)}
    return render(request, "console.html", {"bootstrap": shown})


def paths() -> list[dict[str, Any]]:
    """Every socket path: `{"address": "/ws/market/{symbol}/{stream}/", "description", "examples": [messages]}`."""
    return [
        {"address": asyncapi.address(path), "description": inspect.getdoc(path) or "", "examples": list(path.examples)}
        for path in dialects.registry
    ]


class SignIn(auth.LoginView):
    """`/accounts/login/`; a user who is signed in already goes on to the page."""

    redirect_authenticated_user = True

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(development=settings.DEVELOPMENT, **kwargs)
