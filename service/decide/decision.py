"""What the evaluator answers: findings, reasons and a verdict. Values only."""

from datetime import datetime
from enum import Enum, IntEnum
from typing import NamedTuple


class Outcome(IntEnum):
    """Ordered by strictness, so that no rule can soften another."""

    APPROVE = 0
    HOLD = 1
    DENY = 2


OUTCOME_WORDS = {Outcome.APPROVE: "approve", Outcome.HOLD: "hold", Outcome.DENY: "deny"}
"""As outcomes are written, from the least strict to the strictest."""


class Access(Enum):
    """How much of what was asked for may be used."""

    FULL = "full"
    PARTIAL = "partial"
    NONE = "none"


class Result(Enum):
    """What a rule found that is not clear. One whose facts are missing or less sure than it demands is UNKNOWN."""

    HIT = "hit"
    UNKNOWN = "unknown"
    WAIVED = "waived"


class Finding(NamedTuple):
    """The result of one rule for one item, or for the subject and so for all its items when `item` is None.

    `authorization` is the number of what waived it, None unless `result` is WAIVED.
    """

    rule: str
    item: int | None
    result: Result
    authorization: str | None


class Reason(NamedTuple):
    """Why the verdict is not a plain approval: one rule that was hit, unknown or waived.

    `missing` are the facts whose absence made it unknown. `items` are indices into the verdict's items, empty for the
    subject.
    """

    rule: str
    result: Result
    outcome: Outcome
    hold_kind: str | None
    missing: tuple[str, ...]
    items: tuple[int, ...]


class ItemVerdict(NamedTuple):
    """The outcome of one item, the subject's own outcome included."""

    model: str
    delivery: str
    outcome: Outcome
    rules: tuple[str, ...]


class Limit(NamedTuple):
    """A condition an approval comes with, such as `geo_block` of places."""

    kind: str
    places: tuple[str, ...]


class Authority(NamedTuple):
    """What an approval rests on. `number` names the licence or exception, None where there is none."""

    kind: str
    number: str | None


class Verdict(NamedTuple):
    """The answer for one subject. `outcome` is the worst of all; `items` tell each item's own.

    `findings` holds what was found; a rule in force that is not among them was clear for the subject and all its items.
    `authority` and `valid_until` are None unless something is approved; `next_actor` is None when nobody has to act.
    """

    outcome: Outcome
    access: Access
    items: tuple[ItemVerdict, ...]
    findings: tuple[Finding, ...]
    reasons: tuple[Reason, ...]
    limits: tuple[Limit, ...]
    authority: Authority | None
    hold_kinds: tuple[str, ...]
    next_actor: str | None
    valid_until: datetime | None
