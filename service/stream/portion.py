"""How many records are decided in one transaction: the whole batch, or less of it while the database is too slow."""

from dataclasses import dataclass

_TRIES = 3


@dataclass(slots=True)
class Portion:
    """`most` is a whole batch. What is too slow three times in a row is halved, down to one record.

    A single record that is too slow is tried on and on: a slow database is no bug of ours.
    """

    most: int
    size: int
    _timeouts: int = 0

    def too_slow(self, tried: int) -> bool:
        """Note that so many records took too long; whether fewer are to be tried next."""
        self._timeouts += 1
        if self._timeouts < _TRIES or tried == 1:
            return False
        self._timeouts = 0
        self.size = tried // 2
        return True

    def decided(self, *, all_of_it: bool) -> None:
        """Note that the database was fast enough; try more again with the next batch."""
        self._timeouts = 0
        if all_of_it:
            self.size = min(self.most, self.size * 2)
