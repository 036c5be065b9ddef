"""Rows in the admin that people look at and do not write: what every package's `admin.py` builds on."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest


class MadeByCode(admin.options.BaseModelAdmin):
    """Neither added nor edited by hand; may be deleted by whoever has the right."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class Record(MadeByCode):
    """Nor deleted."""

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
