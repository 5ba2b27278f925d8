"""PassUntil's result for one model on one task: counts, and estimates from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from augury.data import counts, observations
from augury.data.mean_rate import mean_rate_interval
from augury.display import Card, Shown
from augury.errors import UsageError
from augury.evaluate.backend import Floats, TokenUsage
from augury.evaluate.draw_check import Distribution
from augury.evaluate.kept_samples import KeptSample
from augury.evaluate.weights import PassWeights

Method = Literal["exact", "tree", "independent", "importance"]


@dataclass(frozen=True)
class PassCounts(Shown):
    """Passes and samples of every instance; with method "exact" log-probabilities instead.

    Attributes:
        about: columns that identify the model.
        task: its name.
        chance: pass rate of random guessing.
        method: "exact", "tree", "independent" or "importance".
        ids: (n,) instances.
        passes, samples: (n,) counts; empty with method "exact". With "importance" they are counts
            of the mixture, and tell nothing about the model without `weights`.
        logprob: (n,) exact log-probability of passing; empty without.
        reference: (n,) log-likelihood of the reference answers, which replaces passes if there are
            none (`augury passrate` uses it); NaN if the model does not show it.
        r: passes at which an instance stopped; infinity if a budget stopped it.
        max_samples: maximum samples per instance.
        temperature: of the sampling.
        checker: name of the check.
        examples: for instances that passed, a text that did.
        notes: remarks on how this was measured.
        weights: importance weights of the passes; None with any other method.
        tokens: cost of sampling: tokens drawn (with a tree one per distinct prefix), read and paid
            for; None if a server does not report them.
        distribution: "own" if samples come from the model's own distribution, "cut" if a server is
            known to leave part of it out or to repeat itself, "unknown" if it does not show.
        kept: a few samples of each instance with their verdicts, to be read.
    """

    about: Mapping[str, Any]
    task: str
    chance: float
    method: Method
    ids: tuple[str, ...]
    passes: NDArray[np.int64]
    samples: NDArray[np.int64]
    logprob: Floats
    reference: Floats
    r: float
    max_samples: int
    temperature: float
    checker: str
    examples: Mapping[str, str]
    notes: tuple[str, ...] = ()
    weights: PassWeights | None = None
    tokens: TokenUsage = field(default_factory=TokenUsage)
    kept: tuple[KeptSample, ...] = ()
    distribution: Distribution = "own"

    @property
    def exact(self) -> bool:
        """Whether probabilities were computed, not sampled."""
        return self.method == "exact"

    @cached_property
    def rates(self) -> Floats:
        """(n,) pass rates: exact, or unbiased by `counts.rate`; NaN if there is none."""
        if self.weights is not None:
            return self.weights.rates
        return (
            np.exp(self.logprob) if self.exact else counts.rate(self.passes, self.samples, self.r)
        )

    @property
    def mle(self) -> Floats:
        """(n,) r/K, the PU of Hu et al. 2023. Zero where nothing passed."""
        if self.exact or self.weights is not None:
            return self.rates
        return counts.rate_mle(self.passes, self.samples)

    @property
    def mean(self) -> float:
        """Mean pass rate over instances; NaN if one of them is."""
        return float(self.rates.mean())

    def intervals(self, level: float = 0.9) -> tuple[Floats, Floats]:
        """Return (n,) the ends of each instance's interval."""
        if self.exact:
            return self.rates, self.rates
        if self.weights is not None:
            return self.weights.intervals(level)
        return counts.rate_interval(self.passes, self.samples, self.r, level)

    def mean_interval(self, level: float = 0.9) -> tuple[float, float]:
        """Return the interval of the mean pass rate over these instances; a point if exact."""
        if self.exact:
            return self.mean, self.mean
        if self.weights is not None:
            return self.weights.mean_interval(level)
        return mean_rate_interval(self.passes, self.samples, self.r, level)

    def pass_at_k(self, k: int) -> float:
        """Return mean pass@k: unbiased if every instance has enough samples, else by a fitted beta.

        Raises:
            UsageError: k is not positive.
        """
        if k < 1:
            raise UsageError(f"pass@k needs k of at least 1, not {k}")
        if self.exact or self.weights is not None:
            return float(np.mean(-np.expm1(k * np.log1p(-np.minimum(self.rates, 1 - 1e-16)))))
        each = counts.pass_at_k(self.passes, self.samples, k, self.r)
        if np.isfinite(each).all():
            return float(each.mean())
        return counts.pass_at_k_fitted(self.passes, self.samples, k)

    def table(self, level: float = 0.9) -> pl.DataFrame:
        """Build an observation table: one row per instance with counts, and one for the mean."""
        common = {
            **self.about,
            "task": self.task,
            "metric": "pass",
            "chance": self.chance,
            "method": self.method,
            "temperature": self.temperature,
        }
        if self.distribution == "cut":
            common["distribution"] = "cut"
        rates = [None if np.isnan(x) else float(x) for x in self.rates]
        lows, highs = (x.tolist() for x in self.intervals(level))
        rows: list[dict[str, Any]] = []
        for i, name in enumerate(self.ids):
            row = {**common, "instance": name, "value": rates[i], "n": 1.0}
            if self.exact:
                row["logprob"] = float(self.logprob[i])
            elif self.weights is not None:  # counts of the mixture are not the model's
                row |= {"low": lows[i], "high": highs[i]}
            else:
                row |= {"passes": float(self.passes[i]), "samples": float(self.samples[i])}
                row["stop_passes"] = float(self.r)
                if np.isfinite(self.reference[i]):
                    row["reference_logprob"] = float(self.reference[i])
            rows.append(row)
        low, high = self.mean_interval(level)
        mean = None if np.isnan(self.mean) else self.mean
        whole = {**common, "value": mean, "n": float(len(self.ids)), "low": low, "high": high}
        if len(self.ids) > 1 and mean is not None:
            whole["stderr"] = float(self.rates.std(ddof=1) / np.sqrt(len(self.ids)))
        return observations([whole, *rows])

    def _card(self) -> Card:
        low, high = self.mean_interval()
        row = {"task": self.task, "method": self.method, "instances": len(self.ids),
               "value": self.mean, "low": low, "high": high}  # fmt: skip
        if not self.exact:
            row |= {"passes": int(self.passes.sum()), "samples": int(self.samples.sum()),
                    "never_passed": int((self.passes == 0).sum())}  # fmt: skip
        return Card(f"Pass rate of {self.about.get('model', 'a model')} on {self.task}",
                    pl.DataFrame([row]), self.notes, self.table())  # fmt: skip

    def to_dict(self, level: float = 0.9) -> dict[str, Any]:
        """Return the result for the whole dataset, for JSON."""
        more: dict[str, Any] = {}
        if self.weights is not None:
            ends = zip(self.ids, self.rates, *self.intervals(level), strict=True)
            each = [{"instance": i, "value": x, "interval": [a, b]} for i, x, a, b in ends]
            more = {"weights": self.weights.to_dict(), "per_instance": each}
        return {
            "model": self.about.get("model"),
            "task": self.task,
            "method": self.method,
            "checker": self.checker,
            "temperature": self.temperature,
            "r": self.r,
            "max_samples": self.max_samples,
            "instances": len(self.ids),
            "finished": len(self.ids) if self.exact else int((self.passes >= self.r).sum()),
            "never_passed": 0 if self.exact else int((self.passes == 0).sum()),
            "passes": None if self.exact else int(self.passes.sum()),
            "samples": None if self.exact else int(self.samples.sum()),
            "distribution": self.distribution,
            "tokens_drawn": self.tokens.drawn,
            "tokens_read": self.tokens.read,
            "tokens_paid": self.tokens.paid,
            "value": self.mean,
            "interval": list(self.mean_interval(level)),
            "level": level,
            "notes": list(self.notes),
            **more,
        }

    def __str__(self) -> str:
        low, high = self.mean_interval()
        text = f"{self.task}: pass rate {self.mean:.3g} [{low:.2g}, {high:.2g}] ({self.method}"
        if not self.exact:
            never = int((self.passes == 0).sum())
            text += f", {self.samples.sum():,} samples, {never} of {len(self.ids)} never passed"
        return text + ")"
