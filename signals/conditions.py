"""Conditions between what people write and the rules: the instruments, portfolios and currencies that they name."""

import copy
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec
from django.conf import settings
from django.contrib.auth import get_user_model

from ingestion import symbols
from ingestion.models import Instrument
from portfolio.models import Portfolio
from signals import rules, strategies, strategy_files
from signals.facts import services
from signals.models import Alert, UserStrategy
from signals.rules import Defaults, InvalidRule, Names, Rule

# The name of the alert's own instrument among its names.
OWN: Final = ""


class Condition(msgspec.Struct, frozen=True):
    """A condition as it was understood. written: as it is stored. names, currencies: as `Alert` keeps them."""

    rule: Rule
    written: Any
    names: dict[str, int]
    currencies: dict[str, str]


class World(msgspec.Struct, frozen=True):
    """What conditions are about, as it is now. instruments: symbol and currency; portfolios: name and base currency;
    visible: (user, portfolio) for those who may see one; strategies: (user, number) of users' own."""

    instruments: dict[int, tuple[str, str]]
    portfolios: dict[int, tuple[str, str]]
    visible: frozenset[tuple[int, int]]
    strategies: frozenset[tuple[int, int]] = frozenset()

    def with_also(self, other: "World") -> "World":
        return World(
            self.instruments | other.instruments,
            self.portfolios | other.portfolios,
            self.visible | other.visible,
            self.strategies | other.strategies,
        )

    def names(self) -> Names:
        """What all of it is called."""
        return Names(
            {number: symbol for number, (symbol, _) in self.instruments.items()},
            {number: name for number, (name, _) in self.portfolios.items()},
        )


def world(wanted: Iterable[tuple[int, Rule]]) -> World:
    """For the rules of users, by user id: a few queries, and one for each user whose rules look into portfolios."""
    instruments, portfolios, numbers = set[int](), defaultdict[int, set[int]](set), set[int]()
    for user_id, rule in wanted:
        numbers |= strategies_of(rule)
        for ask in rules.asks(rule):
            if ask.instrument is not None:
                instruments.add(ask.instrument)
            if ask.portfolio is not None:
                portfolios[user_id].add(ask.portfolio)
    rows = Instrument.objects.filter(pk__in=instruments).values_list("pk", "symbol", "currency")
    owned, visible = dict[int, tuple[str, str]](), set[tuple[int, int]]()
    for user in get_user_model().objects.filter(pk__in=portfolios):
        found = Portfolio.objects.visible_to(user).filter(pk__in=portfolios[user.pk])
        for pk, name, currency in found.values_list("pk", "name", "base_currency"):
            owned[pk] = name, currency
            visible.add((user.pk, pk))
    called = {pk: (symbol, currency) for pk, symbol, currency in rows}
    return World(called, owned, frozenset(visible), _owned(numbers))


def _owned(numbers: Collection[int]) -> frozenset[tuple[int, int]]:
    rows = UserStrategy.objects.filter(pk__in=numbers) if numbers else UserStrategy.objects.none()
    return frozenset(rows.order_by().values_list("user_id", "pk"))


def understand(raw: Any, user: Any, instrument: Instrument | None) -> Condition:
    """What a user asks for now. instrument: what parts are about that name none.

    Raises InvalidRule: an unknown symbol, and a portfolio or a strategy that the user may not see, is one that isn't
    there.
    """
    names: dict[str, int] = {} if instrument is None else {OWN: instrument.pk, instrument.symbol: instrument.pk}

    def resolve(name: str) -> int | None:
        try:
            found = symbols.resolve(name).pk
        except symbols.UnknownSymbol:
            return None
        names[symbols.normalize(name)] = found
        return found

    _refuse_what_no_row_holds(raw)
    defaults = _defaults(user.pk, None if instrument is None else instrument.pk)
    present = msgspec.structs.replace(
        defaults,
        parts=services.parts(),
        strategies=frozenset([*strategies.KINDS, *strategy_files.available()]),
        own_strategies=dict(UserStrategy.objects.filter(user_id=user.pk).order_by().values_list("pk", "name")),
    )
    rule = rules.parse(raw, resolve, present)
    now = world([(user.pk, rule)])
    _refuse_foreign_portfolios(raw, {portfolio for _, portfolio in now.visible}, rule)
    return Condition(rule, _pinned(raw, rule), names, currencies_of(rule, now))


def recall(alert: Alert) -> Rule:
    """The rule of a stored alert, its names as they were meant when it was made. Raises InvalidRule."""
    names: Mapping[str, int] = alert.names
    # A strategy file may be away for a moment: what was a kind once is not unknown.
    kinds = frozenset(name for _, part in _parts(alert.condition, "") if isinstance(name := part.get("strategy"), str))
    defaults = msgspec.structs.replace(_defaults(alert.user_id, names.get(OWN)), strategies=kinds)
    return rules.parse(alert.condition, lambda name: names.get(symbols.normalize(name)), defaults)


