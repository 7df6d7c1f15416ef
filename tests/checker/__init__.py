"""The independent checker: whether a system at rest kept its laws, asked of Kafka and PostgreSQL alone.

It imports neither `service` nor `schemas`: it makes what it expects itself, so that their mistakes are not its own.
"""

from tests.checker.check import check, examine
from tests.checker.seen import CannotLookError, Violation

__all__ = ["CannotLookError", "Violation", "check", "examine"]
