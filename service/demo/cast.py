"""The cast: customers with a name and a story, each there for one thing the service must get right."""

from collections.abc import Iterator

from service.demo.crowd import Town, account, contract, seen, user
from service.demo.message import Clerk, Json, Message

BANK = "thames-bank"
LOGISTICS = "sumida-logistics"
STARTUP = "spree-robotics"
GULF = "dhow-ventures"
SHELLS = "lantern-trading"
VPN = "fjord-analytics"
CRIMEA = "yalta-hosting"
LAB = "charles-river-labs"
ENGINEER = "ananya-rao"
MILITARY = "kestrel-drones"
CONTRADICTION = "three-thirds-holding"
HONG_KONG = "merlion-compute"
EARLY = "cart-before-horse"
CLOSED = "closing-time"
LEFT = "moving-on"
TWICE = "echo-valley"
TWO_VERSIONS = "two-truths"
REWRITTEN = "second-draft"
LATE = "slow-post"
UNKNOWN_USERS = "everglades-media"
US_ONLY = "potomac-records"

FABLE = {"model": "fable-5", "delivery": "api"}
MYTHOS = {"model": "mythos-5", "delivery": "api"}
NAMED = [FABLE, MYTHOS]
"""The two models that the letter names."""
PLAIN = {"model": "sonata-4", "delivery": "api"}
_BERLIN = Town("DE", "Berlin", "GmbH")
_BOSTON = Town("US", "Boston", "Inc")
_LONDON = Town("GB", "London", "plc")


def cast(clerk: Clerk) -> Iterator[Message]:
    """Everything the cast does in all three acts."""
    yield from _fine(clerk)
    yield from _held(clerk)
    yield from _changing(clerk)
    yield from _repeated(clerk)
    yield from _after_the_letter(clerk)


def _signup(clerk: Clerk, moment: float, town: Town, account_id: str, name: str, **fields: object) -> Message:
    return clerk.event(moment, "account.signed_up.v1", account(town, account_id, name, **fields))


def _fine(clerk: Clerk) -> Iterator[Message]:
    yield _signup(clerk, 0.01, _LONDON, BANK, "Thames Bank plc", items=[*NAMED, PLAIN])
    yield _signup(clerk, 0.02, Town("JP", "Tokyo", "KK"), LOGISTICS, "墨田ロジスティクス株式会社", items=NAMED)
    yield _signup(clerk, 0.03, _BERLIN, STARTUP, "Spree Robotics GmbH")
    yield _signup(clerk, 0.04, _BOSTON, LAB, "Charles River Labs Inc", items=[*NAMED, PLAIN], users_population="mixed")
    engineer = _engineer()
    yield clerk.event(0.05, "user.joined.v1", engineer)


def _engineer(**fields: object) -> Json:
    """In Boston on an H-1B visa: in the United States, but a foreign person (15 CFR 772.1)."""
    return user(LAB, ENGINEER, "Ananya Rao", "IN", located_in="US-MA", **fields)


def _held(clerk: Clerk) -> Iterator[Message]:
    dubai = Town("AE", "Dubai", "FZ-LLC")
    yield _signup(clerk, 0.10, dubai, GULF, "Dhow Ventures FZ-LLC", owners_disclosed=False)
    yield _signup(
        clerk,
        0.12,
        Town("CY", "Limassol", "Ltd"),
        SHELLS,
        "Lantern Trading Ltd",
        parties=[{"party_id": f"shell-{n}", "role": "owner", "name": f"Lantern {n} Ltd"} for n in (1, 2, 3)],
        ownership=[
            {"owner": "shell-1", "owned": SHELLS, "percent": "100", "kind": "equity"},
            {"owner": "shell-2", "owned": "shell-1", "percent": "100", "kind": "equity"},
            {"owner": "shell-3", "owned": "shell-2", "percent": "100", "kind": "equity"},
        ],
    )
    yield _signup(
        clerk,
        0.14,
        Town("NO", "Bergen", "AS"),
        VPN,
        "Fjord Analytics AS",
        location_evidence=[
            seen("NO", kind="anonymizer", share="55", days=28),
            seen("IR", kind="residential", share="45", days=19),
        ],
    )
    yield _signup(clerk, 0.16, Town("UA", "Yalta", "LLC"), CRIMEA, "Yalta Hosting LLC", headquartered_in="UA-43")
    yield _signup(
        clerk,
        0.18,
        Town("CH", "Zug", "AG"),
        CONTRADICTION,
        "Three Thirds Holding AG",
        ownership=[
            {"owner": f"Partner {number}", "owned": CONTRADICTION, "percent": "33.4", "kind": "equity"}
            for number in (1, 2, 3)
        ],
    )
    yield _signup(
        clerk,
        0.20,
        Town("SG", "Singapore", "Pte Ltd"),
        HONG_KONG,
        "Merlion Compute Pte Ltd",
        ultimate_parent_in="HK",
        relation_to_parent="subsidiary",
        items=[{"model": "compute-cluster", "delivery": "compute"}, PLAIN],
    )


