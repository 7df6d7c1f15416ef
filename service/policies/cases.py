"""Golden cases: what a lawyer expects of a version, stated beside its rules and run before it is published. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from service.decide.decision import Result, Verdict
from service.decide.evaluate import evaluate
from service.decide.facts import Assurance, Authorization, Facts, FactSpec, FactType, Item, Value
from service.decide.policy import Policy, Rule
from service.decide.values import read_value, reader_of
from service.decide.vocabulary import CATALOGUE_FACTS, VOCABULARY
from service.policies.case_form import AuthorizationForm, CaseForm, ExpectForm, ItemForm
from service.policies.document import Document, Path
from service.policies.model import AnyForm, ModelForm, read_form, read_instant
from service.policies.refusal import PolicyRefused, suggestion
from service.policies.wording import short

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


@dataclass(frozen=True, slots=True)
class Case:
    """A golden case: what is known, when it is decided, what is expected. `place` is `file:line`.

    `catalogue` says what models are that the case is about, over the policy's. `waits_for` says what is given here that
    this release cannot find out by itself.
    """

    name: str
    place: str
    facts: Facts
    as_of: datetime
    expect: ExpectForm
    catalogue: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    golden: tuple[int, ...] = ()
    waits_for: tuple[str, ...] = ()


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
    rules = {rule.name: rule for rule in policy.rules}
    return tuple(_case(tree, document, ("cases", index), rules) for index, tree in enumerate(raw))


def run_cases(policy: Policy, cases: Iterable[Case]) -> list[CaseResult]:
    """Every case decided by `policy`, in order."""
    return [_run(policy, case) for case in cases]


def _case(tree: object, document: Document, path: Path, rules: Mapping[str, Rule]) -> Case:
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
    catalogue = _catalogue(given.pop("catalogue", {}), document, (*inside, "catalogue"))
    _check_rules(form, rules, document.where((*path, "expect")))
    try:
        facts = Facts(
            values=_values(given),
            items=tuple(Item(**item.model_dump()) for item in items),
            assurance=_assurance(assured),
            authorizations=tuple(_authorization(one) for one in authorizations),
        )
        return Case(
            name=form.case,
            place=document.where(path),
            facts=facts,
            as_of=read_instant(at),
            expect=form.expect,
            catalogue=catalogue,
            golden=(form.golden,) if isinstance(form.golden, int) else tuple(form.golden),
            waits_for=(form.waits_for,) if isinstance(form.waits_for, str) else tuple(form.waits_for),
        )
    except ValueError as error:
        raise PolicyRefused(f"{where}: case '{form.case}': {error}") from None


def _received_at(document: Document) -> object:
    instrument = document.tree.get("instrument")
    return instrument.get("received_at") if isinstance(instrument, dict) else None


def _forms(form: type[AnyForm], trees: object, document: Document, path: Path) -> list[AnyForm]:
    if not isinstance(trees, list):
        raise PolicyRefused(f"{document.where(path)}: expected a list, got {short(trees)}")
    return [read_form(form, tree, document, (*path, index)) for index, tree in enumerate(trees)]


def _catalogue(trees: object, document: Document, path: Path) -> dict[str, dict[str, Value]]:
    if not isinstance(trees, dict):
        raise PolicyRefused(f"{document.where(path)}: expected models with what they are, got {short(trees)}")
    forms = {model: read_form(ModelForm, tree, document, (*path, model)) for model, tree in trees.items()}
    return {
        model: {
            CATALOGUE_FACTS[key].name: read_value(CATALOGUE_FACTS[key], raw)
            for key, raw in form.model_dump(exclude_none=True).items()
        }
        for model, form in forms.items()
    }


def _check_rules(form: CaseForm, rules: Mapping[str, Rule], where: str) -> None:
    named = [
        *(form.expect.hits or ()),
        *(form.expect.unknown or ()),
        *(form.expect.waived or ()),
        *(form.expect.not_enforced or ()),
    ]
    for name in named:
        if name not in rules:
            raise PolicyRefused(f"{where}: case '{form.case}': unknown rule '{name}'{suggestion(name, rules)}")
    for name in form.expect.waived or ():
        if not rules[name].waivable_by:
            raise PolicyRefused(f"{where}: case '{form.case}': rule {name} allows no waiver; say waivable_by there")


def _values(given: Mapping[str, object]) -> dict[str, Value]:
    values = dict(ALWAYS_KNOWN)
    for name, raw in given.items():
        spec = VOCABULARY.get(name)
        if spec is None or spec.derived or name.startswith("item."):
            raise ValueError(f"'{name}' is no fact that can be given{suggestion(name, _stated())}")
        values[name] = _READERS[name](_full_names(spec, raw))
    return values


_READERS = {name: reader_of(spec) for name, spec in VOCABULARY.items()}


def _stated() -> list[str]:
    """The facts that somebody states, as against those that follow from others or belong to an item."""
    return [one.name for one in VOCABULARY.values() if not one.derived and not one.name.startswith("item.")]


def _full_names(spec: FactSpec, raw: object) -> object:
    """Elements are written with short names in a case: `place` for `evidence.place`."""
    if spec.type is not FactType.ELEMENTS or not isinstance(raw, list):
        return raw
    prefix = next(iter(spec.elements)).partition(".")[0] + "."
    return [{prefix + name: part for name, part in one.items()} if isinstance(one, dict) else one for one in raw]


def _assurance(raw: object) -> dict[str, Assurance]:
    if not isinstance(raw, dict):
        raise ValueError(f"expected {{fact: documented}} after 'assured', got {short(raw)}")  # noqa: TRY004
    levels = {level.name.lower(): level for level in Assurance}
    for name, word in raw.items():
        if name not in VOCABULARY or VOCABULARY[name].derived:
            raise ValueError(f"'{name}' under 'assured' is no fact that can be given{suggestion(name, _stated())}")
        if not isinstance(word, str) or word not in levels:
            raise ValueError(f"'{name}' under 'assured': expected one of {', '.join(levels)}, got {short(word)}")
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
        parties=_tuple(form.parties),
        quantity=form.quantity,
        revoked_at=form.revoked_at,
    )


def _tuple(values: list[str] | None) -> tuple[str, ...] | None:
    return None if values is None else tuple(values)


def _run(policy: Policy, case: Case) -> CaseResult:
    trial = replace(policy, catalogue={**policy.catalogue, **case.catalogue}) if case.catalogue else policy
    verdict = evaluate(case.facts, trial, case.as_of)
    differences = list(_differences(case.expect, verdict, policy))
    if not differences:
        return CaseResult(case, verdict, None)
    found = ", ".join(f"{reason.rule} {reason.result.value}" for reason in verdict.reasons) or "no findings"
    return CaseResult(case, verdict, f"{case.place}: case '{case.name}': {'; '.join(differences)} (found: {found})")


def _differences(expect: ExpectForm, verdict: Verdict, policy: Policy) -> Iterable[str]:
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
    told = {reason.rule for reason in verdict.reasons}
    answers["not_enforced"] = sorted(rule.name for rule in policy.rules if rule.name in told and not rule.enforced)
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
