"""What people are told, as tables: one file for each noun, all of them named here."""

from signals.models.alerts import Alert, Firing
from signals.models.notifications import Notification, new_public_id
from signals.models.signals import Evaluated, Signal, SignalSubscription

__all__ = [
    "Alert",
    "Evaluated",
    "Firing",
    "Notification",
    "Signal",
    "SignalSubscription",
    "new_public_id",
]
