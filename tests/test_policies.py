"""Policy documents: what loads, what is refused and how it is said, what the resolved form keeps."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from service.decide.values import read_value
from service.decide.vocabulary import VOCABULARY
from service.policies import LoadedPolicy, PolicyRefused, load_file, load_files, load_resolved, policy_files
from service.policies.cases import run_cases
from service.policies.document import read_document
from service.policies.load import load_document

POLICIES = Path(__file__).parents[1] / "deploy" / "policies"

HEAD = """\
policy: small
version: "1"
title: A small policy
instrument: {kind: rule, issuer: BIS, received_at: "2026-01-01T00:00:00Z"}
legal_status: in_force
enforcement: enforced
"""
RULE = """\
rules:
  - rule: embargo
    outcome: deny
    title: Embargoed destination
    citation: {text: "15 CFR 746.7"}
    when: {fact: customer.places, overlaps: [IR]}
"""


def _load(text: str, **others: str) -> LoadedPolicy:
    """The policy of `text`; `others` are parents and files by name."""

    def find(name: str) -> bytes:
        if name not in others:
            raise LookupError(name)
        return others[name].encode()

    return load_document(text.encode(), "p.yaml", find, find)


def _with_rule(rule: str, extra: str = "") -> str:
    """A document with one rule that lacks nothing but what `rule` says."""
    return f"{HEAD}{extra}rules:\n  - rule: r\n    title: t\n    citation: {{text: law}}\n" + "".join(
        f"    {line}\n" for line in rule.splitlines()
    )


def _with_when(when: str, extra: str = "", scope: str = "item") -> str:
    return _with_rule(f"outcome: deny\nscope: {scope}\nwhen: {when}", extra)


def test_a_document_loads_and_its_resolved_form_gives_the_same_policy() -> None:
    loaded = _load(HEAD + RULE)
    assert loaded.policy.sha256 == hashlib.sha256(loaded.resolved).hexdigest()
    assert load_resolved(loaded.resolved) == loaded.policy
    assert loaded.document == (HEAD + RULE).encode()


@pytest.mark.parametrize("path", policy_files(POLICIES), ids=lambda path: path.stem)
def test_the_resolved_form_of_a_shipped_policy_needs_no_other_file(path: Path) -> None:
    loaded = load_file(path)
    assert load_resolved(loaded.resolved) == loaded.policy
    assert orjson.dumps(orjson.loads(loaded.resolved), option=orjson.OPT_SORT_KEYS) == loaded.resolved


def test_a_directory_stands_for_the_policies_in_it_and_a_catalogue_is_none() -> None:
    names = {loaded.policy.version for loaded in load_files([POLICIES])}
    assert names == {path.stem for path in POLICIES.glob("*.yaml")} - {"catalogue", "country-groups"}


def test_a_norwegian_code_without_quotes_stays_a_country() -> None:
    loaded = _load(_with_when("{fact: customer.places, overlaps: [NO, SE]}"))
    assert b'"NO"' in loaded.resolved


def test_cases_and_notes_and_comments_change_the_document_and_not_the_digest() -> None:
    plain = _load(HEAD + RULE)
    told = _load("# why\n" + HEAD + "notes: [uncertain]\n" + RULE + "cases: []\n")
    assert told.policy.sha256 == plain.policy.sha256
    assert told.document != plain.document


def test_the_order_of_rules_and_keys_changes_no_byte_of_the_resolved_form() -> None:
    one = HEAD + "groups: {a: [IR, KP], b: [CU]}\n" + RULE + RULE.removeprefix("rules:\n").replace("embargo", "other")
    two = (
        "rules:\n  - when: {overlaps: [IR], fact: customer.places}\n    title: Embargoed destination\n"
        "    outcome: deny\n"
        '    citation: {text: "15 CFR 746.7"}\n    rule: other\n'
        + RULE.removeprefix("rules:\n")
        + "groups: {b: [CU], a: [KP, IR]}\n"
        + HEAD
    )
    assert _load(one).resolved == _load(two).resolved


REFUSED_TEXT = {
    "a float": ("x: 1.5", "p.yaml:1: '1.5' could be read as a number; quote it"),
    "a code that looks like a number": ("x: [4E091]", "p.yaml:1: '4E091' could be read as a number; quote it"),
    "a number with a leading zero": ("x: 007", "'007' could be read as a number"),
    "a hexadecimal number": ("x: 0x1F", "could be read as a number"),
    "an infinite number": ("x: .inf", "could be read as a number"),
    "a duplicate key": ("x: 1\ny: 2\nx: 3", "p.yaml:3: 'x' stands here twice (first in line 1)"),
    "an anchor": ("x: &a [1]", "p.yaml:1: expected plain YAML, got an anchor or alias"),
    "an alias": ("x: [1]\ny: *a", "p.yaml:2: expected plain YAML, got an anchor or alias"),
    "a tag": ("x: !!python/object:os.system 1", "p.yaml:1: expected plain YAML, got the tag"),
    "a key that is no name": ("1: x", "p.yaml:1: expected a name as key"),
    "a missing value": ("x:", "p.yaml:1: expected a value, got ''; write null"),
    "another spelling of true": ("x: True", "p.yaml:1: expected a value, got 'True'; write true"),
    "a list at the top": ("- x", "p.yaml:1: expected a mapping"),
    "no document": ("", "p.yaml:1: expected a mapping"),
    "two documents": ("x: 1\n---\nx: 2", "p.yaml:2: expected YAML"),
    "an open bracket": ("x: [1", "expected YAML"),
    "a NUL": ("x: \0", "p.yaml:1: expected YAML"),
    "too deep": ("x: " + "[" * 100 + "]" * 100, "expected at most 40 levels"),
    "too large": ("#" * (1024 * 1024 + 1), "p.yaml:1: expected at most 1048576 bytes"),
}


@pytest.mark.parametrize("text, message", REFUSED_TEXT.values(), ids=REFUSED_TEXT)
def test_yaml_that_others_may_read_differently_is_refused(text: str, message: str) -> None:
    with pytest.raises(PolicyRefused) as refused:
        read_document(text.encode(), "p.yaml")
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_bytes_that_are_no_utf_8_are_refused() -> None:
    with pytest.raises(PolicyRefused, match=r"p\.yaml:1: expected UTF-8"):
        read_document(b"x: \xff", "p.yaml")


REFUSED_POLICY = {
    "an unknown key": (HEAD + "ruels: []\n", "p.yaml:7: unknown key 'ruels' (did you mean 'rules'?)"),
    "an unknown key of a rule": (
        _with_rule("outcome: deny\nwaivable: []\nwhen: {fact: account.known, is: false}"),
        "p.yaml:12: rule r: unknown key 'waivable' (did you mean 'waivable_by'?)",
    ),
    "a missing title": (HEAD.replace("title: A small policy\n", ""), "expected 'title', which is missing"),
    "a rule without citation": (
        HEAD + "rules:\n  - rule: r\n    title: t\n    outcome: deny\n    when: {fact: account.known, is: true}\n",
        "p.yaml:8: rule r: expected 'citation', which is missing",
    ),
    "a number in place of a text": (HEAD.replace('"1"', "1"), "p.yaml:2: version: expected a text, got 1; quote it"),
    "a date in place of an instant": (HEAD.replace("T00:00:00Z", ""), "expected a time such as"),
    "a duration in hours": (HEAD + "valid_for: PT5H\n", "expected days such as P180D"),
    "an unknown legal status": (
        HEAD.replace("in_force", "active"),
        "p.yaml:5: legal_status: expected one of proposed, in_force",
    ),
    "a duplicate rule": (
        HEAD + RULE + RULE.removeprefix("rules:\n"),
        "p.yaml:13: rule embargo: the name stands twice",
    ),
    "an unknown fact": (
        _with_when("{fact: customer.place, overlaps: [IR]}"),
        "p.yaml:13: rule r: unknown fact 'customer.place' (did you mean 'customer.places'?)",
    ),
    "an unknown operator": (_with_when("{fact: account.known, equals: true}"), "unknown operator 'equals'"),
    "two operators": (
        _with_when("{fact: account.unread_events, above: 1, below: 3}"),
        "expected exactly one operator for 'account.unread_events', got above, below",
    ),
    "no operator": (_with_when("{fact: account.known}"), "expected exactly one operator for 'account.known', got none"),
    "an operator that does not fit": (
        _with_when("{fact: customer.places, is: IR}"),
        "'is' does not fit 'customer.places', a set of places; use known, overlaps",
    ),
    "a text in place of a truth": (
        _with_when("{fact: account.known, is: yes}"),
        "'account.known' is true or false, got 'yes'",
    ),
    "a text in place of a number": (
        _with_when('{fact: account.unread_events, above: "0"}'),
        "'account.unread_events' is a whole number, got '0'; write it without quotes",
    ),
    "a truth in place of a number": (_with_when("{fact: account.unread_events, above: true}"), "is a whole number"),
    "a word in place of a decimal": (_with_when("{fact: contract.value_usd, above: much}"), "is a decimal number"),
    "a word outside a closed set": (
        _with_when("{fact: customer.type, is: organisation}"),
        "'organisation' (did you mean 'organization'?)",
    ),
    "a place that is no code": (
        _with_when("{fact: customer.places, overlaps: [Iran]}"),
        "takes ISO 3166 codes, got 'Iran'",
    ),
    "a code that ISO does not have": (_with_when("{fact: customer.places, overlaps: [UK]}"), "got 'UK'"),
    "Hong Kong as a country": (_with_when("{fact: customer.places, overlaps: [HK]}"), "got 'HK'; write CN-HK"),
    "an unknown group": (
        _with_when("{fact: customer.places, overlaps: embargo}", "groups: {embargoes: [IR]}\n"),
        "unknown group 'embargo' (did you mean 'embargoes'?)",
    ),
    "a group of another kind": (
        _with_when("{fact: customer.type, in: places}", "groups: {places: [IR]}\n"),
        "'customer.type' is one of government, individual, organization; got 'IR'",
    ),
    "an empty group": (HEAD + "groups: {none: []}\n", "p.yaml:7: group none: expected at least one member"),
    "a member twice": (HEAD + "groups: {a: [IR, IR]}\n", "p.yaml:7: group a: 'IR' stands there twice"),
    "an empty list": (_with_when("{fact: customer.places, overlaps: []}"), "at least one value"),
    "an empty all": (_with_when("{all: []}"), "at least one condition"),
    "two heads": (_with_when("{all: [], any: []}"), "expected one of all, any, not"),
    "something beside all": (
        _with_when("{all: [{fact: account.known, is: true}], where: {fact: account.known, is: true}}"),
        "expected nothing beside 'all', got 'where'",
    ),
    "a text as condition": (_with_when("{not: true}"), "expected a condition"),
    "an item fact about the subject": (
        _with_when("{fact: item.model, is: x}", scope="subject"),
        "'item.model' is a fact of an item, but the rule is about the subject; say scope: item",
    ),
    "an element fact outside its list": (
        _with_when("{fact: evidence.place, is: IR}"),
        "'evidence.place' is a fact of an element of location.evidence; use it inside exists",
    ),
    "exists of what is no list": (
        _with_when("{exists: customer.type, where: {fact: account.known, is: true}}"),
        "'exists' needs a list of elements, 'customer.type' is a text",
    ),
    "exists without where": (_with_when("{exists: parties}"), "expected 'where' beside 'exists'"),
    "a list within a list": (
        _with_when("{exists: parties, where: {exists: account.flags, where: {fact: flag.severity, is: low}}}"),
        "lists do not nest",
    ),
    "known with assurance": (
        _with_when("{fact: person.us_status, known: true, assured: documented}"),
        "'known' looks at no single value",
    ),
    "an unknown assurance": (
        _with_when("{fact: person.us_status, is: none, assured: certain}"),
        "expected one of declared, documented, verified, got 'certain'",
    ),
    "assurance nobody states": (
        _with_when("{fact: item.eccn, is: EAR99, assured: documented}"),
        "nobody states how surely 'item.eccn' is known",
    ),
    "differing from another kind of fact": (
        _with_when("{fact: customer.billing_in, differs_from: customer.type}"),
        "'customer.billing_in' is a place, 'customer.type' a text; they cannot differ",
    ),
    "a hold without kind": (
        _with_rule("outcome: hold\nwhen: {fact: account.known, is: true}"),
        "rule r: a hold needs a hold_kind, got nothing",
    ),
    "a kind of hold nobody knows": (
        _with_rule("outcome: hold\nhold_kind: license\nwhen: {fact: account.known, is: true}"),
        "a hold needs a hold_kind, got 'license' (did you mean 'license_required'?)",
    ),
    "a denial with a kind of hold": (
        _with_rule("outcome: deny\nhold_kind: red_flag\nwhen: {fact: account.known, is: true}"),
        "hold_kind is for outcome: hold, not deny",
    ),
    "an unknown waiver": (
        _with_rule("outcome: deny\nwaivable_by: [licence]\nwhen: {fact: account.known, is: true}"),
        "unknown kind of authorization 'licence' (did you mean 'license'?)",
    ),
    "a waiver of doubt": (
        _with_rule("outcome: hold\nhold_kind: red_flag\nwaivable_by: [license]\nwhen: {fact: account.known, is: true}"),
        "an authorization answers a license requirement or a denial, nothing else",
    ),
    "a waiver of a note": (
        _with_rule("outcome: approve\nwaivable_by: [license]\nwhen: {fact: account.known, is: true}"),
        "an authorization answers a license requirement or a denial, nothing else",
    ),
    "a release of a license requirement": (
        _with_rule(
            "outcome: hold\nhold_kind: license_required\nrelease: {by: review}\nwhen: {fact: account.known, is: true}"
        ),
        "people may release",
    ),
    "a limit of a denial": (
        _with_rule("outcome: deny\nlimit: {geo_block: location.evidence}\nwhen: {fact: account.known, is: true}"),
        "a limit is for outcome: approve",
    ),
    "a limit without places": (
        _with_rule("outcome: approve\nlimit: {geo_block: location.evidence}\nwhen: {fact: account.known, is: true}"),
        "'when' has no 'exists: location.evidence'",
    ),
    "an unknown limit": (
        _with_rule("outcome: approve\nlimit: {quota: location.evidence}\nwhen: {fact: account.known, is: true}"),
        "expected {geo_block: location.evidence}",
    ),
    "an interval that ends before it starts": (
        _with_rule(
            'outcome: deny\nin_force: [{from: "2026-02-01T00:00:00Z", to: "2026-01-01T00:00:00Z"}]\n'
            "when: {fact: account.known, is: true}"
        ),
        "an interval ends before it starts or overlaps another",
    ),
    "a rule that is never in force": (
        _with_rule("outcome: deny\nin_force: []\nwhen: {fact: account.known, is: true}"),
        "in_force is empty",
    ),
    "an unknown list": (HEAD + "lists: {required: [ofac]}\n", "p.yaml:7: unknown list 'ofac'"),
    "a catalogue file that is not there": (HEAD + "catalogue: {file: c.yaml}\n", "expected the file 'c.yaml'"),
    "an unknown key of a model": (HEAD + "catalogue: {m: {ecn: EAR99}}\n", "unknown key 'ecn' (did you mean 'eccn'?)"),
    "a parent that is not there": (
        HEAD + "extends: base\n",
        "p.yaml:7: expected a version to extend, but 'base' is not known",
    ),
    "something to drop without parent": (HEAD + "drop: [embargo]\n", "nothing to drop"),
    "a case about an unknown rule": (
        HEAD + RULE + "cases: [{case: c, given: {}, expect: {outcome: deny, hits: [embargoes]}}]\n",
        "p.yaml:13: case 'c': unknown rule 'embargoes' (did you mean 'embargo'?)",
    ),
    "a case about an unknown fact": (
        HEAD + "cases: [{case: c, given: {customer.seat: GB}, expect: {outcome: deny}}]\n",
        "case 'c': 'customer.seat' is no fact that can be given",
    ),
    "a case with a wrong value": (
        HEAD + "cases: [{case: c, given: {account.known: 1}, expect: {outcome: deny}}]\n",
        "case 'c': 'account.known': expected a boolean, got 1",
    ),
    "a case without an instant": (
        HEAD.replace(', received_at: "2026-01-01T00:00:00Z"', "") + "cases: [{case: c, expect: {outcome: deny}}]\n",
        "case 'c': expected 'at'",
    ),
    "a case with another outcome": (
        HEAD + "cases: [{case: c, expect: {outcome: allow}}]\n",
        "p.yaml:7: ",
    ),
}


@pytest.mark.parametrize("text, message", REFUSED_POLICY.values(), ids=REFUSED_POLICY)
def test_a_policy_is_refused_in_one_line_that_says_where_and_what(text: str, message: str) -> None:
    with pytest.raises(PolicyRefused) as refused:
        _load(text)
    assert message in str(refused.value)
    assert str(refused.value).startswith("p.yaml:")
    assert "\n" not in str(refused.value)


CHILD = HEAD.replace('"1"', '"2"') + 'extends: "1"\n'
FIRM = (
    HEAD
    + "groups: {embargoes: [IR]}\n"
    + RULE.replace("[IR]", "embargoes\n    droppable: false").replace(
        "{fact: customer.places, overlaps: embargoes\n    droppable: false}",
        "{fact: customer.places, overlaps: embargoes}\n    droppable: false",
    )
)


def test_a_child_inherits_adds_replaces_and_drops_rules_by_name() -> None:
    other = RULE.replace("embargo\n", "other\n")
    assert [rule.name for rule in _load(CHILD + other, **{"1": HEAD + RULE}).policy.rules] == ["embargo", "other"]
    replaced = _load(CHILD + RULE.replace("[IR]", "[KP]"), **{"1": HEAD + RULE}).policy
    assert "KP" in str(replaced.rule("embargo").when)
    assert _load(CHILD + "drop: [embargo]\n", **{"1": HEAD + RULE}).policy.rules == ()


def test_a_child_overrides_groups_and_models_by_name() -> None:
    base = HEAD + "groups: {a: [IR], b: [CU]}\ncatalogue: {m: {eccn: EAR99}, n: {eccn: EAR99}}\n"
    child = _load(CHILD + 'groups: {a: [KP]}\ncatalogue: {m: {eccn: "4E091"}}\n', **{"1": base}).policy
    assert [member.value for member in child.groups["a"].members] == ["KP"]
    assert [member.value for member in child.groups["b"].members] == ["CU"]
    assert child.catalogue["m"]["item.eccn"] == "4E091"
    assert child.catalogue["n"]["item.eccn"] == "EAR99"


def test_a_child_cannot_ask_for_fewer_lists() -> None:
    base = HEAD + "lists: {required: [ofac-sdn], max_age: P3D}\n"
    child = CHILD + "lists: {required: [bis-entity]}\n"
    assert _load(child, **{"1": base}).policy.required_lists == ("bis-entity", "ofac-sdn")


@pytest.mark.parametrize(
    "change, message",
    [
        ("drop: [embargo]\n", "p.yaml:8: rule embargo: is not droppable, so it cannot be dropped"),
        (RULE, "p.yaml:9: rule embargo: is not droppable, so it cannot be replaced"),
        ("groups: {embargoes: [CU]}\n", "p.yaml:8: group embargoes: rule embargo is not droppable and uses it"),
        ("drop: [embargoes]\n", "expected a rule of '1', got 'embargoes' (did you mean 'embargo'?)"),
    ],
    ids=["dropped", "replaced", "emptied through its group", "misspelled"],
)
def test_a_rule_that_is_not_droppable_stays(change: str, message: str) -> None:
    with pytest.raises(PolicyRefused) as refused:
        _load(CHILD + change, **{"1": FIRM})
    assert message in str(refused.value)


def test_a_version_that_extends_itself_is_refused() -> None:
    with pytest.raises(PolicyRefused, match="extends runs in a circle"):
        _load(CHILD.replace('"1"', '"2"'), **{"2": CHILD.replace('"1"', '"2"')})


def test_a_child_of_another_policy_line_is_refused() -> None:
    with pytest.raises(PolicyRefused, match="expected the policy line of the parent, 'large'"):
        _load(CHILD, **{"1": HEAD.replace("policy: small", "policy: large")})


def test_an_error_in_a_parent_names_the_parent() -> None:
    with pytest.raises(PolicyRefused, match=r"^1\.yaml:7: unknown key 'ruels'"):
        _load(CHILD, **{"1": HEAD + "ruels: []\n"})


def test_a_catalogue_comes_from_a_file_beside_the_document_and_from_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("m: {eccn: EAR99}\n")
    (tmp_path / "inner").mkdir()
    for name, wanted in (("p.yaml", "c.yaml"), ("inner/p.yaml", "../c.yaml")):
        (tmp_path / name).write_text(f"{HEAD}catalogue: {{file: {wanted}}}\n")
    assert load_file(tmp_path / "p.yaml").policy.catalogue == {"m": {"item.eccn": "EAR99"}}
    with pytest.raises(PolicyRefused, match="it is not there"):
        load_file(tmp_path / "inner" / "p.yaml")


@pytest.mark.parametrize(
    "change",
    [
        lambda _tree: b"{",
        lambda _tree: b"[]",
        lambda tree: orjson.dumps({**tree, "format": 3}),
        lambda tree: orjson.dumps({key: part for key, part in tree.items() if key != "rules"}),
        lambda tree: orjson.dumps({**tree, "rules": [{}]}),
    ],
    ids=["no JSON", "no object", "a later format", "no rules", "an empty rule"],
)
def test_stored_bytes_that_are_no_resolved_form_are_refused(change: Callable[[dict[str, object]], bytes]) -> None:
    with pytest.raises(PolicyRefused, match=r"^policy "):
        load_resolved(change(orjson.loads(_load(HEAD + RULE).resolved)))


def test_a_case_that_holds_has_no_failure_and_one_that_does_not_has_one_line() -> None:
    loaded = _load(
        HEAD
        + "catalogue: {model-1: {eccn: EAR99}}\n"
        + RULE
        + "cases:\n  - {case: Tehran, given: {customer.billing_in: IR}, expect: {outcome: deny, hits: [embargo]}}\n"
        + "  - {case: Oslo, given: {customer.billing_in: NO}, expect: {outcome: hold, no_unknown: true}}\n"
    )
    tehran, oslo = run_cases(loaded.policy, loaded.cases)
    assert tehran.failure is None
    assert oslo.failure == "p.yaml:16: case 'Oslo': expected outcome hold, got approve (found: no findings)"


def test_the_digest_and_a_verdict_are_the_same_whatever_the_hash_seed() -> None:
    code = (
        "from pathlib import Path\n"
        "from service.policies import load_file\n"
        "from service.policies.cases import run_cases\n"
        f"loaded = load_file(Path({str(POLICIES)!r}) / '2026-06-26.yaml')\n"
        "print(loaded.policy.sha256, [result.verdict for result in run_cases(loaded.policy, loaded.cases)])\n"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=Path(__file__).parents[1],
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


@pytest.mark.parametrize(
    "fact, raw",
    [
        ("customer.type", "company"),
        ("customer.type", None),
        ("customer.billing_in", "Germany"),
        ("account.known", 1),
        ("account.unread_events", True),
        ("account.unread_events", "1"),
        ("contract.value_usd", 1.5),
        ("contract.value_usd", "NaN"),
        ("contract.value_usd", "much"),
        ("customer.end_uses", "chat"),
        ("contract.deliver_to", ["Berlin"]),
        ("location.evidence", [{"place": "DE"}]),
        ("location.evidence", ["DE"]),
        ("location.evidence", {"evidence.place": "DE"}),
    ],
)
def test_a_value_that_is_none_of_its_fact_is_refused_with_the_name_of_the_fact(fact: str, raw: object) -> None:
    with pytest.raises(ValueError, match=f"'{fact}'"):
        read_value(VOCABULARY[fact], raw)
