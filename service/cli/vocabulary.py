"""`exportgate policy facts`: the words a policy may use, and what it means that one is missing."""

from collections.abc import Iterator

from service.cli.output import AsJson, emit, say, say_table
from service.decide.facts import FactSpec
from service.decide.vocabulary import CATALOGUE_FACTS, VOCABULARY, WAITING

_CATALOGUE = frozenset(spec.name for spec in CATALOGUE_FACTS.values())
_SERVICE = frozenset(
    {"subject.kind", "account.known", "account.unread_events", "account.from_future", "item.in_catalogue"}
)

_UNFILLED = frozenset(WAITING).union(*(VOCABULARY[name].elements for name in WAITING))


def facts(*, as_json: AsJson = False) -> None:
    """Print every fact a policy may ask for: type, meaning, what its absence means, and where it comes from."""
    if as_json:
        for spec, element_of in _all():
            emit({"fact": spec.name, "type": spec.type.value, "meaning": spec.doc, "values": spec.values,
                  "unit": spec.unit or None, "absent": spec.absent, "source": _source(spec),
                  "element_of": element_of})  # fmt: skip
        return
    rows = [
        [f"{'  ' if element_of else ''}{spec.name}", spec.type.value, _meaning(spec), spec.absent, _source(spec)]
        for spec, element_of in _all()
    ]
    say_table(["fact", "type", "meaning", "absent means", "source"], rows, none="")
    say(
        "\nA fact that is absent is unknown: a rule that needs it holds. An indented fact belongs to the list above it."
    )


def _all() -> Iterator[tuple[FactSpec, str | None]]:
    """Every fact; one of a list's elements behind its list, with that list's name."""
    for spec in VOCABULARY.values():
        yield spec, None
        for element in spec.elements.values():
            yield element, spec.name


def _meaning(spec: FactSpec) -> str:
    return f"{spec.doc}: {', '.join(sorted(spec.values))}" if spec.values else spec.doc


def _source(spec: FactSpec) -> str:
    if spec.name in _SERVICE:
        return "the service"
    if spec.name in _CATALOGUE:
        return "catalogue"
    if spec.derived:
        return "derived"
    return "nothing yet" if spec.name in _UNFILLED else "event"
