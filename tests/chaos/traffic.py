"""Continuous traffic of a few hundred accounts, with everything that is troublesome, and policies that change."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from service.ledger.engine import DATABASE_ERRORS
from service.reading import Record
from tests.events import account, contract, event, flag, record, terminated, user
from tests.ledger import Ledger
from tests.policies import small_policy
from tests.stream import Stream

Json = dict[str, Any]
Place = tuple[str, int, int]

_ACCOUNTS = 300
_EVENTS_A_BURST = 15
_BURST_SECONDS = 0.25
_POLICY_SECONDS = 20.0
_REMEMBERED = 500


@dataclass
class Traffic:
    """Sends until stopped. `last` are the places of the last burst that the brokers have acknowledged."""

    stream: Stream
    ledger: Ledger
    random: Random
    bursts: int = 0
    sent: int = 0
    unsure: int = 0
    """Records of which the brokers did not tell whether they have them."""
    activated: int = 0
    last: list[Place] = field(default_factory=list)
    _versions: dict[str, int] = field(default_factory=dict)
    _recent: "deque[Json]" = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    _events: int = 0

    async def run(self) -> None:
        """Send bursts until cancelled, while the brokers come and go."""
        arguments = {
            "bootstrap_servers": self.stream.connection.bootstrap,
            "acks": "all",
            "enable_idempotence": self.stream.broker.idempotent,
            "request_timeout_ms": 5_000,
        }
        while True:
            # Made anew after an error: behind an unanswered batch an idempotent producer's numbers have a hole.
            producer = AIOKafkaProducer(**arguments)
            with suppress(KafkaError):
                try:
                    await producer.start()
                    while True:
                        await self._burst(producer)
                        await asyncio.sleep(_BURST_SECONDS)
                finally:
                    await producer.stop()
            await asyncio.sleep(_BURST_SECONDS)

    async def change_policies(self) -> None:
        """Put one version after another in force until cancelled."""
        while True:
            await asyncio.sleep(_POLICY_SECONDS * self.random.uniform(0.5, 1.5))
            held = "sonata-4" if self.activated % 2 else "nothing"
            with suppress(*DATABASE_ERRORS):
                await self.ledger.use(small_policy(f"{self.activated + 2}", held))
                self.activated += 1

    async def _burst(self, producer: AIOKafkaProducer) -> None:
        records = [self._record() for _ in range(_EVENTS_A_BURST)]
        name = self.stream.connection.topic
        futures = [await producer.send(name(one.topic), value=one.value, key=one.key) for one in records]
        answers = await asyncio.gather(*futures, return_exceptions=True)
        places: list[Place] = []
        for one, answer in zip(records, answers, strict=True):
            if not isinstance(answer, BaseException):
                places.append((one.topic, answer.partition, answer.offset))
        self.sent += len(places)
        self.unsure += len(records) - len(places)
        if len(places) < len(records):
            raise KafkaError("some were not acknowledged")
        self.last = places
        self.bursts += 1

    def _record(self) -> Record:
        """Mostly a newer state of some account; each kind of trouble now and then."""
        name = f"acct-{self.random.randrange(_ACCOUNTS)}"
        kinds: dict[Callable[[str], Record], int] = {
            self._newer: 60,
            self._older: 6,
            self._again: 8,
            self._other_bytes: 2,
            self._broken: 2,
            self._flagged: 2,
            self._user: 8,
            self._contract: 8,
            self._terminated: 4,
        }
        (kind,) = self.random.choices(list(kinds), list(kinds.values()))
        return kind(name)

    def _event(self, event_type: str, data: Json) -> Record:
        self._events += 1
        made = event(event_type, data, id=f"chaos-{self._events}")
        self._recent.append(made)
        return record(made)

    def _next(self, key: str) -> int:
        self._versions[key] = self._versions.get(key, 0) + 1
        return self._versions[key]

    def _newer(self, name: str) -> Record:
        return self._event("account.updated.v1", account(account_id=name, version=self._next(name)))

    def _older(self, name: str) -> Record:
        return self._event(
            "account.updated.v1", account(account_id=name, version=max(1, self._versions.get(name, 1) - 2))
        )

    def _again(self, name: str) -> Record:
        return record(self.random.choice(self._recent)) if self._recent else self._newer(name)

    def _other_bytes(self, name: str) -> Record:
        if not self._recent:
            return self._newer(name)
        return record(self.random.choice(self._recent) | {"time": "2026-06-01T12:00:01Z"})

    def _broken(self, name: str) -> Record:
        return record(self.random.choice([b"{", b"\xff\xfe", b"", None]), key=name.encode())

    def _flagged(self, name: str) -> Record:
        return self._event("account.flagged.v1", flag(account_id=name))

    def _user(self, name: str) -> Record:
        return self._event("user.joined.v1", user(account_id=name, version=self._next(f"{name}/user")))

    def _contract(self, name: str) -> Record:
        return self._event("contract.signed.v1", contract(account_id=name, version=self._next(f"{name}/contract")))

    def _terminated(self, name: str) -> Record:
        return self._event(
            "contract.terminated.v1", terminated(account_id=name, version=self._next(f"{name}/contract"))
        )
