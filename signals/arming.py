"""What becomes of an alert at one look: it arms, counts, fires, cools, ends. Pure.

The rules, as a table: docs/alerts.md. Whoever keeps alerts gives each look at the facts to `judge`, and keeps the state
that comes back; what is stale, late, backfilled or quarantined isn't among the facts that it gives.
"""

from typing import Final

import msgspec

ONCE: Final = "once"
EVERY: Final = "every"
ONCE_PER_BAR: Final = "once_per_bar"
MODES: Final = (ONCE, EVERY, ONCE_PER_BAR)

ARMED: Final = "armed"
SPENT: Final = "spent"
EXPIRED: Final = "expired"


class Terms(msgspec.Struct, frozen=True):
    """How often one wants to be told.

    mode: once (then it is spent), every (each time that it comes true), once_per_bar (in each bar of bar_us in which it
    is true, once). confirmations: looks in a row at which it must be true. cooldown_us: after a firing, repeats of it
    are swallowed for so long; escalate: for twice as long after each that comes soon again. at_once: a condition of
    levels that is true already at the first look fires; otherwise it must first have been false.
    """

    mode: str = EVERY
    bar_us: int = 60_000_000
    confirmations: int = 1
    cooldown_us: int = 0
    escalate: bool = False
    expires_us: int | None = None
    at_once: bool = True


class Memory(msgspec.Struct, frozen=True, array_like=True):
    """What a leaf remembers.

    side: 1 above, -1 below, 0 on the line. pending: looks on this side since it crossed, until they suffice (-1: it
    didn't cross). value, at_us: of the last look that it took.
    """

    side: int
    at_us: int
    value: float
    pending: int = -1


class State(msgspec.Struct, frozen=True, omit_defaults=True):
    """An alert between two looks; a few dozen bytes of JSON a leaf.

    memories: by leaf, in the rule's order. count: looks in a row at which it stood. told: whether this standing was
    told (or was there at the start); None before the first. generation: firings so far; with the alert's id it names
    one. since_us: when it was armed; what occurred before is not news. step: doublings of the cooldown. cause: the
    leaves (bits) that made it fire last. bar: the last bar that was told of. swallowed: repeats since.
    """

    phase: str = ARMED
    memories: tuple[Memory | None, ...] = ()
    count: int = 0
    told: bool | None = None
    generation: int = 0
    since_us: int | None = None
    last_fired_us: int | None = None
    cooling_until_us: int | None = None
    step: int = 0
    cause: int = 0
    bar: int = -1
    swallowed: int = 0


class Fired(msgspec.Struct, frozen=True):
    """One firing.

    observed: by what was asked, the value that made it fire, never the threshold. gapped: the price jumped over the
    threshold without being seen near it. spiked: it was beyond it between two looks, and is no longer. late: it came
    true while it was muted or cooling, and still is. swallowed: repeats since the firing before.
    """

    generation: int
    at_us: int
    reason: str
    observed: dict[str, float]
    gapped: bool = False
    spiked: bool = False
    late: bool = False
    swallowed: int = 0


class Verdict(msgspec.Struct, frozen=True):
    """moved: something changed that has to be kept."""

    state: State
    fired: Fired | None
    moved: bool
