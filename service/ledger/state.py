"""What a transaction leaves behind beside new history: one statement, since every way to the server and back counts."""

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import text

from service.ledger.engine import Tx
from service.ledger.history import KEEP_EVIDENCE, kept_evidence
from service.ledger.lanes import ADVANCE_LANES, Head, moved_lanes
from service.ledger.positions import ADVANCE_POSITIONS, TopicPartition, moved_positions
from service.ledger.subjects import SAVE_SUBJECTS, Subject, saved_subjects


async def write_state(
    tx: Tx,
    *,
    evidence: Mapping[bytes, bytes],
    subjects: Sequence[Subject],
    heads: Iterable[Head],
    cluster: str,
    next_offsets: Mapping[TopicPartition, int],
) -> None:
    """Keep evidence by its sha256, save subjects, and move lanes and claimed positions on.

    The lanes, and the positions in `next_offsets`, must be held.
    """
    parameters = (
        kept_evidence(evidence),
        saved_subjects(subjects),
        moved_lanes(heads),
        moved_positions(cluster, next_offsets),
    )
    await tx.execute(_WRITE, {name: value for some in parameters for name, value in some.items()})


_WRITE = text(
    f"""
    WITH evidence_kept AS ({KEEP_EVIDENCE}), lanes_moved AS ({ADVANCE_LANES}), positions_moved AS ({ADVANCE_POSITIONS})
    {SAVE_SUBJECTS}
    """
)
