"""What the golden cases of a document leave unshown, told to its author."""

from collections.abc import Sequence
from itertools import groupby

from service.cli.output import emit, emit_bytes
from service.policies import LoadedPolicy
from service.policies.cases import CaseResult
from service.policies.coverage import KINDS, Point, coverage, gaps

_WORDS = {
    "hit": "rules hit",
    "clear": "clear",
    "unknown": "unknown",
    "threshold": "sides of thresholds",
    "date": "moments of dates",
    "waiver": "waivers",
}


def tell_coverage(loaded: LoadedPolicy, results: Sequence[CaseResult], *, as_json: bool) -> int:
    """Print what the cases show and what they do not, a line a rule; how much they do not."""
    points = coverage(loaded, results)
    missing = gaps(points)
    if as_json:
        emit({"version": loaded.policy.version, "coverage": _counts(points),
              "gaps": [{"kind": one.kind, "place": one.place, "about": one.about, "what": one.what}
                       for one in missing]})  # fmt: skip
    elif results and points:
        told = [f"{_WORDS[kind]} {one['shown']} of {one['wanted']}" for kind, one in _counts(points).items()]
        lines = [f"shown by its cases: {', '.join(told)}", *_lines(missing)]
        emit_bytes("".join(f"  {line}\n" for line in lines).encode())
    return len(missing)


def _counts(points: Sequence[Point]) -> dict[str, dict[str, int]]:
    found = {kind: [point.shown for point in points if point.kind == kind] for kind in KINDS}
    return {kind: {"shown": sum(shown), "wanted": len(shown)} for kind, shown in found.items() if shown}


def _lines(missing: Sequence[Point]) -> list[str]:
    """One line for each rule or group: the place of its first gap, and every gap."""
    grouped = [list(same) for _, same in groupby(missing, key=lambda point: point.about)]
    return [f"{same[0].place}: {same[0].about}: {'; '.join(point.what for point in same)}" for same in grouped]