def _defaults(user_id: int, instrument_id: int | None) -> Defaults:
    return Defaults(
        instrument=instrument_id,
        user=user_id,
        depth_max=settings.ALERT_MAX_DEPTH,
        leaves_max=settings.ALERT_MAX_LEAVES,
    )


def wrong_with(alert: Alert, rule: Rule, now: World) -> str | None:
    """Why a stored alert cannot be judged any more: something that it is about is gone, or another's, or other money.

    None while it can.
    """
    if gone := instruments_of(rule) - now.instruments.keys():
        called = {i: name for name, i in alert.names.items() if name}
        return f"{', '.join(sorted(called.get(i, f'Instrument {i}') for i in gone))} does not exist any more."
    for portfolio_id in portfolios_of(rule):
        if (alert.user_id, portfolio_id) not in now.visible:
            return f"There is no portfolio {portfolio_id} any more, or it is no longer shared with you."
    for ask in rules.asks(rule):
        number = ask.get("strategy_id")
        if number is not None and (alert.user_id, int(number)) not in now.strategies:
            return f"You have no strategy “{ask.get('strategy')}” any more."
    for name, currency in currencies_of(rule, now).items():
        if alert.currencies.get(name, currency) != currency:
            return f"{name} is in {currency} now; the thresholds are in {alert.currencies[name]}."
    return None


def instruments_of(rule: Rule) -> set[int]:
    """Those that it looks at."""
    return {ask.instrument for ask in rules.asks(rule) if ask.instrument is not None}


def portfolios_of(rule: Rule) -> set[int]:
    """Those that it looks into."""
    return {ask.portfolio for ask in rules.asks(rule) if ask.portfolio is not None}


def strategies_of(rule: Rule) -> set[int]:
    """The numbers of users' own strategies whose signals it waits for."""
    return {int(number) for ask in rules.asks(rule) if (number := ask.get("strategy_id")) is not None}


def currencies_of(rule: Rule, now: World) -> dict[str, str]:
    """What the thresholds in money are in: by symbol, or `portfolio:<id>`."""
    found = {}
    for ask in rules.asks(rule):
        if rules.unit_of(ask) != "price":
            continue
        if ask.portfolio is not None:
            _, found[f"portfolio:{ask.portfolio}"] = now.portfolios[ask.portfolio]
        elif ask.instrument is not None:
            symbol, currency = now.instruments[ask.instrument]
            found[symbol] = currency
    return dict(sorted(found.items()))


def symbols_of(alerts: Iterable[Alert]) -> dict[int, str]:
    """What the instruments in the alerts are called now."""
    ids = {i for alert in alerts for i in alert.names.values()}
    return dict(Instrument.objects.filter(pk__in=ids).values_list("pk", "symbol"))


def names_of(alerts: Iterable[Alert]) -> Names:
    """What the alerts are about, as it is called now; portfolios by name only where they may be seen."""
    understood = ((alert.user_id, _recalled(alert)) for alert in alerts)
    return world((user_id, rule) for user_id, rule in understood if rule is not None).names()


def _recalled(alert: Alert) -> Rule | None:
    try:
        return recall(alert)
    except InvalidRule:
        return None


def in_words(alert: Alert, names: Names) -> str:
    """The condition as a sentence; of one that isn't understood any more, why."""
    try:
        return rules.describe(recall(alert), names)
    except InvalidRule as error:
        return str(error)


def _refuse_foreign_portfolios(raw: Any, visible: set[int], rule: Rule) -> None:
    foreign = {str(pk) for pk in portfolios_of(rule) - visible}
    for path, part in _parts(raw, ""):
        if foreign and (called := str(part.get("portfolio"))) in foreign:
            raise InvalidRule(f"{path}.portfolio".lstrip("."), f"There is no portfolio {called}.")
    if foreign:
        raise InvalidRule("", f"There is no portfolio {min(foreign)}.")


def _pinned(raw: Any, rule: Rule) -> Any:
    """The condition with its owner's strategies by their numbers: renamed they stay what was meant."""
    written = copy.deepcopy(raw)
    for (_, part), leaf in zip(_parts(written, ""), rules.leaves(rule), strict=True):
        if (number := leaf.ask.get("strategy_id")) is not None:
            part.update(strategy=leaf.ask.get("strategy"), strategy_id=number)
    return written


def _parts(raw: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The comparisons in a condition that was understood, by their places."""
    if "not" in raw:
        yield from _parts(raw["not"], f"{path}.not".lstrip("."))
        return
    for name in ("all", "any"):
        if name in raw:
            for at, part in enumerate(raw[name]):
                yield from _parts(part, f"{path}.{name}[{at}]".lstrip("."))
            return
    yield path, raw


def _refuse_what_no_row_holds(raw: Any) -> None:
    """PostgreSQL keeps neither NUL nor half a character."""
    try:
        written = msgspec.json.encode(raw)
    except (UnicodeEncodeError, RecursionError, TypeError) as error:
        raise InvalidRule("", "It has characters that are none, or is nested too deeply.") from error
    if rb"\u0000" in written:
        raise InvalidRule("", "It has characters that are none.")
