"""Policy documents as files: read, tried on their own cases and on their parent's, and what came of it told."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from service.cli.coverage import tell_coverage
from service.cli.output import AsJson, Failed, Misuse, emit, say, warn
from service.cli.words import joined, plural
from service.decide.decision import Outcome, Verdict
from service.policies import LoadedPolicy, PolicyRefused, load_file, policy_files
from service.policies.cases import Case, CaseResult, run_cases
from service.policies.document import Document, read_document
from service.policies.lint_leaves import own_rules
from service.policies.model import read_instant


def check_documents(
    paths: Annotated[list[Path], typer.Argument(metavar="DIR-or-FILE...", help="Documents, or directories of them.")],
    *,
    strict: Annotated[bool, typer.Option("--strict", help="Fail also when the cases leave something unshown.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check documents and run their golden cases, without a database; exit 1 when one is refused or fails.

    What the cases leave unshown is listed: rules never hit, clear or unknown, sides of thresholds, dates, waivers.
    Cases of the version it extends that now come out differently are named. Neither refuses anything.
    """
    files = [file for path in paths for file in policy_paths(path)]
    refused, unshown, results = 0, 0, list[CaseResult]()
    for file in files:
        try:
            loaded = load(file)
        except Failed as refusal:
            refused += 1
            _tell_refused(file, str(refusal), as_json=as_json)
            continue
        ran = run_cases(loaded.policy, loaded.cases)
        results += ran
        _tell(loaded, ran, as_json=as_json)
        unshown += tell_coverage(loaded, ran, as_json=as_json)
        _tell_changed(loaded, changed_cases(file, loaded), as_json=as_json)
    failed = sum(result.failure is not None for result in results)
    documents, cases = plural(len(files), "document"), plural(len(results), "case")
    if refused or failed:
        raise Failed(f"{documents}, {cases}: {failed} failed, {plural(refused, 'document')} refused")
    told = as_expected([result.case for result in results])
    if strict and unshown:
        raise Failed(f"{documents}: {told}, and {plural(unshown, 'thing')} left unshown")
    if not as_json:
        say(f"{documents}: {told}.")


def load(file: Path) -> LoadedPolicy:
    """The policy of a file. Failed when it is refused, Misuse when it cannot be read."""
    try:
        return load_file(file)
    except PolicyRefused as refusal:
        raise Failed(str(refusal)) from None
    except IsADirectoryError:
        found = policy_files(file)
        such_as = f"name one document in it, such as {found[-1]}" if found else "and holds no policy document"
        raise Misuse(f"expected a policy document, but {file} is a directory; {such_as}") from None
    except OSError as error:
        raise Misuse(f"expected a policy document, but {file} cannot be read: {error.strerror}") from None


def is_file(path: Path) -> bool:
    """Whether a file is there; False also for a name that no file can have, such as one that is too long."""
    try:
        return path.is_file()
    except OSError:
        return False


def is_directory(path: Path) -> bool:
    """Whether a directory is there; False also for a name that none can have."""
    try:
        return path.is_dir()
    except OSError:
        return False


def policy_paths(path: Path) -> list[Path]:
    """The file itself, or the documents of a directory. Misuse where it holds none."""
    if not is_directory(path):
        return [path]
    found = policy_files(path)
    if not found:
        raise Misuse(f"expected policy documents (*.yaml with a line 'policy:') in {path}, found none")
    return found


def _tell_refused(file: Path, message: str, *, as_json: bool) -> None:
    if as_json:
        emit({"file": str(file), "refused": message})
    else:
        warn(message)


def _tell(loaded: LoadedPolicy, results: Sequence[CaseResult], *, as_json: bool) -> None:
    version = loaded.policy.version
    if as_json:
        for result in results:
            emit({"version": version, "case": result.case.name, "place": result.case.place,
                  "holds": result.failure is None, "failure": result.failure,
                  "golden": result.case.golden, "waits_for": result.case.waits_for})  # fmt: skip
        return
    failures = [result.failure for result in results if result.failure is not None]
    for failure in failures:
        warn(failure)
    verb = "fails" if len(failures) == 1 else "fail"
    cases = f"{len(failures)} of {plural(len(results), 'case')} {verb}"
    told = cases if failures else as_expected([result.case for result in results])
    say(f"{version}: {_rules(loaded)}, {told}")