def _changing(clerk: Clerk) -> Iterator[Message]:
    yield _signup(clerk, 0.22, _BERLIN, MILITARY, "Kestrel Drones GmbH", items=[PLAIN])
    yield clerk.event(0.24, "contract.signed.v1", contract(MILITARY, "contract-1", "DE", "84000.00"))
    yield clerk.event(
        1.60,
        "account.flagged.v1",
        {
            "account_id": MILITARY,
            "flag_id": "flag-1",
            "category": "military_use",
            "severity": "high",
            "reporter": "usage-monitor",
            "evidence_reference": "case-77",
            "raised_at": clerk.time(1.59),
        },
    )
    paris = Town("FR", "Paris", "SAS")
    # Its signup follows in the next act: until then nobody knows the account.
    yield clerk.event(0.26, "contract.signed.v1", contract(EARLY, "contract-1", "FR", "12000.00"))
    yield _signup(clerk, 1.05, paris, EARLY, "Cart Before Horse SAS", items=[PLAIN])
    yield _signup(clerk, 0.28, paris, CLOSED, "Closing Time SAS", items=[PLAIN])
    yield clerk.event(0.29, "user.joined.v1", user(CLOSED, "user-1", "Léa Roux", "FR"))
    yield clerk.event(1.10, "account.closed.v1", {"account_id": CLOSED, "version": 2, "reason": "customer_request"})
    yield _signup(clerk, 0.30, paris, LEFT, "Moving On SAS", items=[PLAIN])
    yield clerk.event(0.31, "user.joined.v1", user(LEFT, "user-1", "Jo Petit", "FR"))
    yield clerk.event(1.12, "user.left.v1", {"account_id": LEFT, "user_id": "user-1", "version": 2})
    yield clerk.event(0.32, "contract.signed.v1", contract(LEFT, "contract-1", "FR", "5000.00"))
    yield clerk.event(1.14, "contract.terminated.v1", {"account_id": LEFT, "contract_id": "contract-1", "version": 2})


def _repeated(clerk: Clerk) -> Iterator[Message]:
    """What is sent twice, told in two ways, or comes late."""
    leeds = Town("GB", "Leeds", "Ltd")
    once = _signup(clerk, 0.40, leeds, TWICE, "Echo Valley Ltd", items=[PLAIN])
    yield from (once, once.again(0.400001), once.again(0.90), once.again(1.90))
    picture = account(leeds, TWO_VERSIONS, "Two Truths Ltd", items=[PLAIN])
    yield clerk.event(0.42, "account.signed_up.v1", picture, event_id="two-truths-1")
    yield clerk.event(0.80, "account.signed_up.v1", picture | {"billing_in": "IE"}, event_id="two-truths-1")
    draft = account(leeds, REWRITTEN, "Second Draft Ltd", items=[PLAIN])
    yield clerk.event(0.44, "account.signed_up.v1", draft)
    yield clerk.event(0.82, "account.updated.v1", draft | {"legal_name": "Other Draft Ltd"})
    slow = account(leeds, LATE, "Slow Post Ltd", items=[PLAIN])
    yield clerk.event(0.46, "account.signed_up.v1", slow)
    yield clerk.event(0.60, "account.updated.v1", slow | {"version": 3, "payment_terms_days": 60})
    yield clerk.event(0.84, "account.updated.v1", slow | {"version": 2, "payment_terms_days": 30})


def _after_the_letter(clerk: Clerk) -> Iterator[Message]:
    yield clerk.event(
        2.10,
        "contract.signed.v1",
        contract(BANK, "contract-1", "GB", "250000.00", items=[MYTHOS, PLAIN]),
    )
    yield clerk.event(2.20, "user.updated.v1", _engineer(version=2, assurance={"us_status": "documented"}))
    miami = Town("US", "Miami", "Inc")
    yield _signup(clerk, 2.30, miami, UNKNOWN_USERS, "Everglades Media Inc", items=[FABLE])
    yield _signup(
        clerk,
        2.40,
        Town("US", "Arlington", "Inc"),
        US_ONLY,
        "Potomac Records Inc",
        items=NAMED,
        users_population="us_only",
        users_population_attested_by="notary-12",
        assurance={"users_population": "documented", "organized_in": "documented"},
    )
