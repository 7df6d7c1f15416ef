"""Golden cases: what a lawyer expects of a version, stated beside its rules and run before it is published. Pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from service.decide.decision import Result, Verdict
from service.decide.evaluate import evaluate
from service.decide.facts import Assurance, Authorization, Facts, FactSpec, FactType, Item, Value
from service.decide.policy import Policy
from service.decide.values import read_value
from service.decide.vocabulary import VOCABULARY
from service.policies.document import Document, Path
from service.policies.model import AnyForm, Form, Instant, Text, read_form, read_instant
from service.policies.refusal import PolicyRefused, suggestion

ALWAYS_KNOWN: Mapping[str, Value] = {
    "subject.kind": "account",
    "account.known": True,
    "account.id": "acct-0001",
    "account.unread_events": 0,
    "account.from_future": False,
    "account.flags": (),
    "customer.name_given": True,
    "customer.unreadable_places": (),
}
"""Facts that are never absent, as an ordinary account has them; a case says so where its own differ."""


def _decimal(raw: object) -> Decimal:
    value = read_value(VOCABULARY["item.volume"], raw)
    if not isinstance(value, Decimal):
        raise TypeError("a decimal fact holds a decimal")
    return value


def _closed(name: str) -> Callable[[str], str]:
    def check(word: str) -> str:
        return str(read_value(VOCABULARY[name], word))

    return check


Delivery = Annotated[str, AfterValidator(_closed("item.delivery"))]
Release = Annotated[str, AfterValidator(_closed("item.release"))]


class ItemForm(Form):
    """An item asked for."""

    model: Text
    delivery: Delivery = "api"
    release: Release | None = None
    volume: Annotated[Decimal, BeforeValidator(_decimal)] | None = None


class AuthorizationForm(Form):
    """A registered authorization; a key left out does not limit it."""

    kind: Annotated[str, StringConstraints(pattern="^(license|exception|general_license|carve_out)$")]
    number: Text
    models: list[Text] | None = None
    deliveries: list[Delivery] | None = None
    destinations: list[Text] | None = None
    end_uses: list[Text] | None = None
    valid_from: Instant
    valid_until: Instant


class AuthorityForm(Form):
    """What an approval rests on."""

    kind: Text
    number: Text | None = None


class ExpectForm(Form):
    """What must come out. A key left out is not looked at; rule lists are complete."""

    outcome: Annotated[str, StringConstraints(pattern="^(approve|hold|deny)$")]
    access: Annotated[str, StringConstraints(pattern="^(full|partial|none)$")] | None = None
    hits: list[str] | None = None
    unknown: list[str] | None = None
    waived: list[str] | None = None
    missing: list[str] | None = None
    hold_kinds: list[str] | None = None
    items: dict[str, str] | None = None
    authority: AuthorityForm | None = None
    limits: dict[str, list[str]] | None = None
    no_unknown: bool = False


class CaseForm(Form):
    """One case as written."""

    case: Text
    source: Text | None = None
    given: dict[str, object] = Field(default_factory=dict)
    expect: ExpectForm


@dataclass(frozen=True, slots=True)
class Case:
    """A golden case: what is known, when it is decided, what is expected. `place` is `file:line`."""

    name: str
    place: str
    facts: Facts
    as_of: datetime
    expect: ExpectForm


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What came of a case. `failure` is one line, None when the case holds."""

    case: Case
    verdict: Verdict
    failure: str | None


def read_cases(document: Document, policy: Policy) -> tuple[Case, ...]:
    """The cases of a document. PolicyRefused where a fact, rule or model does not exist, or the time is not said."""
    raw = document.tree.get("cases") or []
    if not isinstance(raw, list):
        raise PolicyRefused(f"{document.where(('cases',))}: expected a list of cases")
    return tuple(_case(tree, document, ("cases", index), policy) for index, tree in enumerate(raw))


def run_cases(policy: Policy, cases: Iterable[Case]) -> list[CaseResult]:
    """Every case decided by `policy`, in order."""
    return [_run(policy, case) for case in cases]


def _case(tree: object, document: Document, path: Path, policy: Policy) -> Case:
    form = read_form(CaseForm, tree, document, path)
    given = dict(form.given)
    inside: Path = (*path, "given")
    where = document.where(inside)
    at = given.pop("at", None) or _received_at(document)
    if at is None:
        raise PolicyRefused(
            f"{where}: case '{form.case}': expected 'at' (when it is decided); the instrument has no received_at"
        )
    items = _forms(ItemForm, given.pop("items", []), document, (*inside, "items"))
    authorizations = _forms(AuthorizationForm, given.pop("authorizations", []), document, (*inside, "authorizations"))
    assured = given.pop("assured", {})
    _check_rules(form, policy, document.where((*path, "expect")))
    try:
        facts = Facts(
            values=_values(given),
            items=tuple(Item(**item.model_dump()) for item in items),
            assurance=_assurance(assured),
            authorizations=tuple(_authorization(one) for one in authorizations),
        )
        return Case(form.case, document.where(path), facts, read_instant(at), form.expect)
    except ValueError as error:
        raise PolicyRefused(f"{where}: case '{form.case}': {error}") from None


