"""The country groups that come with the policies, held against the reference table and against themselves."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from service.places import read_place
from service.policies import load_file
from service.policies.document import read_document
from service.policies.load import load_document
from service.policies.model import GroupForm, read_form, read_instant
from service.policies.refusal import PolicyRefused

POLICIES = Path(__file__).parents[1] / "deploy" / "policies"
REFERENCE = Path(__file__).parents[1] / "../shared/reference/country-groups.json"
FILE = read_document((POLICIES / "country-groups.yaml").read_bytes(), "country-groups.yaml")
GROUPS = {name: read_form(GroupForm, tree, FILE, (name,)) for name, tree in FILE.tree.items()}
LETTERS = {"A": 6, "D": 5, "E": 2}
TABLE = {
    f"country_group_{letter.lower()}{n}": f"{letter}:{n}"
    for letter, last in LETTERS.items()
    for n in range(1, last + 1)
}
DERIVED = {
    "macau_or_d5": "MACAU_OR_D5",
    "military_end_use_countries": "MEU_744_21",
    "un_arms_embargo": "UN_ARMS_EMBARGO_746_1_b_2",
}


def _at(name: str, day: datetime) -> set[str]:
    """The members of a group on a day."""
    members = GROUPS[name].members
    return {one.value for one in members if (not one.start or one.start <= day) and (not one.end or day < one.end)}


def _sure(name: str, day: datetime) -> set[str]:
    return _at(name, day) - set(GROUPS[name].uncertain)


def _reference() -> dict[str, object]:
    if not REFERENCE.exists():
        pytest.skip("the reference table is not beside the repository")
    content: dict[str, object] = json.loads(REFERENCE.read_text())
    return content


READ_ON = datetime(2026, 7, 8, 12, tzinfo=UTC)


@pytest.mark.parametrize("name", TABLE)
def test_a_country_group_is_that_of_the_reference_but_for_the_countries_it_calls_uncertain(name: str) -> None:
    countries = _reference()["countries"]
    assert isinstance(countries, dict)
    table = {code for code, row in countries.items() if TABLE[name] in row["groups"]}
    unsure = {code for code, row in countries.items() if TABLE[name] in row.get("uncertain_cells", ())}
    assert unsure <= set(GROUPS[name].uncertain)
    assert _sure(name, READ_ON) == table - set(GROUPS[name].uncertain)


@pytest.mark.parametrize("name", DERIVED)
def test_a_derived_set_is_that_of_the_reference_but_for_the_countries_it_calls_uncertain(name: str) -> None:
    sets = _reference()["derived_sets"]
    assert isinstance(sets, dict)
    wanted = sets[DERIVED[name]]
    codes = set(wanted["countries"] if isinstance(wanted, dict) else wanted)
    assert _sure(name, READ_ON) == codes - set(GROUPS[name].uncertain)


def test_the_destinations_of_the_ai_authorization_are_those_of_the_reference_that_were_read() -> None:
    rule = _reference()["ai_diffusion_rule_jan_2025"]
    assert isinstance(rule, dict)
    remembered = set(rule["tier_1_evidence"]["researcher memory only (count 18 confirmed by several pages)"])
    assert set(GROUPS["ai_authorization_destinations"].uncertain) == remembered
    assert _at("ai_authorization_destinations", READ_ON) == set(rule["tier_1_18_allies"]) - remembered


@pytest.mark.parametrize(
    "at, member",
    [
        ("2021-12-09T04:59:59Z", False),
        ("2021-12-09T05:00:00Z", True),
        ("2025-10-01T12:00:00Z", True),
        ("2026-02-03T04:59:59Z", True),
        ("2026-02-03T05:00:00Z", False),
        ("2026-02-04T12:00:00Z", False),
    ],
)
def test_cambodia_is_in_d5_by_its_dates(at: str, member: bool) -> None:  # noqa: FBT001
    for name in ("country_group_d5", "macau_or_d5"):
        assert ("KH" in _at(name, read_instant(at))) is member


def test_groups_that_are_made_of_others_are_made_of_them_on_every_day() -> None:
    days = [datetime(year, month, 15, tzinfo=UTC) for year in range(2020, 2028) for month in (1, 4, 12)]
    for day in days:
        assert _at("macau_or_d5", day) == _at("country_group_d5", day) | {"MO"}
        assert _at("partner_countries", day) == _at("country_group_a5", day) | _at("country_group_a6", day) | {"US"}
        assert _at("embargoed_places", day) == _at("comprehensive_embargoes", day) | _at(
            "covered_regions_of_ukraine", day
        )
        assert _at("all_items_military_countries", day) <= _at("military_end_use_countries", day)
        home = _at("ai_home_or_authorization_destinations", day)
        assert home == _at("ai_authorization_destinations", day) | {"US"}


@pytest.mark.parametrize("name", sorted(GROUPS))
def test_a_group_has_iso_codes_once_and_says_what_was_done_with_the_uncertain_ones(name: str) -> None:
    group = GROUPS[name]
    codes = [one.value for one in group.members]
    assert len(codes) == len(set(codes))
    assert [read_place(code) for code in codes] == codes
    assert group.notes or not group.uncertain


def test_a_policy_takes_in_only_the_groups_that_its_rules_name() -> None:
    groups = load_file(POLICIES / "baseline-2026-02.yaml").policy.groups
    assert "macau_or_d5" in groups
    assert "un_arms_embargo" not in groups


# ------------------------------------------------------------------------------------------ groups_from

HEAD = """\
policy: p
version: "{version}"
title: t
instrument: {{kind: letter, issuer: BIS}}
legal_status: in_force
enforcement: enforced
groups_from: {{file: groups.yaml}}
"""
RULE = """\
rules:
  - rule: embargo
    outcome: deny
    droppable: false
    title: t
    citation: {text: "15 CFR 746"}
    when: {fact: customer.places, overlaps: embargoes}
