"""All events of the demo, in three acts: before the June letter, while it comes into force, and after it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from random import Random

from service.demo.cast import cast
from service.demo.crowd import crowd
from service.demo.faults import faults
from service.demo.message import ACTS, Clerk, Message

RETRIED = 100
"""One message in so many is sent twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """What is sent: `before` the letter comes, `during` its coming into force, and `after` it."""

    before: Sequence[Message]
    during: Sequence[Message]
    after: Sequence[Message]

    @property
    def all(self) -> list[Message]:
        """Every message, in order."""
        return [*self.before, *self.during, *self.after]


def populate(random: Random, now: datetime) -> Population:
    """About 2,000 events. The same seed and instant give the same bytes; every event lies before `now`."""
    clerk = Clerk(now)
    plain = [
        *crowd(clerk, random, customers=470, act=0, first_number=1),
        *crowd(clerk, random, customers=255, act=1, first_number=1001),
        *crowd(clerk, random, customers=85, act=2, first_number=2001),
    ]
    messages = [*plain, *_retries(random, plain), *cast(clerk), *faults(clerk)]
    ordered = sorted(messages, key=lambda message: message.moment)
    acts = [[message for message in ordered if int(message.moment) == act] for act in range(ACTS)]
    return Population(before=acts[0], during=acts[1], after=acts[2])


def _retries(random: Random, messages: Sequence[Message]) -> list[Message]:
    """A few messages again, later in their act, as a producer sends them that missed an acknowledgement."""
    again = random.sample(messages, k=len(messages) // RETRIED)
    return [message.again(message.moment + random.random() * (1 - message.moment % 1)) for message in again]
