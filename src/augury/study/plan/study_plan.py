"""A plan: the units of a study, in order, and which of them measure the truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from augury.study.plan.study_file import StudyFile
from augury.study.units.unit import StudyUnit, digest


@dataclass(frozen=True)
class Plan:
    """A study as units.

    Attributes:
        study: what its file says.
        units: by key, each after all its dependencies.
        truth: keys of the units that measure what is held out.
        truth_known: whether some of it is already in a table.
    """

    study: StudyFile
    units: Mapping[str, StudyUnit]
    truth: frozenset[str]
    truth_known: bool

    @property
    def digest(self) -> str:
        """Return what distinguishes this plan."""
        return digest(sorted(self.units))

    @property
    def before_truth(self) -> dict[str, StudyUnit]:
        """Return the units up to the forecasts, without those that wait for them."""
        kept: dict[str, StudyUnit] = {}
        for key, unit in self.units.items():
            if not unit.after and all(before in kept for before in unit.needs):
                kept[key] = unit
        return kept

    def of(self, *kinds: str) -> list[StudyUnit]:
        """Return the units of these kinds, in order."""
        return [unit for unit in self.units.values() if unit.kind in kinds]
