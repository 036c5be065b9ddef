"""What becomes of an alert at one look: it arms, counts, fires, cools, ends. Pure.

The rules, as a table: docs/alerts.md. Whoever keeps alerts gives each look at the facts to `judge`, and keeps the state
that comes back; what is stale, late, backfilled or quarantined isn't among the facts that it gives.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from signals.rules import (
    ABOVE,
    CROSSES,
    CROSSES_ABOVE,
    CROSSES_BELOW,
    EVENTS,
    OCCURS,
    PRICE,
    Any,
    Ask,
    Leaf,
    Names,
    Not,
    Rule,
    Seen,
    amount,
    describe,
    label,
    leaves,
    number,
    scaled,
    scales,
)

ONCE: Final = "once"
EVERY: Final = "every"
ONCE_PER_BAR: Final = "once_per_bar"
MODES: Final = (ONCE, EVERY, ONCE_PER_BAR)

ARMED: Final = "armed"
SPENT: Final = "spent"
EXPIRED: Final = "expired"

NOT_CROSSED: Final = -1
# A price that is first seen this part of the threshold beyond it has jumped over it.
GAP: Final = 0.001
# The longest cooldown is so many doublings of the first.
STEPS_MAX: Final = 6
REASON_MAX: Final = 500


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


def begun(now_us: int, generation: int = 0, rearmed: bool = False) -> State:
    """An alert that is armed now: of one that was edited or armed again its generation goes on.

    rearmed: what is true already isn't told; it has to be false first.
    """
    return State(generation=generation, since_us=now_us, told=True if rearmed else None)


_UNNAMED: Final = Names()


def judge(
    rule: Rule, terms: Terms, state: State, facts: Mapping[Ask, Seen], now_us: int, muted: bool = False,
    names: Names = _UNNAMED,
) -> Verdict:  # fmt: skip
    """What becomes of an alert at this look.

    facts: what is known of its asks now; one that isn't known neither fires nor clears. now_us: the clock that cools
    and expires. muted: nothing is told, but sides are kept. names: for the reason.
    """
    if state.phase != ARMED:
        return Verdict(state, None, False)
    if terms.expires_us is not None and now_us >= terms.expires_us:
        return Verdict(replace(state, phase=EXPIRED), None, True)
    return _Look(rule, terms, state, facts, now_us, muted, names).verdict()


def rescaled(rule: Rule, state: State, instrument: int, ratio: float) -> State:
    """The state of an alert whose rule (as it was before) is re-scaled: sides stay, remembered prices follow."""
    if not state.memories:
        return state
    kept = (
        replace(memory, value=scaled(memory.value, ratio)) if memory and scales(leaf.ask, instrument) else memory
        for leaf, memory in zip(leaves(rule), state.memories, strict=True)
    )
    return replace(state, memories=tuple(kept))


# --- One leaf -------------------------------------------------------------------------------------------------


def bounds(leaf: Leaf) -> tuple[float, float]:
    """(lower, upper): below the one it is below, above the other above; in between it stays what it was."""
    clear = leaf.value if leaf.clear is None else leaf.clear
    return min(leaf.value, clear), max(leaf.value, clear)


def side_of(leaf: Leaf, side: int, value: float) -> int:
    """The side on which `value` lies for a leaf that was on `side`; the line itself is on neither, and changes none."""
    lower, upper = bounds(leaf) if side else (leaf.value, leaf.value)
    if value > upper:
        return 1
    return -1 if value < lower else side


def _crossed(op: str, before: int, after: int) -> bool:
    """From one side to the other: one that stood on neither has not crossed."""
    if not before or before == after:
        return False
    return op in (CROSSES, CROSSES_ABOVE if after > 0 else CROSSES_BELOW)


def _values(leaf: Leaf, memory: Memory | None, seen: Seen) -> list[float]:
    """What a look saw in the order in which it is taken to have been: first the extreme on the side where it was.

    So nothing is told to have crossed that need not have: the way that the price took between is not known. Of the
    first look only the present value counts; extremes may be older than the alert.
    """
    if memory is None or seen.low == seen.high:
        return [seen.value]
    low, high = min(seen.low, seen.value), max(seen.high, seen.value)
    side = memory.side or (1 if seen.value < leaf.value else -1)
    return [high, low, seen.value] if side > 0 else [low, high, seen.value]


def _known(seen: Seen | None) -> Seen | None:
    """What isn't a number is not known."""
    return seen if seen is not None and math.isfinite(seen.value + seen.low + seen.high) else None


