"""A client for a Tapehouse installation's `/ws/realtime/`. README.md has the examples."""

from tapehouse_client.client import Client, Subscription
from tapehouse_client.conversation import ConnectionRefused, Event, Refused
from tapehouse_client.plain import events

__all__ = ["Client", "ConnectionRefused", "Event", "Refused", "Subscription", "events"]
