"""A prospect is decided before there is an account: nothing is kept of it but that it was asked for, and by whom."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import TypeVar

import orjson
from pydantic import ValidationError

from schemas.accounts import AccountData, UserData
from schemas.contracts import ContractData
from service.audit.bodies import Body, Cause, decision_body, header_of
from service.audit.canonical import digest
from service.audit.control import hold_control_lane, write_control_entry
from service.audit.facts import encode_facts
from service.decide.evaluate import evaluate
from service.decide.facts import Facts
from service.decide.policy import Policy
from service.ledger.engine import Tx
from service.ledger.subjects import ACCOUNT
from service.normalise import NOTHING, account_facts, contract_facts, standing_facts, user_facts
from service.policies.refusal import suggestion
from service.wrong_values import wrong

PROSPECT = "prospect"
"""The account, user and contract id of a prospect, unless it brings its own."""


class BadProspect(ValueError):  # noqa: N818 -- the message tells the person what to correct
    """The description of a prospect cannot be read. The message is one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prospect:
    """What is known of somebody who is no customer yet.

    `subject_id` says whether an account, a user or a contract is asked about.
    """

    account_id: str
    subject_id: str
    facts: Facts


def read_prospect(tree: dict[str, object], said_on: date) -> Prospect:
    """A prospect from the fields of an account event's data, with those of a `user` or `contract` of it if need be.

    Ids and versions may be left out. `said_on`: the day of asking. BadProspect names the first field that is wrong.
    """
    account = dict(tree)
    user, contract = account.pop("user", None), account.pop("contract", None)
    if user is not None and contract is not None:
        raise BadProspect("expected a user or a contract, got both; ask about one at a time")
    data = _read(AccountData, account, {"account_id": PROSPECT}, "")
    own, subject_id = None, ACCOUNT
    if user is not None:
        read_user = _read(UserData, user, {"account_id": data.account_id, "user_id": PROSPECT}, "/user")
        own = user_facts(read_user, earlier=NOTHING, said_on=said_on, from_future=False)
        subject_id = f"user:{read_user.user_id}"
    if contract is not None:
        ids = {"account_id": data.account_id, "contract_id": PROSPECT}
        read_contract = _read(ContractData, contract, ids, "/contract")
        own = contract_facts(read_contract, earlier=NOTHING, from_future=False)
        subject_id = f"contract:{read_contract.contract_id}"
    facts = standing_facts(
        (data.account_id, subject_id),
        account=account_facts(data, earlier=NOTHING, from_future=False),
        own=own,
        known=True,
        held=False,
    )
    return Prospect(account_id=data.account_id, subject_id=subject_id, facts=facts)


def no_codes(prospect: Prospect, tree: Mapping[str, object]) -> list[tuple[str, str]]:
    """Fields of the description that hold no country or region, each with what stands there instead."""
    unreadable = prospect.facts.values.get("customer.unreadable_places")
    named = unreadable if isinstance(unreadable, Collection) and not isinstance(unreadable, str) else ()
    parts = {"": tree, "/user": tree.get("user"), "/contract": tree.get("contract")}
    found = []
    for where, part in parts.items():
        for name, value in part.items() if isinstance(part, Mapping) else ():
            if name in named and isinstance(value, str | list):
                found.append((f"{where}/{name}", value if isinstance(value, str) else ", ".join(map(str, value))))
    return found


def decide_prospect(prospect: Prospect, policy: Policy, as_of: datetime, by: str) -> Body:
    """What the policy would decide, in the form of a decision that was never made."""
    header = header_of(
        account_id=prospect.account_id,
        subject_id=prospect.subject_id,
        epoch=0,
        revision=0,
        cause=Cause("precheck", by),
        origin=None,
        raw_sha256=None,
        supersedes=None,
        decided_at=as_of,
    )
    return decision_body(header, evaluate(prospect.facts, policy, as_of), policy, digest(encode_facts(prospect.facts)))


async def note_precheck(tx: Tx, body: Body, by: str, reason: str) -> None:
    """Note in the control lane who asked, why, and what the answer was; who the prospect is stays out of it.

    So does the digest of its facts: they are few, and whoever tries them all would find which ones it is of.
    """
    head = await hold_control_lane(tx)
    content = {name: body[name] for name in ("policy", "outcome", "access")}
    await write_control_entry(tx, head, "prechecked", {**content, "by": by, "reason": reason})


Model = TypeVar("Model", AccountData, UserData, ContractData)


def _read(model: type[Model], fields: object, ids: dict[str, str], where: str) -> Model:
    if not isinstance(fields, dict):
        raise BadProspect(f"{where}: expected fields with their values")
    # An event may carry what we do not know; a person who types a field means it.
    unknown = sorted(fields.keys() - model.model_fields.keys())
    if unknown:
        raise BadProspect(f"{where}/{unknown[0]}: no such field{suggestion(unknown[0], list(model.model_fields))}")
    try:
        return model.model_validate_json(orjson.dumps({"version": 1, **ids, **fields}))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path = "".join(f"/{part}" for part in first["loc"])
        raise BadProspect(f"{where}{path}: {wrong(first)}") from None
