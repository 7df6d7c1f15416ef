"""The ledger epoch, which leads in revision order: it is raised when a restore has lost decisions."""

from sqlalchemy import update

from service.ledger.engine import Tx
from service.ledger.tables import installation

HIGHEST = 2**31 - 1
"""The largest number that the column holds."""


async def store_epoch(tx: Tx, epoch: int) -> None:
    """Decide with this epoch from now on; workers read it when they start. Only the owner may."""
    await tx.execute(update(installation).values(epoch=epoch))
