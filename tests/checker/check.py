"""The laws, one after another, and the replay, which is asked of the command as of any other program."""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence

from tests.checker.fates import (
    every_event_is_accepted_once,
    every_record_has_one_fate,
    halts_have_their_reason,
    no_record_met_a_bug,
    positions_end_where_fates_end,
)
from tests.checker.history import doubt_holds, history_is_in_order, lanes_are_whole, the_policy_was_in_force
from tests.checker.look import look
from tests.checker.published import (
    decisions_are_those_of_the_journal,
    statuses_are_where_subjects_stand,
    topics_hold_what_was_written,
    topics_keep_the_order_of_lanes,
)
from tests.checker.seen import CannotLookError, Seen, Violation
from tests.checker.versions import copies_tell_the_same, what_is_left_aside_is_old

REST_SECONDS = 30.0
_REPLAY_SECONDS = 600.0
LAWS: Sequence[Callable[[Seen], Iterator[Violation]]] = (
    every_record_has_one_fate,
    every_event_is_accepted_once,
    no_record_met_a_bug,
    positions_end_where_fates_end,
    halts_have_their_reason,
    lanes_are_whole,
    history_is_in_order,
    doubt_holds,
    the_policy_was_in_force,
    what_is_left_aside_is_old,
    copies_tell_the_same,
    decisions_are_those_of_the_journal,
    topics_hold_what_was_written,
    topics_keep_the_order_of_lanes,
    statuses_are_where_subjects_stand,
)


async def check(
    database_url: str,
    bootstrap: str,
    prefix: str,
    cluster: str | None = None,
    *,
    replay: bool = True,
    within_seconds: float = REST_SECONDS,
) -> list[Violation]:
    """Every violation of every law, once the system has come to rest or `within_seconds` are over; [] when all hold.

    `prefix` stands before the names of the topics. `cluster` is the name under which the positions are kept; None
    makes it of the prefix and the brokers' own id. CannotLookError when database, brokers or command cannot be asked.
    """
    return (await check_all(database_url, bootstrap, prefix, cluster, replay=replay, within_seconds=within_seconds))[0]


async def check_all(
    database_url: str, bootstrap: str, prefix: str, cluster: str | None, *, replay: bool, within_seconds: float
) -> tuple[list[Violation], dict[str, int]]:
    """The same, and how much was looked at: a checker that saw nothing has nothing to say."""
    seen = await look(database_url, bootstrap, prefix, cluster, within_seconds)
    violations = examine(seen) + (await replay_differences(database_url) if replay else [])
    counts = {topic: len(records) for topic, records in seen.records.items()}
    return violations, counts | {"entries": len(seen.entries), "subjects": len(seen.subjects), "inbox": len(seen.inbox)}


def examine(seen: Seen) -> list[Violation]:
    """What the laws say of what was seen. What is too broken for a law to read is a violation of it too."""
    violations: list[Violation] = []
    for law in LAWS:
        try:
            violations.extend(law(seen))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            violations.append(Violation(law.__name__, "all", f"it cannot be checked ({type(error).__name__}: {error})"))
    return violations


async def replay_differences(database_url: str) -> list[Violation]:
    """Every decision made again from what is stored gives the same bytes: 0 differences, by the command's own word."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "service", "replay", "--json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"EXPORTGATE_DATABASE_URL": database_url},
    )
    try:
        answer, errors = await asyncio.wait_for(process.communicate(), _REPLAY_SECONDS)
    except TimeoutError as error:
        process.kill()
        await process.wait()
        raise CannotLookError(f"the replay did not end within {_REPLAY_SECONDS:.0f} s") from error
    try:
        said = json.loads(answer)
        differences, first = said["differences"], said["first"]
    except (ValueError, KeyError) as error:
        raise CannotLookError(f"the replay gave no answer: {errors.decode(errors='replace').strip()[-500:]}") from error
    found = [Violation("replay", one["where"], one["what"]) for one in first]
    if differences > len(found):
        found.append(Violation("replay", "all", f"and {differences - len(found)} more differences"))
    return found
