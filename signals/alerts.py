"""Making, changing and firing alerts: the only file that writes them.

A firing is one transaction under the alert's lock: the firing, the alert's state, the notification with its deliveries,
and the events about it are written together or not at all. Each generation fires once, whoever judged it.
"""

import datetime as dt
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.utils import timezone

from ingestion import demand
from ingestion.candles import INTERVALS
from ingestion.models import Instrument
from ingestion.store import to_datetime, to_us
from signals import arming, conditions, notifications, rules
from signals.arming import Fired, State, Terms, Verdict
from signals.models import Alert, Firing, Notification
from signals.models.alerts import REASON_MAX
from signals.notifications import Telling
from signals.rules import InvalidRule, Names, Rule
from streaming import events
from streaming.protocol import timestamp
from worker.redis import client, key

logger = logging.getLogger(__name__)

NAME_MAX: Final = 120
# Whoever changes one of these asks for something else: what was seen before counts no more.
_ASKED: Final = (
    "instrument", "condition", "mode", "bar_interval", "confirmations", "cooldown_s", "escalating", "session",
    "at_once",
)  # fmt: skip


_EXPIRED: Final = "Its time is over."


class Judged(Protocol):
    """An alert as it was when it was judged: which one, and which version of it."""

    @property
    def pk(self) -> int: ...

    @property
    def version(self) -> int: ...


