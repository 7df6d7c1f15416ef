"""The script of June 2026: what came when, and what a policy officer and two signers type for it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from shlex import quote

from service.demo.shell import Typed

BEFORE = "affiliates-2025-09"
"""The version in force when the letter comes, which the letter's document extends."""
AUTHOR = "ann"
SIGNERS = ("bob", "cleo")
PEOPLE = (AUTHOR, *SIGNERS)
SIGNER_LIST = "signers.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """One version of June: the instant and the text it came with, the version it extends, why it is activated."""

    version: str
    extends: str
    came: str
    text: str
    reason: str


CHAPTERS = (
    Chapter(
        version="2026-06-12",
        extends=BEFORE,
        came="12 June 2026, 21:21 UTC",
        text="a letter of Commerce: fable-5 and mythos-5 need a license for any foreign person",
        reason="letter of Commerce received on 12 June 2026, 21:21 UTC",
    ),
    Chapter(
        version="2026-06-26",
        extends="2026-06-12",
        came="26 June 2026",
        text="a second letter: trusted partners may have mythos-5",
        reason="second letter of Commerce, received on 26 June 2026",
    ),
    Chapter(
        version="2026-06-30",
        extends="2026-06-26",
        came="30 June 2026",
        text="the controls are lifted; everything else stays, and malicious activity is reported",
        reason="notice of 30 June 2026 that the controls are lifted",
    ),
)


def keys() -> Iterator[Typed]:
    """Everybody makes a key."""
    for name in PEOPLE:
        yield Typed(
            command=f"exportgate policy keygen --name {name} --out {name}.pem",
            why=f"{name.capitalize()} makes a key to sign with; the private half stays in the file.",
            brief=name != PEOPLE[0],
        )


def list_of_signers() -> Iterator[Typed]:
    """Two of the list let it count, each where their key is."""
    first, second, *_ = PEOPLE
    yield Typed(
        command=f"exportgate policy signers sign {SIGNER_LIST} --key {second}.pem > {second}.json",
        why=f"{second.capitalize()} signs the list of those who may sign, and hands on the signature, not the key.",
    )
    yield Typed(
        command=f"exportgate policy signers publish {SIGNER_LIST} --by {first} --key {first}.pem "
        f"--signature {second}.json",
        why=f"{first.capitalize()} signs it too, and lets it count.",
    )


def begin(chapter: Chapter, *, brief: bool) -> Typed:
    """The draft."""
    return Typed(
        command=f"exportgate policy new {chapter.version} --from {chapter.extends}.yaml",
        why="A document to begin with, beside the one that it extends.",
        brief=brief,
    )


def look(chapter: Chapter, since: str | None) -> Iterator[Typed]:
    """All that says what the document would do; nothing of it changes anything."""
    file, brief = f"{chapter.version}.yaml", since is not None
    yield Typed(command=f"exportgate policy lint {file}", why="Does it say anything that cannot be meant?", brief=brief)
    yield Typed(
        command=f"exportgate policy test {file}",
        why="Do its cases come out as expected, and does a case look at every rule, date and waiver of it?",
        brief=brief,
    )
    yield Typed(
        command=f"exportgate policy diff {chapter.extends}.yaml {file}",
        why="What does it say differently, and who is a smallest customer that sees it?",
    )
    yield Typed(
        command=f"exportgate policy simulate {file} --samples 1" + ("" if since is None else f" --since {since}"),
        why=f"Who would be decided otherwise, of all {'who stand' if since is None else 'decided since the last one'}?",
    )


def enact(chapter: Chapter, *, brief: bool) -> Iterator[Typed]:
    """Published, signed by two and in force. Unless `brief`, also what one person cannot do."""
    version, (first, second) = chapter.version, SIGNERS
    activate = f"exportgate policy activate {version} --by {AUTHOR} --reason {quote(chapter.reason)}"
    yield Typed(
        command=f"exportgate policy publish {version}.yaml --by {AUTHOR}",
        why="It is kept for ever as it stands, and decides nothing yet.",
        brief=brief,
    )
    if not brief:
        yield Typed(command=_sign(version, AUTHOR), why="May the author approve of her own work? No.", refused=True)
    yield Typed(command=_sign(version, first), why=f"{first.capitalize()} has read it and approves.", brief=brief)
    if not brief:
        yield Typed(command=activate, why="Is one signature enough? No.", refused=True)
    yield Typed(
        command=f"exportgate policy diff {chapter.extends} {version}",
        why=f"{second.capitalize()} reads what was published against what is in force, before signing it.",
        brief=brief,
    )
    yield Typed(command=_sign(version, second), why=f"{second.capitalize()} approves too.", brief=brief)
    yield Typed(command=activate, why="From now on everything that comes is decided by it.", brief=brief)


def look_back() -> Sequence[Typed]:
    """What an auditor asks for afterwards."""
    return (
        Typed(command="exportgate policy list", why="Which version decided when, and who answers for it?"),
        Typed(command="exportgate replay", why="Does every decision follow from its facts and the policy of its time?"),
    )


def _sign(version: str, name: str) -> str:
    return f"exportgate policy sign {version} --by {name} --key {name}.pem"
