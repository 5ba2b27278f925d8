"""Vocabulary: the value of embedding parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from augury.laws.base import Array, Example, Law, positive, power, real
from augury.laws.inputs import KNOWN, Input
from augury.laws.registry import register


@register
@dataclass(frozen=True)
class Vocabulary(Law):
    """G = E - A N^-alpha - C V^-gamma - B D^-beta: nats gained over a unigram model.

    Tao et al. 2024 (arXiv 2407.13623), whose unigram-normalised loss is -G: losses of different
    vocabularies cannot be compared otherwise. N is the parameters without the vocabulary's, V the
    embedding parameters (size of the vocabulary times width), D tokens (in characters, or tokens of
    one fixed tokenizer). V's best share of the parameters follows. The two size terms are hard to
    tell apart: look at forecasts, and at the intervals of C and gamma, before the constants.
    """

    name: ClassVar[str] = "vocabulary"
    output: ClassVar[str] = "unigram_gain"
    equation: ClassVar[str] = r"G = E - A\,N^{-\alpha} - C\,V^{-\gamma} - B\,D^{-\beta}"
    source: ClassVar[str] = "Tao et al. 2024 (arXiv 2407.13623), with the sign turned"
    inputs: ClassVar[dict[str, Input]] = {
        n: KNOWN[n] for n in ("params", "vocabulary_params", "tokens")
    }
    E = real((3.0, 8.0), "upper limit of the gain, nats", bounds=(0.0, 1e6), amplitude=True)
    A = positive((1.0, 1e6), "amplitude of the parameter term", amplitude=True)
    C = positive((1.0, 1e6), "amplitude of the vocabulary term", amplitude=True)
    B = positive((1.0, 1e6), "amplitude of the token term", amplitude=True)
    alpha = positive((0.1, 1.0), "exponent of parameters", bounds=(1e-2, 5.0))
    gamma = positive((0.1, 1.2), "exponent of the vocabulary's parameters", bounds=(1e-2, 5.0))
    beta = positive((0.1, 1.0), "exponent of tokens", bounds=(1e-2, 5.0))

    def formula(self, p: Any, x: Any) -> Array:
        lost = p.A * power(x.params, -p.alpha) + p.C * power(x.vocabulary_params, -p.gamma)
        return p.E - lost - p.B * power(x.tokens, -p.beta)

    def example(self, n: int = 120, seed: int = 0) -> Example:
        rng = np.random.default_rng(seed)
        inputs = {name: kind.draw(rng, n) for name, kind in self.inputs.items()}
        sizes = {"E": 5.5, "A": 900.0, "C": 4000.0, "B": 3000.0}
        return Example(sizes | {"alpha": 0.4, "gamma": 0.6, "beta": 0.4}, inputs)
