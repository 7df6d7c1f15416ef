"""Steps at which a test may kill, freeze or fail this process, to prove that nothing is lost there. Off unless armed.

`EXPORTGATE_FAULT` arms it; it is for tests only.
"""

import os
import signal
from dataclasses import dataclass

import structlog

log = structlog.get_logger(__name__)

POINTS = (
    "polled",
    "positions_claimed",
    "inbox_entered",
    "lanes_locked",
    "pin_read",
    "subjects_loaded",
    "decided",
    "journal_written",
    "decisions_written",
    "quarantine_written",
    "state_written",
    "committed",
    "offsets_committed",
    "relay_locked",
    "relay_read",
    "relay_half_handed_over",
    "relay_handed_over",
    "relay_some_acknowledged",
    "relay_acknowledged",
    "relay_before_commit",
    "relay_committed",
    "relay_repairing",
    "relay_repaired",
)
"""The steps of a batch and of a relay's round, in order; `repaired` is before the repair's own COMMIT."""
KINDS = ("kill", "stop", "fail")
"""SIGKILL to this process, SIGSTOP to it, or an error as if the connection was lost just then."""


@dataclass(slots=True)
class _Fault:
    """What happens when `point` is reached for the `left`-th time from now."""

    point: str
    left: int
    kind: str


_armed: list[_Fault] | None = None


def arm(wanted: str) -> None:
    """Arm `<point>[:<nth>]:<kind>`, several separated by commas; an empty text arms nothing. ValueError in one line."""
    global _armed  # noqa: PLW0603 -- None is all that an unarmed process looks at
    _armed = [_fault(one.strip()) for one in wanted.split(",")] if wanted else None
    if _armed:
        log.warning("a fault is armed, as only a test may do", fault=wanted)


def reach(point: str) -> None:
    """Mark a step: once a batch or a round, never once an event. OSError where `fail` is armed here."""
    if _armed is not None:
        for fault in _armed:
            if fault.point == point:
                _count(fault)


def _count(fault: _Fault) -> None:
    fault.left -= 1
    if fault.left != 0:
        return
    if fault.kind == "fail":
        raise ConnectionAbortedError(f"a test wants the connection lost at {fault.point}")
    os.kill(os.getpid(), signal.SIGKILL if fault.kind == "kill" else signal.SIGSTOP)


def _fault(wanted: str) -> _Fault:
    point, *nth, kind = wanted.split(":") if ":" in wanted else (wanted, "")
    if point not in POINTS:
        raise ValueError(f"{point!r} is no fault point; expected one of {', '.join(POINTS)}")
    if kind not in KINDS or len(nth) > 1 or not all(one.isdecimal() and int(one) > 0 for one in nth):
        raise ValueError(f"expected <point>[:<nth>]:<{'|'.join(KINDS)}>, got {wanted!r}")
    return _Fault(point, int(nth[0]) if nth else 1, kind)
