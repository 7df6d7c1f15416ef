"""What may go wrong in ways that were foreseen, for whoever tells people: light, so that commands begin quickly."""

from typing import ClassVar


class ForeseenError(Exception):
    """The message is one line for a person: what, where, what to do."""

    exit_code: ClassVar[int] = 1
    """Of a command that ends by it: 1 for a failure, 2 for misuse."""
