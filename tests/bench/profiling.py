"""Where the worker's processor time goes: the throughput test with the worker under cProfile."""

import pstats
import signal
from pathlib import Path

from tests.bench.events import TOPIC, make_events, send_events
from tests.bench.stage import Say, Stage
from tests.bench.throughput import watch
from tests.bench.workers import running_workers, service

_LINES = 40


async def profile(stage: Stage, events: int, into: Path, say: Say) -> None:
    """Write the profile and print its heaviest functions, by their own time and with what they call."""
    async with stage.place() as place, stage.published(place) as published:
        await send_events(stage.broker.bootstrap, place.prefix + TOPIC, make_events(events, "profile"))
        command = service(place, stage.broker, profile=into)
        # An orderly end: only then is the profile written.
        async with running_workers(command, log=stage.log, stop=signal.SIGTERM) as workers:
            found = await watch(workers, published, events)
    say(f"{found.events_per_second:,.0f} events/s, {found.cpu_us_per_event:,.0f} us an event, profiler included")
    stats = pstats.Stats(str(into))
    for order in ("tottime", "cumtime"):
        stats.sort_stats(order).print_stats(_LINES)
    say(f"written to {into}")
