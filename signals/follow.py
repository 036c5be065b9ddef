"""The resident that judges alerts: it pulls what moved, as `portfolio/match.py` does, and asks for the rest by a clock.

What it keeps is in the rows (how far each alert has got) and in Redis (how far the changes are read). Whoever takes
over goes on from there, as far as what happened meanwhile is still fresh; what is older fires nothing (docs/alerts.md).

Alerts on one price wait in an index by their thresholds, so that a change costs what it hits. All others are judged
when a price of theirs moved, and on every tick of the clock when a figure of theirs is another one.
"""

import asyncio
import contextlib
import logging
import math
import sys
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
import redis
from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError
from django.utils import timezone

from ingestion import demand, latest, markets, sessions
from ingestion.journal import START, parse_id
from ingestion.store import to_us
from signals import alerts, arming, conditions, rules
from signals.arming import State, Terms, Verdict
from signals.conditions import World
from signals.facts import Facts
from signals.levels import Levels, watch
from signals.models import Alert, Firing
from signals.rules import Ask, Leaf, Rule, Seen
from worker import metrics
from worker.redis import client, key
from worker.resident import Context, in_thread, resident

logger = logging.getLogger(__name__)

# A store that is away is everybody's trouble, and passes; whatever else fails is one alert's.
_AWAY: Final = (redis.RedisError, OperationalError, InterfaceError)
_READ_AT_ONCE: Final = 2_000
# Told in one transaction; the first of a thousand does not wait for the last.
_FIRE_AT_ONCE: Final = 50


@resident("signals.follow")
async def follow(context: Context) -> None:
    """Pull every ALERT_PULL_INTERVAL_MS until the lease is gone. An outage of a store is waited out."""
    follower: Follower | None = None
    interval_s = settings.ALERT_PULL_INTERVAL_MS / 1000
    while not context.draining.is_set():
        began = time.monotonic()
        try:
            if follower is None:
                follower = await in_thread(Follower)
            await in_thread(follower.pull)
        except (redis.RedisError, DatabaseError) as error:
            logger.warning("alerts wait: %s", error)
            follower = None  # what it had read may be old by now, and what it had judged is not all stored
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(context.draining.wait(), max(0.0, began + interval_s - time.monotonic()))


class Armed(msgspec.Struct, gc=False):
    """One alert in memory. plain: its comparison, where it is one price's alone. waits: whether the clock alone may
    change something about it: it is silenced, or cooling down."""

    pk: int
    version: int
    user_id: int
    rule: Rule
    terms: Terms
    state: State
    asks: frozenset[Ask]
    instruments: frozenset[int]
    plain: Leaf | None
    snoozed_until_us: int
    regular: bool
    waits: bool = False

    def is_muted(self, now_us: int) -> bool:
        """Whether nothing is told now: it is snoozed, or a market is closed whose hours it keeps."""
        if now_us < self.snoozed_until_us:
            return True
        return self.regular and not all(is_open(i, now_us) for i in self.instruments)


def is_open(instrument_id: int, now_us: int) -> bool:
    """Whether the instrument's market trades."""
    return sessions.calendars().is_open(markets.of(instrument_id).calendar, now_us)


