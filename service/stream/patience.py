"""Waiting: never without a limit, and longer after each failure."""

import asyncio
from collections.abc import Awaitable
from random import Random

from aiokafka.errors import KafkaError
from asyncpg.exceptions import InterfaceError, PostgresError
from sqlalchemy.exc import SQLAlchemyError

from service.ledger.engine import is_temporary

AWAY = (KafkaError, SQLAlchemyError, PostgresError, InterfaceError, OSError)
"""What a broker or database that is away may raise; of these, those that `is_away` confirms."""

_LEAST_SECONDS = 0.1
_MOST_SECONDS = 5.0
_DOUBLINGS = 10


def back_off(failures: int, random: Random) -> float:
    """Seconds to wait after so many failures in a row; random, so that workers do not come back all at once."""
    return min(_MOST_SECONDS, _LEAST_SECONDS * 2.0 ** min(failures, _DOUBLINGS)) * random.uniform(0.5, 1.0)


def is_away(error: Exception) -> bool:
    """Whether broker or database are away and the same may succeed later; whatever a broker says, it may."""
    return isinstance(error, KafkaError) or is_temporary(error)


async def until(done: Awaitable[object], seconds: float) -> bool:
    """Wait for something, at most `seconds`; whether it came."""
    try:
        async with asyncio.timeout(seconds):
            await done
    except TimeoutError:
        return False
    return True