class Refused(Exception):
    """It can't be done. errors: field → sentence."""

    def __init__(self, **errors: str) -> None:
        super().__init__("; ".join(errors.values()))
        self.errors = errors


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for, its form checked. The fields are those of `Alert`."""

    condition: dict[str, Any]
    name: str = ""
    instrument: Instrument | None = None
    mode: str = Alert.Mode.ONCE
    bar_interval: str = ""
    confirmations: int = 1
    cooldown_s: float = 0.0
    escalating: bool = False
    at_once: bool = True
    expires_at: dt.datetime | None = None
    session: str = Alert.Session.ANY
    priority: str = Notification.Priority.NORMAL
    note: str = ""


# --- What users do --------------------------------------------------------------------------------------------------


def create(user: Any, wish: Wish, now: dt.datetime, enabled: bool = True) -> Alert:
    """Make an alert that is armed from now on. Raises Refused."""
    columns = _columns(user, wish)
    with transaction.atomic():
        # Whoever makes two at once makes them one after the other, so that the limit is one.
        get_user_model().objects.select_for_update(no_key=True).get(pk=user.pk)
        most = settings.ALERT_MAX_PER_USER
        if Alert.objects.filter(user=user).count() >= most:
            raise Refused(detail=f"You have {most} alerts, which is the most.")
        alert = Alert(user=user, **columns, **_status(enabled), asked_at=now, updated_at=now)
        alert.state = _begun(alert, now)
        alert.save()
        _touch_on_commit(alert)
    return alert


def draft(user: Any, wish: Wish) -> Alert:
    """The alert that it would be; nothing is stored. Raises Refused."""
    return Alert(user=user, **_columns(user, wish))


def edit(alert: Alert, changes: Mapping[str, Any], now: dt.datetime, enabled: bool | None = None) -> Alert:
    """Change what is named, by the names of `Wish`; what was asked anew is armed anew. Raises Refused."""
    with transaction.atomic():
        row = locked(alert)
        before = {field: getattr(row, field) for field in Wish.__struct_fields__}
        wish = Wish(**before | dict(changes))
        if "condition" in changes and "name" not in changes and row.name == _name(row):
            wish = msgspec.structs.replace(wish, name="")
        asked_anew = any(getattr(wish, field) != before[field] for field in _ASKED)
        prolonged = row.status_at(now) == Alert.Status.EXPIRED and wish.expires_at != row.expires_at
        columns = _columns(row.user, wish) if asked_anew else _named(row, wish)
        for field, value in columns.items():
            setattr(row, field, value)
        if "condition" in changes:
            row.asked_at = now
        if enabled is None and (asked_anew or prolonged):
            enabled = row.status != Alert.Status.DISABLED
        if enabled is not None:
            _arm(row, now, rearmed=not asked_anew, enabled=enabled)
        _store(row)
    return row


def snooze(alert: Alert, until: dt.datetime | None) -> Alert:
    """Tell nothing until then; None: tell again. What comes true meanwhile and lasts is told afterwards."""
    with transaction.atomic():
        row = locked(alert)
        row.snoozed_until = until
        _store(row)
    return row


def rearm(alert: Alert, now: dt.datetime) -> Alert:
    """Begin anew with the next generation, whatever became of it. What is true now has to be false first.

    Raises Refused for one that has expired, or that cannot be judged.
    """
    return edit(alert, {}, now, enabled=True)


def delete(alert: Alert) -> None:
    """With its firings; what was told stays told."""
    with transaction.atomic():
        pk = alert.pk
        locked(alert).delete()  # under its lock: no firing is added meanwhile
        transaction.on_commit(lambda: touch([pk]), robust=True)


def _columns(user: Any, wish: Wish) -> dict[str, Any]:
    """The wish as columns, its condition understood."""
    try:
        understood = conditions.understand(wish.condition, user, wish.instrument)
    except InvalidRule as error:
        raise Refused(condition=_placed(error)) from error
    if wish.session == Alert.Session.REGULAR and not conditions.instruments_of(understood.rule):
        raise Refused(session="Nothing in the condition trades in sessions.")
    columns = msgspec.structs.asdict(wish)
    columns |= {"condition": understood.written, "names": understood.names, "currencies": understood.currencies}
    columns["bar_interval"] = wish.bar_interval or _shortest(understood.rule)
    if not wish.name:
        names = conditions.world([(user.pk, understood.rule)]).names()
        columns["name"] = _cut(rules.describe(understood.rule, names), NAME_MAX)
    return columns


def _named(row: Alert, wish: Wish) -> dict[str, Any]:
    """What may change without asking for something else."""
    kept = {field: getattr(wish, field) for field in Wish.__struct_fields__ if field not in _ASKED}
    return kept | {"name": wish.name or _name(row)}


def _name(row: Alert) -> str:
    """What it is called when nobody calls it something."""
    return _cut(conditions.in_words(row, conditions.names_of([row])), NAME_MAX)


def _placed(error: InvalidRule) -> str:
    """`condition.all[1].clear: …`"""
    return f"condition{'.' if error.path and not error.path.startswith('[') else ''}{error.path}: {error.message}"


def _shortest(rule: Rule) -> str:
    """The shortest interval in it; a minute where there is none."""
    named = {str(ask.get("interval")) for ask in rules.asks(rule)} & INTERVALS.keys()
    return min(named, key=INTERVALS.__getitem__, default="1m")


def _arm(row: Alert, now: dt.datetime, rearmed: bool, enabled: bool) -> None:
    if enabled and row.expires_at is not None and row.expires_at <= now:
        raise Refused(expires_at=f"It expired at {row.expires_at:%Y-%m-%d %H:%M:%S} UTC: give it a later end, or none.")
    if enabled and rearmed and (wrong := _wrong_with(row)):
        raise Refused(condition=f"condition: {wrong}")
    for field, value in _status(enabled).items():
        setattr(row, field, value)
    row.state = _begun(row, now, rearmed)
    row.updated_at = now


def _wrong_with(row: Alert) -> str | None:
    try:
        rule = conditions.recall(row)
        return conditions.wrong_with(row, rule, conditions.world([(row.user_id, rule)]))
    except InvalidRule as error:
        return str(error)


def _status(enabled: bool) -> dict[str, str]:
    if enabled:
        return {"status": str(Alert.Status.ARMED), "reason": ""}
    return {"status": str(Alert.Status.DISABLED), "reason": "Switched off by its owner."}


def _begun(row: Alert, now: dt.datetime, rearmed: bool = False) -> Any:
    return msgspec.to_builtins(arming.begun(to_us(now), row.generation, rearmed))


def locked(alert: Alert) -> Alert:
    """It as it is, until the caller's transaction is over. Raises Alert.DoesNotExist for one that is gone."""
    rows = Alert.objects.select_related("instrument", "user").select_for_update(of=("self",), no_key=True)
    return rows.get(pk=alert.pk)


def _store(row: Alert) -> None:
    """What its owner did to it: whoever has judged it as it was has judged another one."""
    row.version += 1
    row.save(update_fields=[f.name for f in Alert._meta.concrete_fields if f.name not in ("id", "user", "created_at")])
    _touch_on_commit(row)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


# --- What becomes of them -------------------------------------------------------------------------------------------


def terms_of(alert: Alert) -> Terms:
    """What its owner wants, as the rules of arming see it."""
    return Terms(
        mode=alert.mode,
        bar_us=INTERVALS[alert.bar_interval or "1m"],
        confirmations=alert.confirmations,
        cooldown_us=round(alert.cooldown_s * 1e6),
        escalate=alert.escalating,
        expires_us=None if alert.expires_at is None else to_us(alert.expires_at),
        at_once=alert.at_once,
    )


def state_of(alert: Alert) -> State:
    """How far it had got when it was stored. Raises msgspec.ValidationError."""
    return msgspec.convert(alert.state, State)


def is_ready(alert: Alert) -> bool:
    """Whether a look may fire it: it has not been told of what is true now, and is not cooling down."""
    state = state_of(alert)
    return state.phase == arming.ARMED and not state.told and cooling_until(alert) is None


