"""The docket: what one transaction knows, decides and will write.

In memory; events are decided on it one after another.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from service.audit.bodies import Body, Cause, Header, Origin, decision_body, ended_body, header_of
from service.audit.canonical import digest, identity, instant
from service.audit.facts import decode_own, encode_facts, encode_own
from service.audit.journal import Scribe
from service.decide.evaluate import evaluate
from service.decide.facts import Facts
from service.decide.policy import Policy
from service.ledger.history import DecisionRow
from service.ledger.lanes import Installation, lane_of
from service.ledger.quarantine import QuarantineRow
from service.ledger.subjects import ACCOUNT, Subject, SubjectKey
from service.normalise import NOTHING, OwnFacts, standing_facts


@dataclass(slots=True, kw_only=True)
class Docket:
    """State of the accounts whose lanes are held, and the rows that come of deciding.

    `unread` counts the open quarantined records of an account. `evidence` is by sha256. `changed` are the subjects to
    save.
    """

    installation: Installation
    epoch: int
    now: datetime
    policy: Policy
    scribe: Scribe
    unread: dict[str, int]
    subjects: dict[SubjectKey, Subject] = field(default_factory=dict)
    decisions: list[DecisionRow] = field(default_factory=list)
    quarantined: list[QuarantineRow] = field(default_factory=list)
    evidence: dict[bytes, bytes] = field(default_factory=dict)
    changed: set[SubjectKey] = field(default_factory=set)
    _own: dict[SubjectKey, OwnFacts] = field(default_factory=dict)
    _dependents: defaultdict[str, set[SubjectKey]] = field(default_factory=lambda: defaultdict(set))

    def lane(self, account_id: str | None) -> int:
        """The lane of an account; of what belongs to none, the control lane."""
        if account_id is None:
            return self.installation.control_lane
        return lane_of(account_id, self.installation.lanes)

    def subject(self, account_id: str, subject_id: str) -> Subject:
        """What is known of a subject; a new, empty one when nothing is."""
        key = account_id, subject_id
        found = self.subjects.get(key)
        if found is None:
            found = Subject(
                account_id=account_id,
                subject_id=subject_id,
                lane=self.lane(account_id),
                facts=b"",
                version=0,
                content_sha256=b"",
                revision=0,
                decision_id=None,
                outcome=None,
                ended=False,
            )
            self.know(found)
        return found

    def own_facts(self, subject: Subject) -> OwnFacts:
        """The subject's own facts."""
        own = self._own.get(subject.key)
        if own is None:
            own = self._own[subject.key] = decode_own(subject.facts) if subject.facts else NOTHING
        return own

    def learn(self, subject: Subject, own: OwnFacts) -> None:
        """Replace what is known of a subject by itself."""
        self._own[subject.key] = own
        subject.facts = encode_own(own)
        self.changed.add(subject.key)

    def live_dependents(self, account_id: str) -> list[Subject]:
        """The users and contracts of an account that have not ended, in order of their ids."""
        found = [self.subjects[key] for key in sorted(self._dependents[account_id])]
        return [subject for subject in found if not subject.ended and subject.revision > 0]

    def know(self, subject: Subject) -> None:
        """Take in a subject that the ledger holds, or that an event has just brought up."""
        self.subjects[subject.key] = subject
        if subject.subject_id != ACCOUNT:
            self._dependents[subject.account_id].add(subject.key)

    def quarantine_id(self, account_id: str | None) -> UUID:
        """The id of a record that is put aside in the next entry of its lane: a place in history is taken once."""
        lane = self.lane(account_id)
        return identity("quarantine", self.epoch, lane, self.scribe.heads[lane].next_seq)

    def open_another(self, account_id: str) -> bool:
        """Count one more open record of an account; whether it is the first, so that the account is now held."""
        self.unread[account_id] = self.unread.get(account_id, 0) + 1
        return self.unread[account_id] == 1

    def close_one(self, account_id: str) -> bool:
        """Count one open record less; whether it was the last, so that the account is no longer held for any."""
        self.unread[account_id] -= 1
        return self.unread[account_id] == 0

    def write(self, account_id: str | None, kind: str, content: Body) -> tuple[int, int]:
        """Add an entry that is no decision to the history of an account, or of none."""
        return self.scribe.write(
            self.lane(account_id), kind, {**content, "account_id": account_id, "at": instant(self.now)}
        )

    def decide_account(self, account_id: str, cause: Cause, origin: Origin | None, raw_sha256: bytes | None) -> None:
        """Decide an account, and its live users and contracts, whose facts are the account's plus their own."""
        account = self.subject(account_id, ACCOUNT)
        for subject in (account, *self.live_dependents(account_id)):
            self.decide(subject, cause, origin, raw_sha256)

    def decide(self, subject: Subject, cause: Cause, origin: Origin | None, raw_sha256: bytes | None) -> None:
        """Decide one subject on what is known now, under the pinned policy."""
        facts = self._facts(subject)
        content = encode_facts(facts)
        facts_sha256 = digest(content)
        self.evidence[facts_sha256] = content
        verdict = evaluate(facts, self.policy, self.now)
        header = self._header(subject, cause, origin, raw_sha256)
        body = decision_body(header, verdict, self.policy, facts_sha256)
        lane, seq = self.scribe.write(subject.lane, "decision", body)
        outcome = str(body["outcome"])
        self.decisions.append(
            DecisionRow(
                decision_id=header.decision_id,
                account_id=subject.account_id,
                subject_id=subject.subject_id,
                epoch=header.epoch,
                revision=header.revision,
                outcome=outcome,
                access=verdict.access.value,
                cause_kind=cause.kind,
                cause_id=cause.id,
                policy_sha256=bytes.fromhex(self.policy.sha256),
                rules=tuple(dict.fromkeys(reason.rule for reason in verdict.reasons)),
                supersedes=header.supersedes,
                raw_sha256=raw_sha256,
                facts_sha256=facts_sha256,
                decided_at=self.now,
                valid_until=verdict.valid_until,
                lane=lane,
                seq=seq,
            )
        )
        self._stand(subject, header, outcome)

    def end(self, subject: Subject, cause: Cause, origin: Origin | None, raw_sha256: bytes | None) -> None:
        """Note that a subject is no more: no approval of it stands."""
        header = self._header(subject, cause, origin, raw_sha256)
        self.scribe.write(subject.lane, "ended", ended_body(header))
        subject.ended = True
        self._stand(subject, header, None)
        subject.decision_id = None

    def _header(self, subject: Subject, cause: Cause, origin: Origin | None, raw_sha256: bytes | None) -> Header:
        return header_of(
            account_id=subject.account_id,
            subject_id=subject.subject_id,
            epoch=self.epoch,
            revision=subject.revision + 1,
            cause=cause,
            origin=origin,
            raw_sha256=raw_sha256,
            supersedes=subject.decision_id,
            decided_at=self.now,
        )

    def _stand(self, subject: Subject, header: Header, outcome: str | None) -> None:
        subject.revision = header.revision
        subject.decision_id = header.decision_id
        subject.outcome = outcome
        self.changed.add(subject.key)

    def _facts(self, subject: Subject) -> Facts:
        account = self.subject(subject.account_id, ACCOUNT)
        return standing_facts(
            subject.key,
            account=self.own_facts(account),
            own=None if subject is account else self.own_facts(subject),
            known=account.is_known,
            held=self.unread.get(subject.account_id, 0) > 0,
        )
