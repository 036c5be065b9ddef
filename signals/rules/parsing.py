"""Conditions as people write them, read into trees within limits."""

from collections.abc import Callable

from signals.rules.fields import Fields, join
from signals.rules.kinds import READERS
from signals.rules.tree import EVENTS, All, Any, Defaults, InvalidRule, Leaf, Not, Rule, leaves


def parse(raw: object, resolve: Callable[[str], int | None], defaults: Defaults | None = None) -> Rule:
    """The rule that was written, every default filled in.

    {"all": [{"kind": "price", "symbol": "BTC-USD", "op": "above", "value": 70000, "clear": 69500},
             {"not": {"kind": "indicator", "name": "rsi(14)", "interval": "1h", "op": "above", "value": 70}}]}

    resolve: a symbol's instrument; None, or a LookupError, where there is none. Whether one may see a portfolio is the
    caller's to ask. Raises InvalidRule.
    """
    return _Parser(resolve, defaults or Defaults()).rule(raw, "", 1)


class _Parser:
    """One condition being read: how many leaves it has so far."""

    def __init__(self, resolve: Callable[[str], int | None], defaults: Defaults) -> None:
        self.resolve, self.defaults, self.leaves = resolve, defaults, 0

    def rule(self, raw: object, path: str, depth: int) -> Rule:
        if depth > self.defaults.depth_max:
            raise InvalidRule("", f"Nested more than {self.defaults.depth_max} deep.")
        if not isinstance(raw, dict):
            raise InvalidRule(path, "A condition is an object: all, any, not, or a leaf with a kind.")
        groups = [name for name in ("all", "any", "not") if name in raw]
        if not groups:
            return self.leaf(raw, path)
        if len(raw) > 1:
            raise InvalidRule(path, f"“{groups[0]}” stands alone: put the others beside it into an all or an any.")
        inside = join(path, groups[0])
        if groups[0] == "not":
            return self.contrary(raw["not"], inside, depth)
        parts = self.parts(raw[groups[0]], inside, depth)
        return All(parts) if groups[0] == "all" else Any(parts)

    def contrary(self, raw: object, path: str, depth: int) -> Rule:
        rule = self.rule(raw, path, depth + 1)
        if any(leaf.op in EVENTS for leaf in leaves(rule)):
            raise InvalidRule(path, "What crosses or occurs has no contrary; use above or below.")
        return Not(rule)

    def parts(self, raw: object, path: str, depth: int) -> tuple[Rule, ...]:
        if not isinstance(raw, list) or not raw:
            raise InvalidRule(path, "A list of conditions, at least one.")
        if len(raw) > self.defaults.leaves_max:
            raise self.too_many()
        return tuple(self.rule(part, f"{path}[{place}]", depth + 1) for place, part in enumerate(raw))

    def leaf(self, raw: dict[object, object], path: str) -> Leaf:
        self.leaves += 1
        if self.leaves > self.defaults.leaves_max:
            raise self.too_many()
        fields = Fields(raw, path, self.resolve, self.defaults)
        read = READERS[fields.word("kind", READERS)]
        leaf = read(fields)
        fields.no_others()
        return leaf

    def too_many(self) -> InvalidRule:
        return InvalidRule("", f"More than {self.defaults.leaves_max} conditions in one.")