def _received_at(document: Document) -> object:
    instrument = document.tree.get("instrument")
    return instrument.get("received_at") if isinstance(instrument, dict) else None


def _forms(form: type[AnyForm], trees: object, document: Document, path: Path) -> list[AnyForm]:
    if not isinstance(trees, list):
        raise PolicyRefused(f"{document.where(path)}: expected a list, got {trees!r}")
    return [read_form(form, tree, document, (*path, index)) for index, tree in enumerate(trees)]


def _check_rules(form: CaseForm, policy: Policy, where: str) -> None:
    known = {rule.name for rule in policy.rules}
    named = [*(form.expect.hits or ()), *(form.expect.unknown or ()), *(form.expect.waived or ())]
    for name in named:
        if name not in known:
            raise PolicyRefused(f"{where}: case '{form.case}': unknown rule '{name}'{suggestion(name, known)}")


def _values(given: Mapping[str, object]) -> dict[str, Value]:
    values = dict(ALWAYS_KNOWN)
    for name, raw in given.items():
        spec = VOCABULARY.get(name)
        if spec is None or spec.derived or name.startswith("item."):
            known = [one.name for one in VOCABULARY.values() if not one.derived and not one.name.startswith("item.")]
            raise ValueError(f"'{name}' is no fact that can be given{suggestion(name, known)}")
        values[name] = read_value(spec, _full_names(spec, raw))
    return values


def _full_names(spec: FactSpec, raw: object) -> object:
    """Elements are written with short names in a case: `place` for `evidence.place`."""
    if spec.type is not FactType.ELEMENTS or not isinstance(raw, list):
        return raw
    prefix = next(iter(spec.elements)).partition(".")[0] + "."
    return [{prefix + name: part for name, part in one.items()} if isinstance(one, dict) else one for one in raw]


def _assurance(raw: object) -> dict[str, Assurance]:
    if not isinstance(raw, dict):
        raise ValueError(f"expected {{fact: documented}} after 'assured', got {raw!r}")  # noqa: TRY004
    levels = {level.name.lower(): level for level in Assurance}
    for name, word in raw.items():
        if name not in VOCABULARY or VOCABULARY[name].derived:
            raise ValueError(f"'{name}' under 'assured' is no fact that can be given{suggestion(name, VOCABULARY)}")
        if word not in levels:
            raise ValueError(f"'{name}' under 'assured': expected one of {', '.join(levels)}, got {word!r}")
    return {name: levels[word] for name, word in raw.items() if levels[word] is not Assurance.DECLARED}


def _authorization(form: AuthorizationForm) -> Authorization:
    return Authorization(
        kind=form.kind,
        number=form.number,
        models=_tuple(form.models),
        deliveries=_tuple(form.deliveries),
        destinations=_tuple(form.destinations),
        end_uses=_tuple(form.end_uses),
        valid_from=form.valid_from,
        valid_until=form.valid_until,
    )


def _tuple(values: list[str] | None) -> tuple[str, ...] | None:
    return None if values is None else tuple(values)


def _run(policy: Policy, case: Case) -> CaseResult:
    verdict = evaluate(case.facts, policy, case.as_of)
    differences = list(_differences(case.expect, verdict))
    if not differences:
        return CaseResult(case, verdict, None)
    found = ", ".join(f"{reason.rule} {reason.result.value}" for reason in verdict.reasons) or "no findings"
    return CaseResult(case, verdict, f"{case.place}: case '{case.name}': {'; '.join(differences)} (found: {found})")


def _differences(expect: ExpectForm, verdict: Verdict) -> Iterable[str]:
    answers: dict[str, object] = {
        "outcome": verdict.outcome.name.lower(),
        "access": verdict.access.value,
        "hits": _rules(verdict, Result.HIT),
        "unknown": _rules(verdict, Result.UNKNOWN),
        "waived": _rules(verdict, Result.WAIVED),
        "missing": sorted({fact for reason in verdict.reasons for fact in reason.missing}),
        "hold_kinds": sorted(verdict.hold_kinds),
        "items": {item.model: item.outcome.name.lower() for item in verdict.items},
        "authority": None
        if verdict.authority is None
        else {"kind": verdict.authority.kind, "number": verdict.authority.number},
        "limits": {limit.kind: list(limit.places) for limit in verdict.limits},
    }
    for key, wanted in expect.model_dump(exclude={"no_unknown"}, exclude_none=False).items():
        if wanted is None:
            continue
        got = answers[key]
        wanted_form = sorted(wanted) if isinstance(wanted, list) else wanted
        if key == "items" and isinstance(got, dict):
            got = {model: got.get(model) for model in wanted}
        if got != wanted_form:
            yield f"expected {key} {wanted_form}, got {got}"
    if expect.no_unknown and answers["unknown"]:
        yield f"expected nothing unknown, got {answers['unknown']}"


def _rules(verdict: Verdict, result: Result) -> list[str]:
    return sorted({reason.rule for reason in verdict.reasons if reason.result is result})