def cooling_until(alert: Alert) -> dt.datetime | None:
    """Until when it tells nothing because it fired; None where it isn't cooling."""
    until_us = state_of(alert).cooling_until_us
    return None if until_us is None or until_us <= to_us(timezone.now()) else to_datetime(until_us)


def fire(alert: Judged, verdict: Verdict, now: dt.datetime) -> Firing | None:
    """As `fire_all`, of one; None where it is to be read again."""
    return fire_all([(alert, verdict)], now).get(alert.pk)


def fire_all(judged: Sequence[tuple[Judged, Verdict]], now: dt.datetime) -> dict[int, Firing]:
    """Tell their owners, once a generation, however many judged them. How many they are costs no further queries.

    judged: alerts as they were when they were judged, each once. Those that were changed, silenced, or fired by another
    in the meantime are missing from the answer: they are to be read again.
    """
    verdicts = {(alert.pk, alert.version): verdict for alert, verdict in judged}
    with transaction.atomic():
        fired: list[tuple[Alert, Firing]] = []
        rows = _locked_all([alert.pk for alert, _ in judged])
        hidden = _hidden(rows)
        for row in rows:
            verdict = None if row.pk in hidden else verdicts.get((row.pk, row.version))
            if verdict is not None and verdict.fired is not None and _may_fire(row, verdict.fired, now):
                fired.append((row, _firing(row, verdict.fired, now)))
                _follow_up(row, verdict.state, verdict.fired)
        Firing.objects.bulk_create([firing for _, firing in fired])
        _store_fired([row for row, _ in fired])
        called = conditions.symbols_of(row for row, _ in fired)
        tellings = [(row.user_id, _telling(row, firing, called)) for row, firing in fired]
        events.append([notifications.message(one) for one in notifications.record_all(tellings)])
    return {row.pk: firing for row, firing in fired}


# `bulk_update` would build an expression for each cell, which takes longer than all the rest.
_STORE_FIRED: Final = f"""
    UPDATE {Alert._meta.db_table} AS alert
    SET state = fired.state, generation = fired.generation, last_fired_at = fired.at, status = fired.status,
        reason = fired.reason
    FROM unnest(%s::bigint[], %s::jsonb[], %s::integer[], %s::timestamptz[], %s::text[], %s::text[])
        AS fired (id, state, generation, at, status, reason)
    WHERE alert.id = fired.id
"""  # noqa: S608 - only the table's name is put in

# Only where nobody stored another version or generation since it was judged.
_KEEP: Final = f"""
    UPDATE {Alert._meta.db_table} AS alert SET state = kept.state
    FROM unnest(%s::bigint[], %s::integer[], %s::integer[], %s::jsonb[]) AS kept (id, version, generation, state)
    WHERE alert.id = kept.id AND alert.version = kept.version AND alert.generation = kept.generation
        AND alert.status = 'armed'
    RETURNING alert.id
"""  # noqa: S608 - only the table's name is put in


def keep_all(judged: Sequence[tuple[Judged, State]]) -> set[int]:
    """Store how far they have got, unless another stored something since they were judged. Returns those stored."""
    rows = [(one.pk, one.version, state.generation, msgspec.json.encode(state).decode()) for one, state in judged]
    if not rows:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(_KEEP, _columns_of(rows))
        return {pk for (pk,) in cursor.fetchall()}


def _store_fired(rows: Sequence[Alert]) -> None:
    """Under their locks."""
    cells = [
        (row.pk, msgspec.json.encode(row.state).decode(), row.generation, row.last_fired_at, row.status, row.reason)
        for row in rows
    ]
    if cells:
        with connection.cursor() as cursor:
            cursor.execute(_STORE_FIRED, _columns_of(cells))


