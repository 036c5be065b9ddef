"""The state machine beside a tiny reference, over any sequence of looks; its state goes through JSON at each step.

The reference says the rules of docs/alerts.md once more, for two prices joined by all or any, in plain words and
without a thought for size: it remembers every price that it has seen, and makes each side anew from them.
"""

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from signals.arming import EVERY, EXPIRED, MODES, ONCE, ONCE_PER_BAR, SPENT, State, Terms, begun, judge
from signals.rules import ABOVE, BELOW, CROSSES, CROSSES_ABOVE, CROSSES_BELOW, All, Any, Ask, Leaf, Seen

SECOND = 1_000_000
ASKS = (Ask("price", 1), Ask("price", 2))


class Line:
    """One threshold and every price that came to it."""

    def __init__(self, leaf, confirmations):
        self.leaf, self.confirmations = leaf, confirmations
        self.prices, self.newest, self.confirmed, self.known = [], None, None, False

    def side(self):
        """Replayed from the beginning: the last price that was beyond the line, or beyond the band once it has been."""
        value, clear = self.leaf.value, self.leaf.value if self.leaf.clear is None else self.leaf.clear
        side = 0
        for price in self.prices:
            low, high = (min(value, clear), max(value, clear)) if side else (value, value)
            side = 1 if price > high else -1 if price < low else side
        return side

    def way(self, seen):
        """The prices of a look in the order in which they count; none if it is old, or known."""
        self.known, first = seen is not None, self.newest is None
        if seen is None or (self.newest and seen.at_us < self.newest.at_us):
            return []
        if self.newest and (seen.at_us, seen.value) == (self.newest.at_us, self.newest.value):
            return []
        self.newest = seen
        if first or seen.low == seen.high:
            return [seen.value]
        upward = (self.side() or (1 if seen.value < self.leaf.value else -1)) < 0
        return [seen.low, seen.high, seen.value] if upward else [seen.high, seen.low, seen.value]

    def come_to(self, price, last):
        """Whether it has crossed now, and stayed there for as many looks as are wanted."""
        before = self.side()
        self.prices.append(price)
        after = self.side()
        if before != after:
            ways = {1: (CROSSES, CROSSES_ABOVE), -1: (CROSSES, CROSSES_BELOW)}[after]
            self.confirmed = 0 if before and self.leaf.op in ways else None
        if self.confirmed is not None and (last or self.confirmations == 1):
            self.confirmed += 1
        if self.confirmed == self.confirmations:
            self.confirmed = None
            return True
        return False

    def holds(self):
        if self.leaf.op not in (ABOVE, BELOW):
            return False
        return self.side() == (1 if self.leaf.op == ABOVE else -1) if self.known and self.prices else None


class Reference:
    def __init__(self, leaves, join, terms):
        self.lines, self.join, self.terms = [Line(leaf, terms.confirmations) for leaf in leaves], join, terms
        self.over, self.told, self.row, self.generation = False, None, 0, 0
        self.cool_us, self.fired_us, self.doubled, self.causes, self.bar = None, None, 0, set(), None

    def truth(self, values):
        if self.join is All:
            return False if False in values else None if None in values else True
        return True if True in values else None if None in values else False

    def look(self, facts, now_us, muted):
        if self.over or (self.terms.expires_us is not None and now_us >= self.terms.expires_us):
            self.over = True
            return False
        ways = [line.way(facts.get(line.leaf.ask)) for line in self.lines]
        at_us = max(
            (seen.at_us for ask, seen in facts.items() if ask in {x.leaf.ask for x in self.lines}), default=now_us
        )
        length, fired = max(1, *map(len, ways)), False
        for step in range(length):
            crossed = set()
            for n, (line, way) in enumerate(zip(self.lines, ways, strict=True)):
                at = step - (length - len(way))
                if 0 <= at < len(way) and line.come_to(way[at], step == length - 1):
                    crossed.add(n)
            fired = self.moment(crossed, step == length - 1, any(ways), at_us, now_us, muted or fired) or fired
        return fired

    def moment(self, crossed, last, fresh, at_us, now_us, silent):
        held = [line.holds() for line in self.lines]
        stands, bar, ripe = self.truth(held), at_us // self.terms.bar_us, False
        if stands is False:
            self.row, self.told = 0, False
        if stands:
            if self.told is None:
                self.told = not self.terms.at_once
            if self.told and self.bar is None and self.terms.mode == ONCE_PER_BAR:
                self.bar = bar
            if self.row < self.terms.confirmations and (last or self.terms.confirmations == 1):
                self.row += 1 if fresh or self.row == 0 else 0
            ripe = self.row >= self.terms.confirmations and (not self.told or self.terms.mode == ONCE_PER_BAR)
        with_crossed = [True if n in crossed else held[n] if line.known else None for n, line in enumerate(self.lines)]
        news = crossed and self.truth(with_crossed)
        causes = {n for n, truth in enumerate(with_crossed if news else held) if truth}
        if silent or self.over or not (news or ripe):
            return False
        if self.terms.mode == ONCE_PER_BAR and self.bar is not None and bar <= self.bar:
            return False
        cooling = self.cool_us is not None and now_us < self.cool_us
        if cooling and causes <= self.causes:
            return False
        self.fire(causes, cooling, bar, now_us, stands)
        return True

    def fire(self, causes, cooling, bar, now_us, stands):
        soon = self.cool_us is not None and now_us < self.cool_us + (self.cool_us - self.fired_us)
        if not cooling:
            self.doubled = min(self.doubled + 1, 6) if self.terms.escalate and soon else 0
        self.causes = self.causes | causes if cooling else causes
        self.fired_us = now_us
        self.cool_us = now_us + self.terms.cooldown_us * 2**self.doubled if self.terms.cooldown_us else None
        self.generation, self.bar = self.generation + 1, bar
        self.told = True if stands else self.told
        self.over = self.terms.mode == ONCE


