"""Which rules are surely clear: one Python function for all of them, since most rules are clear for most customers.

Each condition becomes an expression that is true only where the condition is surely false. It may be too careful, never
too bold: what it does not clear is decided by the closures of `condition.py`, which alone give a rule its truth. Of a
document only names in the vocabulary reach the source; every operand is a constant beside it.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache

from service.decide.condition import All, AnyOf, Condition, Exists, ForAll, Leaf, Not, compile_condition
from service.decide.facts import Value
from service.decide.vocabulary import VOCABULARY

Clearing = Callable[[Mapping[str, Value]], list[int]]

_COUNTRY = 2
"""Letters of a place that tell its country: where they differ, the places differ."""
_ORDERED = {"at_least": (">=", "<"), "above": (">", "<="), "at_most": ("<=", ">"), "below": ("<", ">=")}
"""By operator: how it reads where it is surely so, and where surely not."""


def compile_clearing(conditions: Sequence[Condition]) -> Clearing:
    """A function of a mapping of values: the indices, in order, of those of `conditions` that are not surely false."""
    source = _Source()
    guarded: dict[str | None, list[str]] = {}
    for index, condition in enumerate(conditions):
        guard, rest = _guard(condition)
        line = f"if not ({source.sure(rest, wanted=False)}): found.append({index})"
        guarded.setdefault(guard, []).append(line)
    lines = ["def suspects(v):", " g = v.get", " found = []", *source.beforehand()]
    for guard, several in guarded.items():
        lines.append(" if True:" if guard is None else f" if {guard!r} in v:")
        lines += [f"  {line}" for line in several]
    lines += [" found.sort()", " return found"]
    names: dict[str, object] = {"countries": _countries, "numbers": (int, Decimal), **source.constants}
    exec(compile("\n".join(lines), "<policy>", "exec"), names)  # noqa: S102 -- made of our own words alone, see above
    return names["suspects"]  # type: ignore[return-value]


def _guard(condition: Condition) -> tuple[str | None, Condition]:
    """The fact without which `condition` is false, and what is left to ask where it is known."""
    for part in condition.parts if isinstance(condition, All) else ():
        match part:
            case Leaf(fact=fact, operator="known", operand=True):
                return fact, All(tuple(one for one in condition.parts if one is not part))  # type: ignore[union-attr]
    return None, condition


@lru_cache(maxsize=4096)
def _countries(places: object) -> frozenset[str] | None:
    """The countries of a tuple of places; None for anything else."""
    return frozenset([place[:_COUNTRY] for place in places]) if isinstance(places, tuple) else None


class _Source:
    """Expressions over the values `v` and, inside a list, over its element `e`; each list is gone through once."""

    def __init__(self) -> None:
        self.constants: dict[str, object] = {}
        self._names: dict[tuple[type, object], str] = {}
        self._asked: dict[str, dict[str, str]] = {}
        self._places: dict[str, str] = {}

    def beforehand(self) -> list[str]:
        """Lines that find once what several expressions ask: countries of places, and answers about elements."""
        lines = [f" {name} = countries(g({fact!r}))" for fact, name in self._places.items()]
        lines += [f" {answer} = False" for asked in self._asked.values() for answer in asked.values()]
        for fact, asked in self._asked.items():
            lines += [f" if {fact!r} in v:", f"  for e in v[{fact!r}]:", "   h = e.get"]
            lines += [f"   if {meets}: {answer} = True" for meets, answer in asked.items()]
        return lines

    def sure(self, condition: Condition, *, wanted: bool, inside: str | None = None) -> str:
        """An expression that is true only where the condition surely is what is wanted; `inside` names a list."""
        match condition:
            case All(parts):
                text = self._joined(parts, "and" if wanted else "or", wanted, inside)
            case AnyOf(parts):
                text = self._joined(parts, "or" if wanted else "and", wanted, inside)
            case Not(part):
                text = self.sure(part, wanted=not wanted, inside=inside)
            case Exists(fact, where) if inside is None:
                text = self._of_elements(fact, where, wanted=wanted, some=wanted)
            case ForAll(fact, where) if inside is None:
                text = self._of_elements(fact, where, wanted=wanted, some=not wanted)
            case Leaf():
                text = self._leaf(condition, wanted, inside)
            case _:
                text = "False"
        return text

    def _joined(self, parts: tuple[Condition, ...], word: str, wanted: bool, inside: str | None) -> str:  # noqa: FBT001
        written = [self.sure(part, wanted=wanted, inside=inside) for part in parts]
        return f"({f' {word} '.join(written)})" if written else str(word == "and")

    def _of_elements(self, fact: str, where: Condition, *, wanted: bool, some: bool) -> str:
        """Some element of the list surely fits, or each surely does: none is met that does not."""
        fits = self.sure(where, wanted=wanted, inside=fact)
        asked = self._asked.setdefault(fact, {})
        name = f"x{sum(map(len, self._asked.values()))}"
        answer = asked.setdefault(fits if some else f"not {fits}", name)
        return answer if some else f"({fact!r} in v and not {answer})"

    def _leaf(self, leaf: Leaf, wanted: bool, inside: str | None) -> str:  # noqa: FBT001 -- as `sure`, many times
        own = inside is not None and leaf.fact in VOCABULARY[inside].elements
        fact, values, get = repr(leaf.fact), "e" if own else "v", "h" if own else "g"
        operand = leaf.operand if isinstance(leaf.operand, frozenset) else frozenset([str(leaf.operand)])
        match leaf.operator:
            case "known":
                text = f"{fact} {'in' if leaf.operand is wanted else 'not in'} {values}"
            case _ if leaf.assured > 1:
                text = self._by_closure(leaf, wanted, inside)
            case "is":
                one = self._constant(leaf.operand)
                text = f"{get}({fact}) == {one}" if wanted else f"{get}({fact}, {one}) != {one}"
            case "in":
                sign = "in" if wanted else "not in"
                text = f"({fact} in {values} and {values}[{fact}] {sign} {self._constant(operand)})"
            case "overlaps":
                no = "not " if wanted else ""
                text = f"(isinstance(p := {get}({fact}), tuple) and {no}{self._constant(operand)}.isdisjoint(p))"
            case "is_place" | "in_places" if not wanted:
                meant = self._constant(_countries(tuple(operand)))
                text = f"(isinstance(p := {get}({fact}), str) and p[:{_COUNTRY}] not in {meant})"
            case "overlaps_places" if not wanted:
                meant = self._constant(_countries(tuple(operand)))
                found = "p" if own else self._places.setdefault(leaf.fact, f"n{len(self._places)}")
                met = f"p := countries(h({fact}))" if own else found
                text = f"(({met}) is not None and {meant}.isdisjoint({found}))"
            case "at_least" | "above" | "at_most" | "below":
                limit = leaf.operand if isinstance(leaf.operand, int) else Decimal(str(leaf.operand))
                sign = _ORDERED[leaf.operator][0 if wanted else 1]
                text = f"(isinstance(p := {get}({fact}), numbers) and p {sign} {self._constant(limit)})"
            case _:
                text = self._by_closure(leaf, wanted, inside)
        return text

    def _by_closure(self, leaf: Leaf, wanted: bool, inside: str | None) -> str:  # noqa: FBT001 -- as `_leaf`
        return "False" if inside is not None else f"{self._constant(compile_condition(leaf))}(v) is {wanted}"

    def _constant(self, value: object) -> str:
        name = self._names.setdefault((type(value), value), f"c{len(self.constants)}")
        self.constants[name] = value
        return name
