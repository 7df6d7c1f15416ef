"""What two versions say differently, and the smallest customer on whom they differ."""

from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import orjson
import pytest

from service.decide.decision import Outcome
from service.decide.evaluate import evaluate
from service.policies import LoadedPolicy, load_file
from service.policies.counterexample import Counterexample, Search, search
from service.policies.diff import Change, altered, changed_rules, changes
from service.policies.load import load_document
from tests.commands import Cli
from tests.policies import SMALL, nothing_beside

NOW = datetime(2026, 6, 20, tzinfo=UTC)
POLICIES = Path(__file__).resolve().parents[1] / "deploy" / "policies"
LONG_CREDIT = """\
  - rule: long_credit
    outcome: hold
    hold_kind: red_flag
    title: Long credit
    citation: {text: "15 CFR part 732"}
    when:
      all:
        - {fact: account.payment_terms_days, known: true}
        - {fact: account.payment_terms_days, above: 60}
"""


def _policy(text: str) -> LoadedPolicy:
    return load_document(text.encode(), "small.yaml", nothing_beside, nothing_beside)


def _small(version: str, more: str = "", held: str = "nothing") -> LoadedPolicy:
    return _policy(SMALL.format(version=version, held=held) + more)


def _changes(first: LoadedPolicy, second: LoadedPolicy) -> list[Change]:
    return changes(orjson.loads(first.resolved), orjson.loads(second.resolved))


def _search(first: LoadedPolicy, second: LoadedPolicy) -> Search:
    rules = changed_rules(orjson.loads(first.resolved), orjson.loads(second.resolved))
    return search(first.policy, second.policy, rules, NOW)


def test_a_version_differs_from_itself_in_nothing_and_on_nobody() -> None:
    one = _small("1")
    assert _changes(one, one) == []
    found = _search(one, one)
    assert (found.only_first, found.only_second) == (None, None)


def test_a_threshold_that_moved_is_named_with_both_limits_and_the_customer_between_them_is_found() -> None:
    one, two = _small("1", LONG_CREDIT), _small("2", LONG_CREDIT.replace("above: 60", "above: 30"))
    (change,) = _changes(one, two)
    assert (change.kind, change.name, change.what) == ("threshold", "long_credit", "account.payment_terms_days above")
    assert (change.before, change.after) == (60, 30)
    found = _search(one, two)
    assert found.only_first is not None
    assert dict(found.only_first.changed) == {"account.payment_terms_days": 31}
    assert found.only_second is None
    assert found.complete == 3


def test_an_added_rule_and_a_removed_one_are_found_in_their_own_direction() -> None:
    one, two = _small("1"), _small("2", LONG_CREDIT)
    assert [(each.kind, each.what) for each in _changes(one, two)] == [("rule", "added")]
    assert [(each.kind, each.what) for each in _changes(two, one)] == [("rule", "removed")]
    there, back = _search(one, two), _search(two, one)
    assert there.only_first is not None
    assert there.only_second is None
    assert back.only_first is None
    assert back.only_second is not None
    assert back.only_second.changed == there.only_first.changed == {"account.payment_terms_days": 61}


def test_a_country_that_moved_between_two_sets_is_found_by_a_place_of_its_kind() -> None:
    one, two = _small("1"), _policy(SMALL.format(version="2", held="nothing").replace("[IR, KP, UA-43]", "[KP, CU]"))
    found = _search(one, two)
    assert found.only_first is not None
    assert found.only_second is not None
    assert dict(found.only_first.changed) == {"customer.headquartered_in": "CU"}
    assert found.only_second.changed["customer.headquartered_in"] in {"IR", "UA-43"}


def test_a_group_that_changed_touches_the_rules_that_name_it() -> None:
    first, second = load_file(POLICIES / "2026-06-12.yaml"), load_file(POLICIES / "2026-06-26.yaml")
    assert ("group", "trusted_partners", "added") in {(one.kind, one.name, one.what) for one in _changes(first, second)}
    found = _search(first, second)
    assert found.only_first is None
    assert found.only_second is not None
    assert found.only_second.item.model == "mythos-5"
    assert set(found.only_second.changed) == {"account.id"}


EXPORT_OF_UNPUBLISHED = """\
  - rule: unpublished_to_russia
    outcome: hold
    hold_kind: license_required
    scope: item
    title: A model that is not published needs a license for Russia
    citation: {text: "15 CFR part 746"}
    when:
      all:
        - {fact: item.published, is: false}
        - {fact: customer.places, overlaps: [RU]}
"""


def test_a_model_that_changed_touches_the_rules_that_ask_about_models() -> None:
    one = _small("1", EXPORT_OF_UNPUBLISHED)
    opened = SMALL.replace(
        'sonata-4: {{eccn: "EAR99", published: false}}', 'sonata-4: {{eccn: "EAR99", published: true}}'
    )
    two = _policy(opened.format(version="2", held="nothing") + EXPORT_OF_UNPUBLISHED)
    assert [(each.kind, each.name, each.what) for each in _changes(one, two)] == [("model", "sonata-4", "changed")]
    found = _search(one, two)
    assert found.only_first is None
    assert found.only_second is not None
    assert found.only_second.item.model == "sonata-4"
    assert dict(found.only_second.changed) == {"customer.headquartered_in": "RU"}


