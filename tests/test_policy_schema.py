"""The JSON Schema of policy documents: editors check with it what the loader checks of the form."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from service.policies import policy_files
from service.policies.document import read_document
from service.policies.schema import WRITTEN, main
from tests.policy_trees import PARENT, WHOLE

POLICIES = Path(__file__).parents[1] / "deploy" / "policies"
GOLDEN = Path(__file__).parent / "golden" / "policy_errors"
SCHEMA: dict[str, Any] = json.loads(WRITTEN.read_text(encoding="utf-8"))
CHECKER = jsonschema.Draft202012Validator(SCHEMA)


def _errors(tree: object) -> list[str]:
    return [error.message[:300] for error in CHECKER.iter_errors(tree)]


def test_the_committed_schema_is_that_of_the_form() -> None:
    assert main(["--check"]) == 0


def test_a_stale_schema_is_named_and_written_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "policy-document.schema.json"
    assert main(["--check"], path) == 1
    path.write_text("{}", encoding="utf-8")
    assert main(["--check"], path) == 1
    assert capsys.readouterr().err == "json/policy-document.schema.json is stale; run: make schemas\n" * 2
    assert main([], path) == 0
    assert main(["--check"], path) == 0


def test_it_is_a_schema_of_its_dialect() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", policy_files(POLICIES), ids=lambda path: path.stem)
def test_a_shipped_document_fits(path: Path) -> None:
    assert _errors(read_document(path.read_bytes(), path.name).tree) == []


@pytest.mark.parametrize("tree", [WHOLE, PARENT], ids=["everything a document may hold", "a parent"])
def test_a_document_that_loads_fits(tree: object) -> None:
    assert _errors(tree) == []


REFUSED = (
    "a_case_with_a_derived_fact",
    "a_case_with_another_delivery",
    "a_case_with_a_kind_that_is_none",
    "a_case_with_another_outcome",
    "a_catalogue_with_a_number",
    "a_kind_of_hold_nobody_knows",
    "a_member_that_is_a_number",
    "a_missing_title",
    "a_place_that_is_no_code",
    "a_required_fact_nobody_knows",
    "a_rule_without_citation",
    "a_text_in_place_of_a_number",
    "a_unit_of_a_text",
    "a_word_outside_a_closed_set",
    "an_element_fact_outside_its_list",
    "an_empty_all",
    "an_operator_that_does_not_fit",
    "an_unknown_assurance",
    "an_unknown_fact",
    "an_unknown_key",
    "an_unknown_key_of_a_model",
    "an_unknown_limit",
    "an_unknown_list",
    "an_unknown_operator_in_a_list",
    "an_unknown_waiver",
    "another_unit",
    "assurance_nobody_states",
    "exists_of_what_is_no_list",
    "exists_without_where",
    "no_operator",
    "something_beside_all",
    "too_many_reviewers",
    "two_operators",
)


@pytest.mark.parametrize("name", REFUSED)
def test_an_editor_marks_what_the_loader_would_refuse(name: str) -> None:
    assert _errors(read_document((GOLDEN / f"{name}.yaml").read_bytes(), name).tree)