def _columns_of(rows: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Rows as `unnest` takes them."""
    return [list(column) for column in zip(*rows, strict=True)]


def rescale(row: Alert, instrument_id: int, ratio: float) -> bool:
    """Bring its thresholds into the terms after a split; part of the caller's transaction, under the alert's lock.

    Its sides, its count and its cooldown stay. False where none of them is a price of the instrument.
    """
    rule = conditions.recall(row)
    after = rules.rescaled(rule, instrument_id, ratio)
    if after == rule:
        return False
    names = Names({i: name for name, i in sorted(row.names.items())})
    own_name = row.name == _name(row)
    row.state = msgspec.to_builtins(arming.rescaled(rule, state_of(row), instrument_id, ratio))
    row.condition = rules.wire(after, names)
    row.name = _name(row) if own_name else row.name
    _store(row)
    return True


def expire_due(now: dt.datetime) -> int:
    """End those whose time is over. Returns how many."""
    due = Alert.objects.filter(status=Alert.Status.ARMED, expires_at__lte=now)
    return due.update(status=Alert.Status.EXPIRED, reason=_EXPIRED)


def break_off(alert: Judged, reason: str, now: dt.datetime) -> None:
    """It cannot be judged: it is left out, and its owner told why, once."""
    with transaction.atomic():
        row = _as_judged(alert)
        if row is None or row.status != Alert.Status.ARMED:
            return
        Alert.objects.filter(pk=row.pk).update(
            status=Alert.Status.BROKEN, reason=_cut(reason, REASON_MAX), version=row.version + 1
        )
        told = notifications.record(
            [row.user_id],
            Telling(
                title=f"Alert off: {row.name}",
                message=f"“{row.name}” cannot be judged any more and is switched off. {reason}",
                notification_type="alert",
                dedupe_key=f"alert:{row.pk}:broken:{row.version}",
                priority=Notification.Priority.HIGH,
                data={"alert_id": row.pk, "status": str(Alert.Status.BROKEN), "reason": reason},
            ),
        )
        events.append([notifications.message(one) for one in told])


def _as_judged(alert: Judged) -> Alert | None:
    return next((row for row in _locked_all([alert.pk]) if row.version == alert.version), None)


def _locked_all(ids: Sequence[int]) -> list[Alert]:
    """In the order of their ids, so that no two wait for each other."""
    rows = Alert.objects.select_related("instrument").select_for_update(of=("self",), no_key=True)
    return list(rows.filter(pk__in=ids).order_by("pk"))


def _may_fire(row: Alert, fired: Fired, now: dt.datetime) -> bool:
    return row.generation == fired.generation - 1 and row.status_at(now) == Alert.Status.ARMED


def _hidden(rows: Iterable[Alert]) -> set[int]:
    """Those that look into a portfolio that their owner may no longer see: nothing of it is told any more."""
    looking = [(row, rule) for row in rows if conditions.portfolios_of(rule := conditions.recall(row))]
    now = conditions.world((row.user_id, rule) for row, rule in looking)
    return {row.pk for row, rule in looking if conditions.wrong_with(row, rule, now)}


def _firing(row: Alert, fired: Fired, now: dt.datetime) -> Firing:
    return Firing(
        alert=row,
        generation=fired.generation,
        at=to_datetime(fired.at_us),
        recorded_at=now,
        late_s=max(0.0, (to_us(now) - fired.at_us) / 1e6),
        observed=fired.observed,
        reason=_cut(fired.reason, REASON_MAX),
        gapped=fired.gapped,
        condition=row.condition,
    )


def _follow_up(row: Alert, state: State, fired: Fired) -> None:
    """The alert after its firing."""
    row.state = msgspec.to_builtins(state)
    row.generation = fired.generation
    row.last_fired_at = to_datetime(fired.at_us)
    if state.phase == arming.SPENT:
        row.status, row.reason = str(Alert.Status.FIRED), _cut(fired.reason, REASON_MAX)


def _telling(row: Alert, firing: Firing, called: Mapping[int, str]) -> Telling:
    message = f"{firing.reason}. {row.note}" if row.note else firing.reason
    return Telling(
        title=row.name,
        message=message,
        notification_type="alert",
        dedupe_key=f"alert:{row.pk}:{firing.generation}",
        priority=row.priority,
        data={
            "alert_id": row.pk,
            "generation": firing.generation,
            "symbol": _symbol(row, called),
            "observed": firing.observed,
            "reason": firing.reason,
            "gapped": firing.gapped,
            "condition": firing.condition,
            "fired_at": timestamp(to_us(firing.at)),
            "late_s": firing.late_s,
        },
    )


def _symbol(row: Alert, called: Mapping[int, str]) -> str | None:
    """The instrument that it is about; None where it is about several or none."""
    if row.instrument is not None:
        return row.instrument.symbol
    about = {called[i] for i in row.names.values() if i in called}
    return about.pop() if len(about) == 1 else None


# --- For the follower -----------------------------------------------------------------------------------------------


def touch(alert_ids: Iterable[int]) -> None:
    """Something happened to them: whoever keeps them in memory reads them again. Raises redis.RedisError."""
    most = settings.ALERT_TOUCHED_MAX_ENTRIES
    for alert_id in alert_ids:
        client().xadd(touched_key(), {"a": alert_id}, maxlen=most, approximate=True)


def _touch_on_commit(row: Alert) -> None:
    pk, wanted = row.pk, {*row.names.values(), row.instrument_id} - {None}

    def tell() -> None:
        touch([pk])
        demand.want("alerts", wanted, settings.ALERT_DEMAND_TTL_S)

    transaction.on_commit(tell, robust=True)


def touched_key() -> str:
    """The stream of alerts that were made, changed or taken away: entries `a` = id."""
    return key("alerts", "touched")