def _is_new(memory: Memory, seen: Seen) -> bool:
    """Not older than what was seen, nor the same again."""
    return seen.at_us > memory.at_us or (seen.at_us == memory.at_us and seen.value != memory.value)


# --- The tree -------------------------------------------------------------------------------------------------


class Held(msgspec.Struct, frozen=True):
    """Whether it is true (None: not known), and the leaves (bits) that make it so."""

    truth: bool | None
    cause: int = 0


def held(rule: Rule, truths: Iterator[tuple[int, bool | None]]) -> Held:
    """By Kleene: what isn't known leaves a whole unknown only where it could decide it.

    truths: (bit, truth) of each leaf in order.
    """
    if isinstance(rule, Leaf):
        bit, truth = next(truths)
        return Held(truth, bit if truth else 0)
    if isinstance(rule, Not):
        # It is all its leaves that are not true together.
        inside = [next(truths) for _ in leaves(rule)]
        truth = held(rule.rule, iter(inside)).truth
        return Held(None if truth is None else not truth, sum(bit for bit, _ in inside))
    parts = [held(part, truths) for part in rule.rules]
    decides = isinstance(rule, Any)
    known = [part.truth for part in parts]
    truth = decides if decides in known else None if None in known else not decides
    return Held(truth, sum(part.cause for part in parts if part.truth) if truth else 0)


# --- One look -------------------------------------------------------------------------------------------------