prices = st.integers(96, 104).map(float)


@st.composite
def leaves(draw, ask):
    op, value, gap = draw(st.sampled_from([ABOVE, BELOW, CROSSES_ABOVE, CROSSES_BELOW, CROSSES])), draw(prices), 0
    if op != CROSSES:
        gap = draw(st.sampled_from([0, 0, 2])) * (-1 if op in (ABOVE, CROSSES_ABOVE) else 1)
    return Leaf(ask, op, value, value + gap if gap else None)


class AlertMachine(RuleBasedStateMachine):
    @initialize(
        first=leaves(ASKS[0]), second=leaves(ASKS[1]), join=st.sampled_from([All, Any]),
        mode=st.sampled_from([EVERY, *MODES]), confirmations=st.sampled_from([1, 1, 2]),
        cooldown_s=st.sampled_from([0, 0, 4]), escalate=st.booleans(), at_once=st.booleans(),
        expires_s=st.sampled_from([None, None, 40]),
    )  # fmt: skip
    def make(self, first, second, join, mode, confirmations, cooldown_s, escalate, at_once, expires_s):
        self.terms = Terms(
            mode, 8 * SECOND, confirmations, cooldown_s * SECOND, escalate,
            None if expires_s is None else expires_s * SECOND, at_once,
        )  # fmt: skip
        self.tree = join((first, second))
        self.reference = Reference([first, second], join, self.terms)
        self.state, self.now_s, self.facts = begun(0), 0, {}

    @rule(
        which=st.sampled_from([0, 0, 1]), last=prices, other=prices, extreme=prices,
        passed_s=st.sampled_from([0, 1, 1, 1, 9]), muted=st.sampled_from([False, False, False, True]),
    )  # fmt: skip
    def the_price_moves(self, which, last, other, extreme, passed_s, muted):
        self.now_s += passed_s
        low, high = min(last, other, extreme), max(last, other, extreme)
        self.facts[ASKS[which]] = Seen(last, low, high, self.now_s * SECOND)
        self.look(self.facts, muted)

    @rule(which=st.sampled_from([0, 1]), price=prices, late_s=st.integers(1, 5))
    def a_late_price_comes(self, which, price, late_s):
        at_us = max(0, self.now_s - late_s) * SECOND
        self.look(self.facts | {ASKS[which]: Seen(price, price, price, at_us)}, muted=False)

    @rule(which=st.sampled_from([0, 1]))
    def a_price_goes_missing(self, which):
        self.facts.pop(ASKS[which], None)
        self.look(self.facts, muted=False)

    @rule(passed_s=st.integers(0, 3), muted=st.booleans())
    def nothing_moves(self, passed_s, muted):
        self.now_s += passed_s
        self.look(self.facts, muted)

    def look(self, facts, muted):
        verdict = judge(self.tree, self.terms, self.state, facts, self.now_s * SECOND, muted)
        assert bool(verdict.fired) == self.reference.look(facts, self.now_s * SECOND, muted)
        assert verdict.moved or msgspec.structs.replace(verdict.state, memories=()) == msgspec.structs.replace(
            self.state, memories=()
        )
        self.state = msgspec.json.decode(msgspec.json.encode(verdict.state), type=State)

    @invariant()
    def both_are_at_the_same_place(self):
        if hasattr(self, "state"):
            assert self.state.generation == self.reference.generation
            assert (self.state.phase in (SPENT, EXPIRED)) == self.reference.over
            sides = [memory.side if memory else 0 for memory in self.state.memories or (None, None)]
            assert sides == [line.side() for line in self.reference.lines]


AlertMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestAlert = AlertMachine.TestCase
