"""Laws over one input that the user names."""

from __future__ import annotations

from dataclasses import dataclass

from augury.laws.base import Law
from augury.laws.inputs import Input, input_named


@dataclass(frozen=True)
class OneInputLaw(Law):
    """Base class of laws over one input, which `over` names."""

    over: str = "params"

    @property
    def inputs(self) -> dict[str, Input]:
        return {self.over: input_named(self.over)}