def _rules(loaded: LoadedPolicy) -> str:
    own, all_rules = len(own_rules(loaded.source)), len(loaded.policy.rules)
    if loaded.source.tree.get("extends") is None:
        return plural(all_rules, "rule")
    return f"{plural(own, 'rule')} of its own ({all_rules - own} inherited)"


def _tell_changed(loaded: LoadedPolicy, changed: Sequence[str], *, as_json: bool) -> None:
    if not as_json:
        warn_of(loaded, changed)
        return
    for change in changed:
        emit({"version": loaded.policy.version, "changes": change})


def warn_of(loaded: LoadedPolicy, changed: Sequence[str]) -> None:
    """Say on stderr, a line each, what a version should make its author think of; nothing of it is refused."""
    version = loaded.policy.version
    if not loaded.cases:
        warn(f"warning: {version} has no cases, so nothing shows that it decides as was meant; add some under 'cases:'")
    if any(_CANNOT_RUN in change for change in changed):
        warn(f"note: {version} extends {changed[0]}")
    elif changed:
        verb, them = ("comes", "it") if len(changed) == 1 else ("come", "them")
        cases = f"{plural(len(changed), 'case')} of the parent {verb} out differently"
        warn(f"note: {version}: {cases}, as a new rule must; --json lists {them}")


_CANNOT_RUN = "whose own cases cannot be run"


def changed_cases(file: Path, loaded: LoadedPolicy) -> list[str]:
    """A line for each case of the version that `loaded` extends, found beside `file`, that `loaded` decides otherwise.

    A case without a time of its own is decided when the new version was received: before that, nothing would differ.
    """
    document = read_document(loaded.document, file.name)
    extended = document.tree.get("extends")
    if extended is None:
        return []
    beside = file.with_name(f"{extended}.yaml")
    try:
        parent = load(beside)
    except Failed as refusal:
        return [f"{beside.name}, {_CANNOT_RUN}: {refusal}"]
    then, now = _received_at(read_document(parent.document, beside.name)), _received_at(document)
    cases = [replace(one, as_of=now) if now and one.as_of == then else one for one in parent.cases]
    both = zip(run_cases(parent.policy, cases), run_cases(loaded.policy, cases), strict=True)
    return [_change(old, new) for old, new in both if _decided(old.verdict) != _decided(new.verdict)]


def _decided(verdict: Verdict) -> tuple[Outcome, Sequence[tuple[str, str, Outcome]]]:
    return verdict.outcome, [(one.model, one.delivery, one.outcome) for one in verdict.items]


def _change(old: CaseResult, new: CaseResult) -> str:
    before = {(one.rule, one.result) for one in old.verdict.reasons}
    added = [f"{one.rule} {one.result.value}" for one in new.verdict.reasons if (one.rule, one.result) not in before]
    found = f" (found: {', '.join(added)})" if added else ""
    return f"{new.case.place}: case '{new.case.name}': was {_shown(old.verdict)}, is {_shown(new.verdict)}{found}"


def _shown(verdict: Verdict) -> str:
    """`approve`; where items fare differently, `hold (fable-5 hold, sonata-4 approve)`."""
    outcome = verdict.outcome.name.lower()
    if all(one.outcome is verdict.outcome for one in verdict.items):
        return outcome
    return f"{outcome} ({', '.join(f'{one.model} {one.outcome.name.lower()}' for one in verdict.items)})"


def _received_at(document: Document) -> datetime | None:
    instrument = document.tree["instrument"]
    stated = instrument.get("received_at") if isinstance(instrument, dict) else None
    return None if stated is None else read_instant(stated)


def as_expected(cases: Sequence[Case]) -> str:
    """How many cases there are, when none fails; those that wait for what this release cannot find out are apart."""
    if not cases:
        return "no cases"
    waiting = Counter(what for case in cases for what in case.waits_for)
    done = sum(not case.waits_for for case in cases)
    verb = "comes" if done == 1 else "come"
    told = f"{plural(done, 'case')} {verb} out as expected"
    waits = [f"{count} {'waits' if count == 1 else 'wait'} for {what}" for what, count in sorted(waiting.items())]
    return f"{told}; {joined(waits)}" if waits else told
