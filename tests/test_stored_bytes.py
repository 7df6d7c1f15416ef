"""The stored format, byte for byte. What these files hold was written to ledgers; a change here breaks their replay."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.audit.bodies import Cause, Origin, decision_body, ended_body, header_of, read_header
from service.audit.canonical import canonical, digest
from service.audit.facts import decode_facts, encode_facts
from service.audit.journal import Scribe, leaf_of, link_of
from service.decide.evaluate import evaluate
from service.decide.facts import Assurance, Authorization, Element, Facts, Item
from service.ledger.lanes import GENESIS, Head, murmur2
from service.policies.load import load_document
from tests.policies import SMALL, nothing_beside

GOLDEN = Path(__file__).parent / "golden"
AT = datetime(2026, 6, 12, 21, 21, tzinfo=UTC)

EVIDENCE: Element = {"evidence.place": "GB", "evidence.kind": "business", "evidence.share": Decimal("99.5")}
FACTS = Facts(
    values={
        "subject.kind": "contract",
        "account.known": True,
        "account.unread_events": 0,
        "account.from_future": False,
        "account.flags": ({"flag.id": "f1", "flag.category": "military_use", "flag.severity": "high"},),
        "customer.organized_in": "GB",
        "customer.unreadable_places": (),
        "contract.value_usd": Decimal("49000.00"),
        "contract.deliver_to": ("DE", "GB"),
        "location.evidence": (EVIDENCE,),
    },
    items=(
        Item(model="fable-5", delivery="api", release=None, volume=Decimal("1.50")),
        Item(model="sonata-4", delivery="api", release="source_code", volume=None),
    ),
    assurance={"customer.organized_in": Assurance.DOCUMENTED},
    authorizations=(
        Authorization(
            kind="license",
            number="D123456",
            models=("fable-5",),
            deliveries=None,
            destinations=("GB",),
            end_uses=None,
            valid_from=AT - timedelta(days=1),
            valid_until=AT + timedelta(days=1),
        ),
    ),
)
HEADER = header_of(
    account_id="acct-1",
    subject_id="contract:c-1",
    epoch=1,
    revision=7,
    cause=Cause("event", "/crm evt-1"),
    origin=Origin("contracts.v1", 3, 41),
    raw_sha256=bytes(range(32)),
    supersedes=UUID("8f14e45f-ceea-567a-9a36-dedd4bea2543"),
    decided_at=AT,
)


def _written() -> dict[str, bytes]:
    # The small policy as it was then: the digest of its form is in the bytes.
    then = SMALL.partition("  - rule: unreadable_places")[0].format(version="1", held="fable-5")
    policy = load_document(then.encode(), "small.yaml", nothing_beside, nothing_beside).policy
    facts = encode_facts(FACTS)
    scribe = Scribe({3: Head(3, 12, GENESIS, AT)})
    scribe.write(3, "decision", decision_body(HEADER, evaluate(FACTS, policy, AT), policy, digest(facts)))
    scribe.write(3, "ended", ended_body(HEADER))
    decision, ended = scribe.rows
    chain = "\n".join(f"{row.lane} {row.seq} {row.leaf.hex()} {row.link.hex()}" for row in scribe.rows).encode()
    return {"facts.1.json": facts, "decision.1.json": decision.body, "ended.1.json": ended.body, "chain.1.txt": chain}


@pytest.mark.parametrize("name", ["facts.1.json", "decision.1.json", "ended.1.json", "chain.1.txt"])
def test_the_stored_bytes_are_those_of_the_first_day(name: str) -> None:
    assert _written()[name] == (GOLDEN / name).read_bytes()


def test_facts_read_back_are_the_facts_written() -> None:
    assert decode_facts(encode_facts(FACTS)) == FACTS


def test_a_header_read_back_is_the_header_written() -> None:
    assert read_header(json.loads((GOLDEN / "decision.1.json").read_bytes())) == HEADER


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcdefXYZ_.", max_size=6), inner, max_size=4),
    max_leaves=20,
)


@given(_JSON)
def test_canonical_bytes_are_sorted_json_without_white_space(value: object) -> None:
    written = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert json.loads(canonical(value)) == value
    assert canonical(json.loads(written)) == canonical(value)


def test_a_value_without_a_canonical_form_is_refused() -> None:
    with pytest.raises(TypeError):
        canonical({"when": object()})


def test_leaf_and_link_are_prefixed_so_that_neither_passes_for_the_other() -> None:
    leaf = leaf_of(b"body")
    assert leaf != digest(b"body")
    assert link_of(GENESIS, leaf) != digest(GENESIS + leaf)


@pytest.mark.parametrize(
    "key,hashed",
    # From Kafka's own UtilsTest, made non-negative as its partitioner does.
    [(b"21", -973932308), (b"foobar", -790332482), (b"a-little-bit-long-string", -985981536)],
)
def test_lanes_use_the_hash_of_kafkas_partitioner(key: bytes, hashed: int) -> None:
    assert murmur2(key) == hashed & 0x7FFFFFFF
