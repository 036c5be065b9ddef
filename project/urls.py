"""Every URL. Packages bring their own under `api/`; what sees everything is here."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/", include("worker.urls")),
]
