"""Every URL. Packages bring their own under `api/`; what sees everything is here."""

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.views import LogoutView
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView
from rest_framework.permissions import AllowAny

from project import health, status, views

urlpatterns = [
    path("", views.page("market", "live market")),
    path("alerts/", views.page("alerts", "alerts")),
    path("signals/", views.page("signals", "signals")),
    path("settings/notifications/", views.page("settings", "notification settings")),
    path("realtime/dashboard/", views.page("dashboard", "service dashboard")),
    path("service-worker.js", views.service_worker),
    path("accounts/login/", views.SignIn.as_view()),
    path("accounts/logout/", LogoutView.as_view()),
    # Asked for by browsers on pages that name no icon.
    path("favicon.ico", RedirectView.as_view(url=settings.STATIC_URL + "favicon.svg")),
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("realtime/status/", status.status),
    path("realtime/health/", status.health),
    path("realtime/websocket-info/", status.websocket_info),
    path("realtime/test/", views.console),
    path("websocket-test/", views.console),
    path("docs/asyncapi.json", status.asyncapi_document),
    path("admin/", admin.site.urls),
    path("api/", include("worker.urls")),
    path("api/", include("streaming.urls")),
    path("api/", include("ingestion.urls")),
    path("api/", include("portfolio.urls")),
    path("api/", include("signals.urls")),
    path("api/schema/", SpectacularAPIView.as_view(permission_classes=[AllowAny]), name="schema"),
    path("api/docs/", SpectacularSwaggerView.as_view(url_name="schema", permission_classes=[AllowAny])),
]
