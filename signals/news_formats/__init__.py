"""How those who bring news write it: one file a format, each from bytes to items. Pure."""

from signals.news_formats.item import Item, Read, Unreadable

__all__ = ["Item", "Read", "Unreadable"]