class Follower:
    """The armed alerts in memory; the rows decide. For one thread at a time.

    about: by instrument, the alerts that look at it. trees: those of them that its price moves. timed: those with a
    figure that no change of a price tells. last: the figures as the clock found them.
    """

    def __init__(self) -> None:
        self.alerts: dict[int, Armed] = {}
        self.levels = Levels()
        self.facts = Facts()
        self._see(World({}, {}, frozenset()))
        self.about: defaultdict[int, set[int]] = defaultdict(set)
        self.trees: defaultdict[int, set[int]] = defaultdict(set)
        self.timed: set[int] = set()
        self.last: dict[Ask, Seen] = {}
        self.firing: dict[int, tuple[Armed, Verdict]] = {}
        self.unstored: dict[int, Armed] = {}
        self.cursor = _read_cursor()
        self.touched = START
        self.again: set[int] = set()
        self.reconcile_at = self.timer_at = self.demand_at = 0.0
        self.fired = 0

    def pull(self) -> int:
        """One round: what moved, what was asked anew, what the clock says. Returns how many alerts fired."""
        now = timezone.now()
        self.fired = 0
        # First what moved, then the alerts: one made in between looks at the market as it then is.
        told, self.cursor, trimmed = latest.changes_by_source(self.cursor)
        unknown = self._read_alerts(now)
        self._judge_moves(self._moves(told, to_us(now)), now)
        if trimmed:
            logger.warning("changes of prices were lost: all alerts look at the newest prices instead")
            metrics.count("signals.changes_lost")
            unknown = self.alerts.keys()
        self._look(unknown, now)
        self._on_time(now)
        self._store()
        # Last: what was read and not judged is read again. A look that an alert has taken is none the second time.
        client().set(_cursor_key(), msgspec.json.encode(self.cursor))
        return self.fired

    # --- The alerts -----------------------------------------------------------------------------------------------

    def _read_alerts(self, now: datetime) -> Collection[int]:
        """Those that something happened to, and now and then whatever differs. Returns those that were read."""
        ids, complete = self._read_touched()
        ids |= self.again
        self.again = set()
        if not complete or time.monotonic() >= self.reconcile_at:
            ids |= self._differing()
            self.reconcile_at = time.monotonic() + settings.ALERT_RECONCILE_INTERVAL_S
        return self._read(ids, now) if ids else ()

    def _read_touched(self) -> tuple[set[int], bool]:
        """The alerts that were touched since the last look; whether those are all of them."""
        entries: Any = client().xrange(alerts.touched_key(), min=f"({self.touched}")
        first: Any = client().xrange(alerts.touched_key(), count=1)
        lost = self.touched != START and (not first or parse_id(first[0][0].decode()) > parse_id(self.touched))
        if entries:
            self.touched = entries[-1][0].decode()
        elif not first:
            self.touched = START
        return {int(fields[b"a"]) for _, fields in entries}, not lost

    def _see(self, world: World) -> None:
        self.world, self.names = world, world.names()

    def _differing(self) -> set[int]:
        """The alerts whose rows are not as they are here; and those about something that has changed."""
        rows = dict(Alert.objects.judged().values_list("pk", "version").iterator(_READ_AT_ONCE))
        known = {pk: one.version for pk, one in self.alerts.items()}
        differing = {pk for pk in rows.keys() | known.keys() if rows.get(pk) != known.get(pk)}
        return differing | self._changed_about()

    def _changed_about(self) -> set[int]:
        """Those whose instrument is gone, renamed or in another currency; all that look into portfolios, or wait for
        their owner's strategies."""
        before = self.world
        self._see(conditions.world((one.user_id, one.rule) for one in self.alerts.values()))
        changed = {
            i
            for i in before.instruments.keys() | self.world.instruments.keys()
            if before.instruments.get(i) != self.world.instruments.get(i)
        }
        looking = {
            pk
            for pk in self.timed
            if conditions.portfolios_of(rule := self.alerts[pk].rule) or conditions.strategies_of(rule)
        }
        return looking.union(*(self.about.get(i, ()) for i in changed)) if before.instruments else looking

    def _read(self, ids: Iterable[int], now: datetime) -> list[int]:
        """Read these rows again. Returns those that are judged from now on."""
        wanted = sorted(ids)
        found: list[int] = []
        for start in range(0, len(wanted), _READ_AT_ONCE):
            found += self._read_some(wanted[start : start + _READ_AT_ONCE], now)
        return found

    def _read_some(self, ids: Sequence[int], now: datetime) -> list[int]:
        rows = list(Alert.objects.judged().filter(pk__in=ids))
        understood = {row.pk: rule for row in rows if (rule := self._understood(row, now)) is not None}
        here = conditions.world((row.user_id, understood[row.pk]) for row in rows if row.pk in understood)
        self._see(self.world.with_also(here))
        for pk in ids:
            self._forget(pk)
        taken = []
        for row in rows:
            rule = understood.get(row.pk)
            wrong = None if rule is None else conditions.wrong_with(row, rule, here)
            if wrong is not None:
                alerts.break_off(row, wrong, now)
            elif rule is not None:
                self._take(_armed(row, rule))
                taken.append(row.pk)
        return taken

    def _understood(self, row: Alert, now: datetime) -> Rule | None:
        """Its rule; one that can't be read, such as of an indicator that is no more, is switched off."""
        try:
            alerts.state_of(row)
            return conditions.recall(row)
        except (rules.InvalidRule, msgspec.ValidationError) as error:
            alerts.break_off(row, f"It is not understood any more: {error}", now)
            return None

    def _take(self, one: Armed) -> None:
        self.alerts[one.pk] = one
        for i in one.instruments:
            self.about[i].add(one.pk)
        if one.plain is not None:
            self._put(one)
            return
        for ask in one.asks:
            if ask.kind in (rules.PRICE, rules.CHANGE_PERCENT) and ask.instrument is not None:
                self.trees[ask.instrument].add(one.pk)
        if any(ask.kind != rules.PRICE for ask in one.asks):
            self.timed.add(one.pk)

    def _forget(self, pk: int) -> None:
        one = self.alerts.pop(pk, None)
        if one is None:
            return
        self.levels.remove(pk)
        self.timed.discard(pk)
        self.unstored.pop(pk, None)
        for i in one.instruments:
            self.about[i].discard(pk)
            self.trees[i].discard(pk)

    def _put(self, one: Armed) -> None:
        """Say to the index what it waits for now."""
        if one.plain is not None and one.plain.ask.instrument is not None:
            self.levels.put(one.pk, one.plain.ask.instrument, watch(one.plain, one.terms, one.state))

    # --- What moved -----------------------------------------------------------------------------------------------

    def _moves(self, told: Mapping[str, Sequence[latest.Change]], now_us: int) -> dict[int, list[Seen]]:
        """What moved of the alerts' instruments, in its order: as the source tells that speaks for each now, if its
        price is live and believed, and not older than ALERT_MAX_AGE_S."""
        wanted = {
            change.instrument_id
            for changes in told.values()
            for change in changes
            if self.about.get(change.instrument_id)
        }
        best = latest.get(sorted(wanted), now_us) if wanted else {}
        oldest_us = now_us - int(settings.ALERT_MAX_AGE_S * 1e6)
        moves: defaultdict[int, list[Seen]] = defaultdict(list)
        for source, changes in told.items():
            for change in changes:
                speaking = best.get(change.instrument_id)
                if speaking is None or speaking.source != source or speaking.quality != latest.LIVE:
                    continue
                if change.time_us >= oldest_us and _is_price(change):
                    moves[change.instrument_id].append(_seen(change, source))
        return moves

    def _judge_moves(self, moves: Mapping[int, Sequence[Seen]], now: datetime) -> None:
        now_us = to_us(now)
        for instrument_id, looks in moves.items():
            for seen in looks:
                for pk in self.levels.hits(instrument_id, seen.low, seen.high, now_us):
                    one = self.alerts[pk]
                    # What moved before it was armed is no news; the price as it then was, it has looked at.
                    if seen.at_us >= (one.state.since_us or 0):
                        self._judge(one, {ask: seen for ask in one.asks}, now)
        moved: set[int] = set().union(*(self.trees.get(i, ()) for i in moves))
        if moved:
            self._judge_trees(moved, now, {i: _folded(looks) for i, looks in moves.items()})
        self._fire(now)

    def _look(self, ids: Collection[int], now: datetime) -> None:
        """Look at the market as it is: what was just read has seen nothing of it, or not all."""
        self._judge_trees([pk for pk in ids if pk in self.alerts], now, {})
        self._fire(now)

    def _judge_trees(self, ids: Collection[int], now: datetime, prices: Mapping[int, Seen]) -> None:
        facts = self._gather({ask for pk in ids for ask in self.alerts[pk].asks}, now, prices)
        for pk in ids:
            if (one := self.alerts.get(pk)) is not None:
                self._judge(one, {ask: facts[ask] for ask in one.asks if ask in facts}, now)

    # --- What the clock says --------------------------------------------------------------------------------------

    def _on_time(self, now: datetime) -> None:
        """What no change of a price tells: every ALERT_TIMER_INTERVAL_S."""
        if time.monotonic() < self.timer_at:
            return
        self.timer_at = time.monotonic() + settings.ALERT_TIMER_INTERVAL_S
        if alerts.expire_due(now):
            self.again |= {pk for pk, one in self.alerts.items() if _is_over(one, to_us(now))}
        self._judge_timed(now)
        if time.monotonic() >= self.demand_at:
            demand.want("alerts", [i for i, ids in self.about.items() if ids], settings.ALERT_DEMAND_TTL_S)
            self.demand_at = time.monotonic() + settings.ALERT_DEMAND_TTL_S / 3

    def _judge_timed(self, now: datetime) -> None:
        """Those of whose figures one is another than a moment ago, and those that wait for a moment."""
        asks = {ask for pk in self.timed for ask in self.alerts[pk].asks}
        facts = self._gather(asks, now, {})
        for pk in [*self.timed]:
            one = self.alerts.get(pk)
            if one is None:
                continue
            own = {ask: facts[ask] for ask in one.asks if ask in facts}
            if one.waits or any(self.last.get(ask) != seen for ask, seen in own.items()):
                self._judge(one, own, now)
        self._fire(now)
        self.last = facts

    # --- Judging --------------------------------------------------------------------------------------------------

    def _gather(self, asks: Collection[Ask], now: datetime, prices: Mapping[int, Seen]) -> dict[Ask, Seen]:
        """What is known of each. One that fails breaks the alerts that ask for it, and nobody else's."""
        if not asks:
            return {}
        try:
            found = self.facts.gather(asks, now, prices)
        except _AWAY:
            raise
        except Exception:
            logger.exception("figures of alerts fail: each is asked for by itself")
            found = {}
            for ask in asks:
                found |= self._gather_one(ask, now, prices)
        return {ask: usable for ask, seen in found.items() if (usable := _finite(seen)) is not None}

    def _gather_one(self, ask: Ask, now: datetime, prices: Mapping[int, Seen]) -> dict[Ask, Seen]:
        try:
            return self.facts.gather([ask], now, prices)
        except _AWAY:
            raise
        except Exception as error:
            logger.exception("nobody can tell %s", ask)
            what = rules.label(ask, self.names)
            for one in [one for one in self.alerts.values() if ask in one.asks]:
                self._break(one, f"{what or ask.kind} cannot be worked out: {type(error).__name__}.", now)
            return {}

    def _judge(self, one: Armed, facts: Mapping[Ask, Seen], now: datetime) -> None:
        """One look of one alert. Its trouble is its own."""
        now_us = to_us(now)
        muted = one.is_muted(now_us)
        if one.pk in self.firing:
            self._fire(now)  # it may have fired again: one generation after the other
            if one.pk not in self.alerts:
                return
        try:
            verdict = arming.judge(one.rule, one.terms, one.state, facts, now_us, muted, self.names)
        except Exception as error:
            logger.exception("alert %d cannot be judged", one.pk)
            self._break(one, f"It cannot be judged: {type(error).__name__}.", now)
            return
        one.state = verdict.state
        one.waits = muted or (one.state.cooling_until_us or 0) > now_us
        if verdict.fired is not None:
            self.firing[one.pk] = one, verdict
        elif verdict.moved:
            self.unstored[one.pk] = one
        self._put(one)
        if len(self.firing) >= _FIRE_AT_ONCE:
            self._fire(now)

    def _fire(self, now: datetime) -> None:
        """Tell what fired, all in one transaction. Where that fails, each by itself: one's trouble is its own."""
        firing, self.firing = list(self.firing.values()), {}
        if not firing:
            return
        try:
            done = alerts.fire_all(firing, now)
        except _AWAY:
            raise
        except Exception:
            logger.exception("alerts that fired together are told one by one")
            done = {}
            for one, verdict in firing:
                done |= self._fire_one(one, verdict, now)
        self.fired += len(done)
        metrics.count("signals.alerts_fired", len(done))
        for one, _ in firing:
            self.unstored.pop(one.pk, None)  # it is stored with its firing
            if one.pk not in done:
                self.again.add(one.pk)  # another fired it, or its owner changed it: what is here is old
            if one.pk not in done or one.state.phase == arming.SPENT:
                self._forget(one.pk)

    def _fire_one(self, one: Armed, verdict: Verdict, now: datetime) -> dict[int, Firing]:
        try:
            return alerts.fire_all([(one, verdict)], now)
        except _AWAY:
            raise
        except Exception as error:
            logger.exception("alert %d cannot be told", one.pk)
            self._break(one, f"It cannot be told: {type(error).__name__}.", now)
            return {}

    def _break(self, one: Armed, reason: str, now: datetime) -> None:
        alerts.break_off(one, reason, now)
        self._forget(one.pk)

    def _store(self) -> None:
        """What whoever takes over has to know: sides, counts, what was told. All at once, or again."""
        for start in range(0, len(waiting := list(self.unstored.values())), _READ_AT_ONCE):
            some = waiting[start : start + _READ_AT_ONCE]
            refused = {one.pk for one in some} - alerts.keep_all([(one, one.state) for one in some])
            for pk in refused:
                self._forget(pk)
            self.again |= refused
        self.unstored.clear()


