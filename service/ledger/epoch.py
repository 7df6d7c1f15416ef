"""The ledger epoch, which leads in revision order: it is raised when a restore has lost decisions."""

from sqlalchemy import update

from service.ledger.engine import Tx
from service.ledger.tables import installation

HIGHEST = 1_000_000
"""More restores than there will be. A slip of the hand must not use up the numbers that the column holds."""


async def store_epoch(tx: Tx, epoch: int) -> None:
    """Decide with this epoch from now on. All lanes must be held. Only the owner may."""
    await tx.execute(update(installation).values(epoch=epoch))
