"""Runs the measurements: `python -m tests.bench [--events N] [--rounds N]`."""

import argparse
import asyncio
import json
from pathlib import Path

from tests.bench.pipeline import EVENTS, ROUNDS, measure


def main() -> None:
    """Print the table and write build/bench.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    print(f"{arguments.events:,} events of 2 KB, {arguments.rounds} rounds, embedded broker and PostgreSQL 18")
    figures = asyncio.run(measure(arguments.events, arguments.rounds))
    for name, value in figures.items():
        print(f"  pipeline.{name:<24}{value:>12,.2f}")
    target = Path("build/bench.json")
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps({"broker": "tansu", "pipeline": figures}, indent=2) + "\n")
    print(f"written to {target}")


if __name__ == "__main__":
    main()
