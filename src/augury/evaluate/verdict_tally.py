"""How many programs a run could not judge plainly: they count as failed, and it is said."""

from __future__ import annotations

from collections import Counter

PLAIN = ("passed", "failed")


class VerdictTally:
    """Verdicts of one run, counted by outcome and by the package that was not there."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.lacking: Counter[str] = Counter()

    def add(self, outcome: str, lacks: str | None) -> None:
        """Count one verdict."""
        self.outcomes[outcome] += 1
        if lacks is not None:
            self.lacking[lacks] += 1

    def notes(self) -> list[str]:
        """What a reader of the pass rate has to know."""
        judged = self.outcomes.total()
        notes = [
            f"{n:,} of {judged:,} different programs import {name}, which the sandbox lacks, and"
            f" count as failed; where it is installed, the checker unit-tests:{name} offers it"
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
