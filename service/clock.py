"""The clock of the machine, read in this place alone."""

from datetime import UTC, datetime


def now() -> datetime:
    """The instant, for questions that no database is asked about: what is decided goes by the database's clock."""
    return datetime.now(UTC)
