"""The journal: entries chained by hash, one chain a lane."""

from dataclasses import dataclass, field
from hashlib import sha256

from service.audit.canonical import canonical
from service.ledger.history import JournalRow
from service.ledger.lanes import Head

FORMAT = 1
"""Of the bodies. A new form gets a new number, and replay keeps reading the old ones."""


def leaf_of(body: bytes) -> bytes:
    """The leaf of an entry (RFC 6962, section 2.1: the prefix keeps leaves and nodes apart)."""
    return sha256(b"\x00" + body).digest()


def link_of(previous: bytes, leaf: bytes) -> bytes:
    """The link that ties an entry to all entries of its lane before it."""
    return sha256(b"\x02" + previous + leaf).digest()


@dataclass(slots=True)
class Scribe:
    """Writes entries at the heads of held lanes. The rows go into the database with the rest of the transaction."""

    heads: dict[int, Head]
    rows: list[JournalRow] = field(default_factory=list)

    def write(self, lane: int, kind: str, content: dict[str, object]) -> tuple[int, int]:
        """Add one entry and return its place, (lane, seq). KeyError when the lane is not held."""
        head = self.heads[lane]
        body = canonical({**content, "format": FORMAT, "kind": kind, "lane": lane, "seq": head.next_seq})
        leaf = leaf_of(body)
        link = link_of(head.link, leaf)
        self.rows.append(JournalRow(lane=lane, seq=head.next_seq, kind=kind, body=body, leaf=leaf, link=link))
        place = lane, head.next_seq
        head.next_seq += 1
        head.link = link
        return place
