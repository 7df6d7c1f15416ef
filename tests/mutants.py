"""The guards, and a copy of the service with one of them off: whoever rewrites a guard has to find it here again."""

import shutil
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A guard that is off: in `file` the text `guard`, which stands there once, becomes `instead`.

    `scenario` needs the guard, and `laws` are those of the checker that it breaks without it.
    """

    name: str
    file: str
    guard: str
    instead: str
    scenario: str
    laws: frozenset[str]


_PIN_AFTER_LANES = """\
    heads = await lock_lanes(tx, lanes)
    reach("lanes_locked")
    pin = await read_pin(tx, max(head.last_at for head in heads.values()))
"""
_PIN_BEFORE_LANES = """\
    pin = await read_pin(tx, None)
    heads = await lock_lanes(tx, lanes)
    reach("lanes_locked")
"""

MUTANTS = (
    # The successor does not wait. Its copy of the event is then stopped by the inbox, as a second fate of the record.
    Mutant(
        name="the position is not locked",
        file="service/ledger/positions.py",
        guard="ORDER BY topic, partition FOR UPDATE\n",
        instead="ORDER BY topic, partition\n",
        scenario="two_workers_have_the_same_record",
        laws=frozenset({"fate"}),
    ),
    Mutant(
        name="records below the position are taken for new",
        file="service/arrivals.py",
        guard="if positions[partition].halted_at is not None or offset < expected[partition]:",
        instead="if positions[partition].halted_at is not None:",
        scenario="a_record_is_polled_again",
        laws=frozenset({"fate"}),
    ),
    # What carries state is also known by its version, and is then noted as a copy: accepted twice all the same. A flag
    # gets a decision id that exists, so that its batch fails, and ends as a bug. Of a review nothing else would know.
    Mutant(
        name="the inbox is not asked",
        file="service/pipeline.py",
        guard="    if inbox.is_new(one):\n",
        instead="    if inbox.hash_of(one):\n",
        scenario="events_are_sent_twice",
        laws=frozenset({"inbox", "bug"}),
    ),
    # Masked: both write the same entry of the lane, its primary key stops the second, and a good event ends as a bug.
    Mutant(
        name="the lanes are not locked",
        file="service/ledger/lanes.py",
        guard="WHERE lane = ANY(CAST(:lanes AS smallint[])) ORDER BY lane FOR UPDATE\n",
        instead="WHERE lane = ANY(CAST(:lanes AS smallint[])) ORDER BY lane\n",
        scenario="two_workers_have_the_same_account",
        laws=frozenset({"bug"}),
    ),
    Mutant(
        name="the policy is read before the lanes are held",
        file="service/transaction.py",
        guard=_PIN_AFTER_LANES,
        instead=_PIN_BEFORE_LANES,
        scenario="a_policy_is_activated_while_a_batch_waits",
        laws=frozenset({"policy"}),
    ),
    Mutant(
        name="the clock is read before the lanes are held",
        file="service/transaction.py",
        guard=_PIN_AFTER_LANES,
        instead=_PIN_BEFORE_LANES,
        scenario="a_batch_waits_for_one_lane_while_another_goes_on",
        laws=frozenset({"order"}),
    ),
    Mutant(
        name="relays do not lock what they publish",
        file="service/ledger/relay.py",
        guard="ORDER BY relay_position.lane LIMIT :most FOR UPDATE OF relay_position SKIP LOCKED\n",
        instead="ORDER BY relay_position.lane LIMIT :most\n",
        scenario="two_relays_have_the_same_lane",
        laws=frozenset({"status"}),
    ),
    Mutant(
        name="open records do not hold their account",
        file="service/docket.py",
        guard="held=self.unread.get(subject.account_id, 0) > 0,",
        instead="held=False,",
        scenario="a_record_cannot_be_read",
        laws=frozenset({"taint"}),
    ),
    Mutant(
        name="records below the position are not compared",
        file="service/pipeline.py",
        guard="        if not old:\n            return halted\n",
        instead="        if old is not None:\n            return halted\n",
        scenario="a_topic_is_made_anew",
        laws=frozenset({"fate"}),
    ),
)


def plant(tree: Path, mutant: Mutant) -> Path:
    """A copy of `service` and `schemas` in `tree`, with a guard off."""
    for name in ("service", "schemas"):
        shutil.copytree(_ROOT / name, tree / name)
    path = tree / mutant.file
    text = path.read_text()
    found = text.count(mutant.guard)
    assert found == 1, f"{mutant.name}: expected its guard once in {mutant.file}, found it {found} times"
    path.write_text(text.replace(mutant.guard, mutant.instead))
    return tree