def _armed(row: Alert, rule: Rule) -> Armed:
    return Armed(
        pk=row.pk,
        version=row.version,
        user_id=row.user_id,
        rule=rule,
        terms=alerts.terms_of(row),
        state=alerts.state_of(row),
        asks=rules.asks(rule),
        instruments=frozenset(conditions.instruments_of(rule)),
        plain=rules.plain_price(rule),
        snoozed_until_us=0 if row.snoozed_until is None else to_us(row.snoozed_until),
        regular=row.session == Alert.Session.REGULAR,
    )


def _is_over(one: Armed, now_us: int) -> bool:
    return one.terms.expires_us is not None and one.terms.expires_us <= now_us


def _is_price(change: latest.Change) -> bool:
    """A number above zero; feeds see to it, and nothing is told of what slips through."""
    return all(0 < value < math.inf for value in (change.last, change.low, change.high))


def _seen(change: latest.Change, source: str) -> Seen:
    return Seen(change.last, min(change.low, change.last), max(change.high, change.last), change.time_us, source=source)


def _folded(looks: Sequence[Seen]) -> Seen:
    """Several as one: the last, with the extremes of all."""
    low, high = min(seen.low for seen in looks), max(seen.high for seen in looks)
    return msgspec.structs.replace(looks[-1], low=low, high=high)


def _finite(seen: Seen) -> Seen | None:
    """As a number that a row can hold; None where it is none. A z-score after a flat hour is infinite."""
    if math.isnan(seen.value) or math.isnan(seen.low) or math.isnan(seen.high):
        return None
    if math.isfinite(seen.low) and math.isfinite(seen.high) and math.isfinite(seen.value):
        return seen
    return msgspec.structs.replace(seen, value=_cut(seen.value), low=_cut(seen.low), high=_cut(seen.high))


def _cut(value: float) -> float:
    return max(-sys.float_info.max, min(sys.float_info.max, value))


def _cursor_key() -> str:
    return key("alerts", "cursor")


def _read_cursor() -> latest.Cursor | None:
    stored = client().get(_cursor_key())
    return None if stored is None else msgspec.json.decode(stored, type=dict[str, str])
