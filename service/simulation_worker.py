"""A process of the pool that simulates: it is given the policy once, and then chunk after chunk.

Apart from the command, so that such a process loads no more than it needs. Chunks travel as plain tuples, without the
ids and times that no simulation looks at: packing those costs ten times as much as all the rest.
"""

import signal
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from service.decide.policy import Policy
from service.policies import load_resolved
from service.simulation import Tally, simulate

Packed = Sequence[tuple[str, str, str, str, bytes | None]]


class Handed(NamedTuple):
    """One decision as it was packed."""

    account_id: str
    subject_id: str
    outcome: str
    access: str
    facts: bytes | None


_BEGUN: list[tuple[Policy, datetime, int]] = []
"""What every chunk is decided by."""


def begin(resolved: bytes, as_of: datetime, samples: int) -> None:
    """In a new process: an interrupt is for the one that waits for our answers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _BEGUN.append((load_resolved(resolved), as_of, samples))


def decide(packed: Packed) -> Tally:
    """One chunk under the policy that was handed over."""
    policy, as_of, samples = _BEGUN[0]
    return simulate(policy, [Handed(*one) for one in packed], as_of, samples)
