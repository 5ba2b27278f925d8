"""`python -m tests.claims.record [NAME ...]`: the claims at full size, to tests/claims/record.json.

Only outdated claims are run again, unless some are named.
"""

from __future__ import annotations

import json
import math
import os
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tests.claims.claims import CLAIMS, Claim
from tests.structure import digest

PATH = Path(__file__).parent / "record.json"
DOCUMENT = Path(__file__).parents[2] / "docs" / "intervals.md"
BEGIN, END = "<!-- claims: made by `make claims` -->", "<!-- end of claims -->"


def recorded() -> dict[str, dict[str, Any]]:
    """The record, by claim."""
    found: dict[str, dict[str, Any]] = json.loads(PATH.read_text()) if PATH.exists() else {}
    return found


def up_to_date(claim: Claim, line: dict[str, Any] | None) -> bool:
    """Whether a line of the record was made with the current code."""
    return line is not None and line["digest"] == digest(*claim.rooms)


def standard_error(share: float, n: int) -> float:
    """Standard error of a share; for 0 or 1, as if half a simulation were different."""
    kept = min(max(share, 0.5 / n), 1 - 0.5 / n)
    return math.sqrt(kept * (1 - kept) / n)


def table() -> str:
    """The record as a table for the documents."""
    rows = ["| what | claimed | found | simulations |", "| --- | --- | --- | --- |"]
    for line in recorded().values():
        low, high = (f"{100 * x:.0f}" for x in line["limits"])
        found = f"{100 * line['figure']:.1f} ± {100 * line['standard_error']:.1f} %"
        rows.append(f"| {line['claim']} | {low} to {high} % | {found} | {line['n']} |")
    return "\n".join(rows)


def document() -> str:
    """The document with the table in it."""
    text = DOCUMENT.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{rest.partition(END)[2]}"


def line_of(name: str) -> dict[str, Any]:
    """Run a claim at full size, as a line of the record."""
    claim = CLAIMS[name]
    share = claim.count(claim.seed, claim.n)
    return {
        "claim": claim.says,
        "seed": claim.seed,
        "n": claim.n,
        "figure": round(share, 4),
        "standard_error": round(standard_error(share, claim.n), 4),
        "limits": list(claim.limits),
        "rooms": list(claim.rooms),
        "digest": digest(*claim.rooms),
    }


def main() -> None:
    """Run outdated claims, one process per core, and record each as it ends."""
    lines = {name: line for name, line in recorded().items() if name in CLAIMS}
    due = [
        name
        for name, claim in CLAIMS.items()
        if name in sys.argv[1:] or not up_to_date(claim, lines.get(name))
    ]
    broken = []
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as crew:
        counting = {crew.submit(line_of, name): name for name in due}
        for done in as_completed(counting):
            name = counting[done]
            lines[name] = line = done.result()
            PATH.write_text(json.dumps(dict(sorted(lines.items())), indent=1) + "\n")
            low, high = line["limits"]
            sys.stderr.write(f"{name}: {line['figure']}\n")
            if not low <= line["figure"] <= high:
                broken.append(f"{name}: {line['figure']:.3f}, claimed {low} to {high}")
    DOCUMENT.write_text(document(), encoding="utf-8")
    sys.exit("\n".join(broken) or 0)


if __name__ == "__main__":
    main()