class _Look:
    """One look being taken: the state as it becomes, moment by moment."""

    def __init__(
        self, rule: Rule, terms: Terms, state: State, facts: Mapping[Ask, Seen], now_us: int, muted: bool, names: Names
    ) -> None:
        self.rule, self.terms, self.now_us, self.muted, self.names = rule, terms, now_us, muted, names
        self.before = state
        self.leaves = leaves(rule)
        self.seen = [_known(facts.get(leaf.ask)) for leaf in self.leaves]
        self.memories = list(state.memories or (None,) * len(self.leaves))
        self.state = state if state.since_us is not None else replace(state, since_us=now_us)
        self.at_us = max((seen.at_us for seen in self.seen if seen is not None), default=now_us)
        self.paths = self._paths()
        self.happened = 0
        self.reached = False
        self.fired: Fired | None = None

    def verdict(self) -> Verdict:
        moments = max((len(path) for place, path in self.paths.items() if self.stirs(place)), default=1)
        for left in range(moments - 1, -1, -1):
            self.moment(left)
        after = replace(self.state, memories=tuple(self.memories))
        return Verdict(after, self.fired, self.moved(after))

    def _paths(self) -> dict[int, Sequence[float]]:
        """The values of each leaf that has something new to say; leaves on one ask go the same way."""
        ways, paths = dict[Ask, Sequence[float]](), dict[int, Sequence[float]]()
        for place, (leaf, seen) in enumerate(zip(self.leaves, self.seen, strict=True)):
            memory = self.memories[place]
            if seen is None or (memory is not None and not _is_new(memory, seen)):
                continue
            if leaf.ask not in ways:
                ways[leaf.ask] = _values(leaf, memory, seen)
            paths[place] = ways[leaf.ask]
        return paths

    def stirs(self, place: int) -> bool:
        """Whether a leaf comes to the other side on the way: if none does, the end is all there is to see."""
        leaf, memory = self.leaves[place], self.memories[place]
        return memory is not None and any(
            side_of(leaf, memory.side, value) != memory.side for value in self.paths[place]
        )

    def moment(self, left: int) -> None:
        """One point of the way, `left` before its end. A single value is one of the end."""
        self.happened = 0
        for place, path in self.paths.items():
            if left < len(path) and self.step(place, path[-1 - left], left == 0):
                self.happened |= 1 << place
        stand = [self.stands(place) for place in range(len(self.leaves))]
        standing = held(self.rule, ((1 << place, truth) for place, truth in enumerate(stand)))
        self.count(standing, left == 0)
        if self.fired is None and self.state.phase == ARMED:
            self.consider(standing, self.with_events(stand) if self.happened else standing)

    def step(self, place: int, value: float, ends: bool) -> bool:
        """Move a leaf's memory. Whether it has happened now: it crossed and has stayed for long enough, or occurred."""
        leaf, seen, memory = self.leaves[place], self.seen[place], self.memories[place]
        assert seen is not None
        if leaf.op == OCCURS:
            self.memories[place] = Memory(0, seen.at_us, value)
            return seen.at_us > (self.state.since_us or 0) and value >= leaf.value
        before = memory.side if memory else 0
        side = side_of(leaf, before, value)
        pending = memory.pending if memory and side == before else NOT_CROSSED
        if _crossed(leaf.op, before, side):
            pending = 0
        if pending != NOT_CROSSED and (ends or self.terms.confirmations == 1):
            pending += 1
        happened = pending >= self.terms.confirmations
        self.memories[place] = Memory(side, seen.at_us, value, NOT_CROSSED if happened else pending)
        return happened

    def stands(self, place: int) -> bool | None:
        """Of one leaf; None where it isn't known. What crosses or occurs never stands."""
        leaf, memory = self.leaves[place], self.memories[place]
        if leaf.op in EVENTS:
            return False
        if self.seen[place] is None or memory is None:
            return None
        return memory.side == (1 if leaf.op == ABOVE else -1)

    def with_events(self, stand: Sequence[bool | None]) -> Held:
        """With what has happened just now."""
        return held(
            self.rule,
            (
                (1 << place, True if self.happened >> place & 1 else self._unless_missing(place, truth))
                for place, truth in enumerate(stand)
            ),
        )

    def _unless_missing(self, place: int, truth: bool | None) -> bool | None:
        return None if self.seen[place] is None else truth

    def count(self, standing: Held, ends: bool) -> None:
        """How long it has stood. What isn't known changes nothing."""
        self.reached = False
        if standing.truth is False and (self.state.count or self.state.told is not False):
            self.state = replace(self.state, count=0, told=False)
        elif standing.truth:
            self._begin_told()
            enough = self.terms.confirmations
            if self.state.count < enough and (ends or enough == 1) and (self.paths or not self.state.count):
                self.state = replace(self.state, count=self.state.count + 1)
                self.reached = self.state.count == enough

    def _begin_told(self) -> None:
        """What is true at the very first is told at once or not at all."""
        if self.state.told is None:
            self.state = replace(self.state, told=not self.terms.at_once)
        if self.state.told and self.state.bar < 0 and self.terms.mode == ONCE_PER_BAR:
            self.state = replace(self.state, bar=self.bar)

    @property
    def bar(self) -> int:
        return self.at_us // self.terms.bar_us

    @property
    def cooling(self) -> bool:
        return self.state.cooling_until_us is not None and self.now_us < self.state.cooling_until_us

    def consider(self, standing: Held, full: Held) -> None:
        """Fire, if there is something to tell, and nothing forbids it."""
        event = bool(full.truth) and bool(full.cause & self.happened)
        cause = full.cause if event else standing.cause
        if not (event or (standing.truth and self.due())) or self.muted:
            return
        if self.terms.mode == ONCE_PER_BAR and self.bar <= self.state.bar:
            return
        if self.cooling and not cause & ~self.state.cause:
            if event or self.reached:
                self.state = replace(self.state, swallowed=self.state.swallowed + 1)
            return
        self.fire(cause, late=not event and not self.reached and not self.state.told, standing=bool(standing.truth))

    def due(self) -> bool:
        """Whether it has stood for long enough, and this standing is not told yet: or not in this bar."""
        return self.state.count >= self.terms.confirmations and (not self.state.told or self.terms.mode == ONCE_PER_BAR)

    def fire(self, cause: int, late: bool, standing: bool) -> None:
        before = self.state
        self.fired = self.told(cause, late)
        step = self._next_step()
        self.state = replace(
            before,
            phase=SPENT if self.terms.mode == ONCE else ARMED,
            told=True if standing else before.told,
            generation=before.generation + 1,
            last_fired_us=self.now_us,
            cooling_until_us=self.now_us + (self.terms.cooldown_us << step) if self.terms.cooldown_us else None,
            step=step,
            # While it cools, all that was told since is a repeat; else two causes in turn would never cool.
            cause=cause | before.cause if self.cooling else cause,
            bar=self.bar,
            swallowed=0,
        )

    def _next_step(self) -> int:
        """One more where it comes again before it was quiet for as long as it had to cool."""
        state = self.state
        if not self.terms.escalate or state.cooling_until_us is None or state.last_fired_us is None:
            return 0
        if self.cooling:
            return state.step  # something else than what cools
        quiet_us = state.cooling_until_us - state.last_fired_us
        return min(state.step + 1, STEPS_MAX) if self.now_us < state.cooling_until_us + quiet_us else 0

    def moved(self, after: State) -> bool:
        """Whether more has changed than the last prices that were seen on the same sides."""

        def kept(state: State) -> tuple[object, ...]:
            memories = state.memories or (None,) * len(self.leaves)
            return tuple(
                memory and (memory.side, memory.pending, memory.at_us if leaf.op == OCCURS else 0)
                for leaf, memory in zip(self.leaves, memories, strict=True)
            )

        return kept(self.before) != kept(after) or replace(self.before, memories=()) != replace(after, memories=())

    # --- What is told

    def told(self, cause: int, late: bool) -> Fired:
        causes = [place for place in range(len(self.leaves)) if cause >> place & 1]
        values = {place: self.observed(place) for place in causes}
        spiked = [place for place in causes if values[place] != self._last(place).value]
        gapped = [place for place in causes if self.gapped(place)]
        observed = {label(self.leaves[place].ask, self.names): values[place] for place in causes}
        return Fired(
            generation=self.state.generation + 1,
            at_us=self.at_us,
            reason=self.reason(values, spiked, gapped, late),
            observed=observed,
            gapped=bool(gapped),
            spiked=bool(spiked),
            late=late,
            swallowed=self.state.swallowed,
        )

    def _last(self, place: int) -> Seen:
        seen = self.seen[place]
        assert seen is not None  # a leaf that isn't known causes nothing
        return seen

    def observed(self, place: int) -> float:
        """The value now, if that is where it fired; else the extreme that was there."""
        leaf, seen, memory = self.leaves[place], self._last(place), self.memories[place]
        side = memory.side if memory else 0
        if leaf.op == OCCURS or place not in self.paths or not side or side_of(leaf, side, seen.value) == side:
            return seen.value
        return max(seen.high, seen.value) if side > 0 else min(seen.low, seen.value)

    def gapped(self, place: int) -> bool:
        """Whether a price came from the other side and was nowhere seen near the threshold."""
        leaf, seen, memory = self.leaves[place], self._last(place), self.memories[place]
        earlier = self.before.memories[place] if self.before.memories else None
        if leaf.ask.kind != PRICE or not earlier or not memory or earlier.side != -memory.side or not memory.side:
            return False
        nearest = min(seen.low, seen.value) if memory.side > 0 else max(seen.high, seen.value)
        return (nearest - leaf.value) * memory.side > GAP * abs(leaf.value)

    def reason(self, values: Mapping[int, float], spiked: Sequence[int], gapped: Sequence[int], late: bool) -> str:
        """`BTC-USD above 70,000: BTC-USD at 70,412, which jumped over 70,000`."""
        parts = [self._observation(place, value, place in spiked, place in gapped) for place, value in values.items()]
        text = f"{describe(self.rule, self.names)}: {'; '.join(dict.fromkeys(parts))}"
        if late:
            text += "; true for a while, and not told until now"
        if self.state.swallowed:
            text += f"; {self.state.swallowed} more in between"
        return text if len(text) <= REASON_MAX else text[: REASON_MAX - 1] + "…"

    def _observation(self, place: int, value: float, spiked: bool, gapped: bool) -> str:
        leaf, seen = self.leaves[place], self._last(place)
        if leaf.op == OCCURS:
            return seen.note or f"{label(leaf.ask, self.names)}, confidence {number(value)}"
        text = f"{label(leaf.ask, self.names)} at {amount(leaf.ask, value)}"
        if gapped:
            text += f", which jumped over {number(leaf.value)}"
        return text + (f" in between, {number(seen.value)} now" if spiked else "")