@pytest.mark.embedded
async def test_what_was_not_searched_is_called_so_and_not_nobody(cli: Cli, tmp_path: Path) -> None:
    text = SMALL.format(version="1", held="nothing")
    dated = LONG_CREDIT + '    in_force: [{from: "2030-01-01T00:00:00Z", to: null}]\n'
    for name, other in (("1", text), ("longer", text.replace("P180D", "P999D")), ("later", text + dated)):
        (tmp_path / f"{name}.yaml").write_text(other.replace('version: "1"', f'version: "{name}"'))
    first = str(tmp_path / "1.yaml")
    for name, told in (("longer", "Not searched, since no facts of a customer show it: what valid_for changes."),
                       ("later", "Not searched: no rule that differs is in force at 1 January 2027")):  # fmt: skip
        command = ("policy", "diff", first, str(tmp_path / f"{name}.yaml"), "--as-of", "2027-01-01T00:00:00Z")
        answer = " ".join((await cli(*command)).out.split())
        assert told in answer
        assert "Nobody was found" not in answer
        (as_object,) = (await cli(*command, "--json")).json
        assert as_object["searched"] is False
    command = ("policy", "diff", first, str(tmp_path / "later.yaml"), "--as-of", "2031-01-01T00:00:00Z")
    assert "Nobody was found whom only later approves" in " ".join((await cli(*command)).out.split())


SHIPPED = ["baseline-2026-02", "2026-06-12", "2026-06-26", "2026-06-30"]


@pytest.mark.parametrize("first, second", list(pairwise(SHIPPED)))
def test_every_counterexample_is_decided_by_both_versions_as_it_says(first: str, second: str) -> None:
    one, two = load_file(POLICIES / f"{first}.yaml"), load_file(POLICIES / f"{second}.yaml")
    found = _search(one, two)
    assert found.only_first is not None or found.only_second is not None
    for example, approving, other in ((found.only_first, one, two), (found.only_second, two, one)):
        if example is not None:
            assert _outcome(approving, example) is Outcome.APPROVE
            assert _outcome(other, example) > Outcome.APPROVE


def _outcome(loaded: LoadedPolicy, example: Counterexample) -> Outcome:
    verdict = evaluate(example.facts, loaded.policy, NOW)
    return verdict.items[example.facts.items.index(example.item)].outcome


@pytest.mark.embedded
async def test_a_person_reads_the_smallest_customer_on_whom_two_versions_differ(cli: Cli, tmp_path: Path) -> None:
    files = []
    for version, more in (("1", ""), ("2", LONG_CREDIT)):
        file = tmp_path / f"{version}.yaml"
        file.write_text(SMALL.format(version=version, held="nothing") + more)
        files.append(str(file))
    answer = await cli("policy", "diff", *files)
    assert (answer.code, answer.err) == (0, "")
    assert "for a plain London customer with" in answer.out
    assert "2: hold, long_credit is hit" in answer.out
    assert "Nobody was found whom only 2 approves" in " ".join(answer.out.split())
    (told,) = (await cli("policy", "diff", *files, "--json")).json
    assert told["only_first_approves"]["changed"] == {"account.payment_terms_days": 61}
    assert told["only_second_approves"] is None


@pytest.mark.embedded
async def test_a_condition_that_changed_is_told_by_its_clauses_that_differ_and_nothing_is_cut(cli: Cli) -> None:
    files = [str(POLICIES / f"{version}.yaml") for version in ("2026-06-12", "2026-06-26")]
    told = (await cli("policy", "diff", *files)).out
    assert "..." not in told
    lines = told.partition("rule foreign_person_named_models, when:")[2].partition("\n\n")[0].split("\n")[1:]
    assert lines[:2] == ["    all:", "  +   not:"]
    assert "  +       {fact: account.id, in: trusted_partners}" in lines
    assert not [line for line in lines if "affected_models" in line or line.startswith("  -")]
    assert (
        "For mythos-5, a place on the list of trusted partners; it covers the partner itself, and no other party"
        in (" ".join(told.split()))
    )


def test_of_two_conditions_only_what_differs_is_told_with_what_encloses_it() -> None:
    same, old, new = ({"fact": "customer.type", "is": name} for name in ("individual", "government", "organization"))
    assert altered({"all": [same, {"any": [old, same]}]}, {"all": [same, {"any": [new, same]}]}) == [
        "  all:",
        "    any:",
        "-     {fact: customer.type, is: government}",
        "+     {fact: customer.type, is: organization}",
    ]
    assert altered(["a", "b"], ["b", "c"]) == ["- a", "+ c"]
    assert altered(None, "text") == ["+ text"]
