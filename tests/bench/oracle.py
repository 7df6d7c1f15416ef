"""Two engines on very many fact sets: ours and Google's CEL must tell the same truth of every shipped rule."""

import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache
from multiprocessing import get_context
from os import cpu_count

from service.decide.policy import Policy
from tests.bench.stage import Say
from tests.bench.workers import BenchError
from tests.oracle import Oracle, compare, policies

_CHUNK = 500
_TOLD = 10
"""How often progress is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Fact sets compared, each by every rule in force; `seconds` on all cores."""

    sets: int
    seconds: float
    truths: int
    disagreements: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Fact sets of one shipped policy."""

    policy: int
    sets: int
    seed: int


def measure_agreement(sets: int, say: Say) -> Agreement:
    """BenchError, naming the first fact set, where the two engines disagree."""
    tasks, began = list(_tasks(sets)), time.perf_counter()
    done = truths = 0
    wrong: list[str] = []
    say(f"comparing every shipped rule with Google's CEL on {sum(task.sets for task in tasks):,} fact sets")
    with ProcessPoolExecutor(cpu_count(), get_context("spawn")) as pool:
        for number, (task, (told, compared)) in enumerate(zip(tasks, pool.map(_compare, tasks), strict=True), start=1):
            done, truths = done + task.sets, truths + compared
            wrong += told
            if number * _TOLD // len(tasks) > (number - 1) * _TOLD // len(tasks):
                say(f"{done:,} fact sets compared, {len(wrong):,} disagreements")
    if wrong:
        raise BenchError(f"our engine and CEL disagree {len(wrong):,} times; first: {wrong[0]}")
    return Agreement(sets=done, seconds=time.perf_counter() - began, truths=truths, disagreements=len(wrong))


def _tasks(sets: int) -> Iterator[Task]:
    """Chunks that take turns among the policies; every seed is used once."""
    number, left = len(policies()), sets
    for seed in range(-(-sets // _CHUNK)):
        yield Task(policy=seed % number, sets=min(_CHUNK, left), seed=seed)
        left -= _CHUNK


@cache
def _at_hand() -> tuple[list[Policy], Oracle]:
    return policies(), Oracle()


def _compare(task: Task) -> tuple[list[str], int]:
    known, oracle = _at_hand()
    policy = known[task.policy]
    compared = compare(policy, task.sets, seed=task.seed, oracle=oracle)
    wrong = [f"{policy.version} {rule}, set {index} of {asdict(task)}" for index, rule in compared.disagreements]
    return wrong, compared.truths.total()
