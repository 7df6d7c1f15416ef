"""`python -m tests.checker`: exit 0 when every law holds, 1 with one line a violation, 2 when it cannot look."""

import argparse
import asyncio
import json
import sys

from tests.checker.check import REST_SECONDS, check_all
from tests.checker.seen import CannotLookError


def main() -> int:
    """Check as the command line says."""
    asked = _parser().parse_args()
    try:
        violations, looked_at = asyncio.run(
            check_all(
                asked.database,
                asked.bootstrap,
                asked.prefix,
                asked.cluster,
                replay=asked.replay,
                within_seconds=asked.within,
            )
        )
    except CannotLookError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if asked.json:
        sys.stdout.write(
            json.dumps({"violations": [one._asdict() for one in violations], "looked_at": looked_at}) + "\n"
        )
    else:
        sys.stdout.writelines(f"{one}\n" for one in violations)
        sys.stderr.write("looked at " + ", ".join(f"{count} {what}" for what, count in looked_at.items()) + "\n")
    return 1 if violations else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.checker", description=__doc__)
    parser.add_argument("--database", required=True, metavar="URL", help="PostgreSQL; the user must read the ledger")
    parser.add_argument("--bootstrap", required=True, metavar="HOST:PORT", help="brokers to ask first")
    parser.add_argument("--prefix", default="", help="what stands before the names of the topics")
    parser.add_argument("--cluster", help="the name of the positions, if it is not made of prefix and cluster id")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--replay", action=argparse.BooleanOptionalAction, default=True, help="also run the replay")
    parser.add_argument(
        "--within", type=float, default=REST_SECONDS, metavar="SECONDS", help="how long to wait for rest"
    )
    return parser


sys.exit(main())
