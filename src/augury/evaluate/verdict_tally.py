"""How many programs of a run could not be judged normally: they count as failed, with a note."""

from __future__ import annotations

from collections import Counter

PLAIN = ("passed", "failed")


class VerdictTally:
    """Verdicts of one run, counted by outcome and by missing package."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.lacking: Counter[str] = Counter()

    def add(self, outcome: str, lacks: str | None) -> None:
        """Count one verdict."""
        self.outcomes[outcome] += 1
        if lacks is not None:
            self.lacking[lacks] += 1

    def notes(self) -> list[str]:
        """Return remarks for the reader of the pass rate."""
        judged = self.outcomes.total()
        notes = [
            f"{n:,} of {judged:,} different programs import {name}, which the sandbox lacks, and "
            f"count as failed; if it is installed, the checker unit-tests:{name} offers it"
            for name, n in self.lacking.most_common()
        ]
        odd = {name: n for name, n in self.outcomes.most_common() if name not in PLAIN}
        if odd:
            told = ", ".join(f"{n:,} {name}" for name, n in odd.items())
            notes.append(
                f"{sum(odd.values()):,} of {judged:,} different programs were stopped or refused"
                f" and count as failed: {told}"
            )
        return notes