"""
GROUP = (
    'embargoes: {{title: t, citation: {{text: "15 CFR 746"}}, as_of: "2026-01-01T00:00:00Z", members: [{members}]}}\n'
)


def _load(text: str, group: str, **parents: str) -> object:
    def parent(name: str) -> bytes:
        return parents[name].encode()

    def file(name: str) -> bytes:
        return {"groups.yaml": group}[name].encode()

    return load_document(text.encode(), "p.yaml", parent, file).policy.groups["embargoes"]


def test_groups_of_a_file_are_written_out_in_the_resolved_form() -> None:
    text = HEAD.format(version="1") + RULE
    one = load_document(text.encode(), "p.yaml", _nothing, lambda _name: GROUP.format(members="IR, KP").encode())
    two = load_document(text.encode(), "p.yaml", _nothing, lambda _name: GROUP.format(members="IR").encode())
    assert (
        b'"groups":{"embargoes":[{"from":null,"to":null,"value":"IR"},{"from":null,"to":null,"value":"KP"}]}'
        in one.resolved
    )
    assert one.policy.sha256 != two.policy.sha256


def _nothing(name: str) -> bytes:
    raise LookupError(name)


@pytest.mark.parametrize(
    "text, group, message",
    [
        (HEAD.replace("groups.yaml", "gruops.yaml") + RULE, GROUP, "p.yaml:7: expected the file 'gruops.yaml' beside"),
        (HEAD + "groups: {{embargoes: [CU]}}\n" + RULE, GROUP, "p.yaml:8: group embargoes: stands in groups.yaml too"),
        (HEAD + RULE, GROUP.replace("title", "titel"), "groups.yaml:1: expected 'title', which is missing"),
        (HEAD + RULE, GROUP.replace("embargoes", "embargos"), "unknown group 'embargoes'"),
    ],
    ids=["no such file", "defined twice", "malformed", "not in the file"],
)
def test_a_file_of_groups_that_does_not_fit_is_refused(text: str, group: str, message: str) -> None:
    filled = text.replace(RULE, "").format(version="1") + RULE
    with pytest.raises(PolicyRefused) as refused:
        _load(filled, group.format(members="IR"))
    assert message in str(refused.value)


def test_a_file_of_groups_cannot_empty_a_rule_of_the_parent_that_must_stay() -> None:
    base = HEAD.format(version="1") + RULE
    own = RULE.replace("embargo\n", "other\n").replace("    droppable: false\n", "")
    child = HEAD.format(version="2") + 'extends: "1"\n' + own
    policy = load_document(child.encode(), "p.yaml", lambda _name: base.encode(), _first)
    assert policy.policy.groups["embargoes"].members
    files = iter([GROUP.format(members="IR").encode(), GROUP.format(members="SY").encode()])
    with pytest.raises(PolicyRefused, match="rule embargo is not droppable and uses it"):
        load_document(child.encode(), "p.yaml", lambda _name: base.encode(), lambda _name: next(files))


def _first(_name: str) -> bytes:
    return GROUP.format(members="IR").encode()
