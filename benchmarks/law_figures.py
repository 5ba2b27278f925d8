"""`python -m benchmarks.law_figures`: published and our figures for each law, for docs/laws.md.

`--run` measures all or the named figures and keeps them in a record; the table in docs/laws.md is
made from the record, which a test checks.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

import augury
from augury.fitting import Gaussian, fit_many
from augury.fitting.optimise import objectives
from augury.fitting.problem import problem_of
from augury.laws import DataConstrained, Law, MultiPower, OverTraining, Routed
from augury.laws.routed import saturated
from benchmarks import law_data, regmix, sldbench, sloth

# The 90 % quantile of chi squared with one degree of freedom.
CHI_90 = 2.706

ROOT = Path(__file__).parent.parent
RECORD = ROOT / "benchmarks" / "records" / "law_figures.json"
PAGE = ROOT / "docs" / "laws.md"
FIRST, LAST = "<!-- made by benchmarks.law_figures -->", "<!-- end -->"


@dataclass(frozen=True)
class LawFigure:
    """A figure that a law is checked against.

    Attributes:
        law, data: columns of the table's row.
        published: the figure, in words.
        measure: returns our figure, in words.
    """

    law: str
    data: str
    published: str
    measure: Callable[[], str]


def plain(law: Law | str, table: pl.DataFrame, likelihood: str | Gaussian = "huber") -> augury.Fit:
    """A fit without intervals."""
    return augury.fit(law, table, likelihood=likelihood, uncertainty="none", influence=False)


def repeats_with_their_base() -> str:
    table = law_data.muennighoff()
    law = DataConstrained(base=(*law_data.BASE, law_data.BASE[-1]))
    problem = problem_of(law, table)
    at = problem.space.internal(np.array([list(law_data.REPEATS.values())]))
    theirs = objectives(law, problem.likelihood, at, problem.points, problem.ones)[0]
    fitted = augury.fit(law, table, influence=False)
    low, high = fitted.intervals["R_D"]
    return (
        f"objective {fitted.objective:.7f} at R_D {fitted.parameters['R_D']:.0f}, R_N "
        f"{fitted.parameters['R_N']:.1f} (theirs, recomputed: {theirs:.7f}); R_D 90 % "
        f"[{low:.0f}, {high:.0f}]"
    )


def repeats_of_our_own() -> str:
    fitted = augury.fit("data-constrained", law_data.muennighoff(), influence=False)
    low, high = fitted.intervals["R_D"]
    return f"R_D {fitted.parameters['R_D']:.0f}, 90 % [{low:.0f}, {high:.0f}]"


def over_trained_losses() -> str:
    small, large = law_data.gadre()
    fitted = plain(OverTraining(), small, Gaussian("linear"))
    value = fitted.law(fitted.parameters, params=large["params"], tokens=large["tokens"])
    off = 100 * np.abs(value / large["loss"].to_numpy() - 1)
    return f"off by {off[0]:.4f} % (1.4B), {off[1]:.4f} % (6.9B)"


def over_trained_errors() -> str:
    small, large = law_data.gadre()
    middle = law_data.gadre(more=True)[0].filter(pl.col("params") > 1e9)
    law = plain(OverTraining(), small, Gaussian("linear"))
    rows = pl.concat([small, middle]).drop("params", "tokens", "multiple")
    error = plain("exponential-error", rows, Gaussian("linear"))
    loss = law.law(law.parameters, params=large["params"], tokens=large["tokens"])
    off = 100 * np.abs(error.law(error.parameters, loss=loss) / large["value"].to_numpy() - 1)
    return f"off by {off[0]:.4f} %, {off[1]:.4f} %"


def routing_constants() -> str:
    fitted = augury.fit(Routed(), law_data.clark("RL-R"), likelihood="log-gaussian",
                        influence=False)  # fmt: skip
    p = fitted.parameters
    low, high = fitted.intervals["E_max"]
    return (
        f"a {p['a']:.4f}, b {p['b']:.4f}, c {p['c']:.4f}, d {p['d']:.4f}, E_start "
        f"{p['E_start']:.2f}, E_max {p['E_max']:.0f} [{low:.0f}, {high:.0f}]"
    )


def routing_ahead(law: str, likelihood: str) -> Callable[[], str]:
    def measure() -> str:
        train, test = sldbench.rows_of("moe")
        fitted = plain(law, train, likelihood)
        value = fitted.law(fitted.parameters, **{n: test[n].to_numpy() for n in fitted.law.inputs})
        truth = test["loss"].to_numpy()
        return f"R² {1 - np.mean((value - truth) ** 2) / np.var(truth):.3f}"

    return measure


def routing_at_any_constants() -> str:
    """R² ahead for every E_start and E_max: linear least squares gives the other four."""
    train, test = sldbench.rows_of("moe")

    def design(table: pl.DataFrame, start: float, most: float) -> np.ndarray:
        size = np.log(table["params_active"].to_numpy())
        count = np.log(saturated(table["experts"].to_numpy().astype(float), start, most))
        return np.stack([size, count, size * count, np.ones_like(size)], 1)

    loss, truth = np.log(train["loss"].to_numpy()), test["loss"].to_numpy()
    found = []
    for start in np.geomspace(1.0001, 30.0, 60):
        for most in np.geomspace(31.0, 1e6, 90):
            known = design(train, start, most)
            best = np.linalg.lstsq(known, loss, rcond=None)[0]
            off = np.exp(design(test, start, most) @ best) - truth
            left = np.sum((known @ best - loss) ** 2)
            found.append((left, 1 - np.mean(off**2) / np.var(truth)))
    errors, scores = np.array(found).T
    near = scores[errors < errors.min() * (1 + CHI_90 / (len(loss) - 6))]
    return (
        f"R² {scores[errors.argmin()]:.3f} at the least error of a grid of {len(found)}; "
        f"{near.min():.3f} to {near.max():.3f} within the 90 % profile, {scores.max():.3f} at best"
    )


def schedules_at_their_constants() -> str:
    off = [
        law_data.curve_error(
            MultiPower(), dict(zip(law_data.NAMES, own, strict=True)), law_data.curves(params)
        )
        for params, (own, _) in law_data.MULTI_POWER.items()
    ]
    return ", ".join(f"{x:.5f}" for x in off)


def schedules_of_our_own(law: str) -> Callable[[], str]:
    def measure() -> str:
        off = []
        for params in law_data.MULTI_POWER:
            table = law_data.curves(params)
            fitted = plain(law, table.filter(pl.col("split") == "fit"))
            off.append(law_data.curve_error(fitted.law, dict(fitted.parameters), table))
        return f"{', '.join(f'{x:.5f}' for x in off)} (mean {np.mean(off):.5f})"

    return measure


def schedules_of_a_mean_shape() -> str:
    """Mean forecast of `multi-power` over a grid of release shapes, none of which is fitted."""
    off = []
    for params in law_data.MULTI_POWER:
        table = law_data.curves(params)
        own = table.filter(pl.col("split") == "fit")
        fits = [plain(MultiPower(shape=shape), own) for shape in law_data.SHAPES]
        off.append(law_data.mean_curve_error([(f.law, dict(f.parameters)) for f in fits], table))
    return f"{', '.join(f'{x:.5f}' for x in off)} (mean {np.mean(off):.5f})"


def mixtures_at_1b() -> str:
    found = regmix.run()
    return (
        f"blend {found['mean']['spearman']:.3f}, Pile-CC "
        f"{found['columns']['pile_cc']['spearman']:.3f}"
    )


def skills_of_families() -> str:
    return ", ".join(f"{sloth.errors(*key)[0]:.4f}" for key in sloth.SPLITS)


def widths_ahead() -> str:
    table = pl.read_csv(law_data.DATA / "small-tables" / "nanolm.csv")
    found = []
    table = table.with_columns(params=pl.col("params_m") * 1e6)
    for _, own in table.group_by("series", "step", maintain_order=True):
        past = own.head(7).select("params", "loss")
        fitted = plain("power", past, Gaussian("linear"))
        ahead = own.slice(7)
        value = fitted.law(fitted.parameters, params=ahead["params"].to_numpy())
        pairs = zip(np.atleast_1d(value), ahead["loss"], strict=True)
        found.append(" ".join(f"{x:.3f} ({y:.4g})" for x, y in pairs))
    return "; ".join(found)


def asymptotes() -> pl.DataFrame:
    """Losses of infinite ensembles, of four sizes on four amounts of data."""
    table = pl.read_csv(law_data.DATA / "small-tables" / "infinite_compute_asymptotes.csv")
    return table.select(
        params=pl.col("params_b") * 1e9, tokens=pl.col("tokens_b") * 1e9, loss="loss_k_to_infinity"
    )


def endless_compute_in_one_law() -> str:
    table = asymptotes().rename({"tokens": "unique_tokens"})
    fitted = plain("infinite-compute", table, Gaussian("linear"))
    inputs = {n: table[n].to_numpy() for n in fitted.law.inputs}
    off = table["loss"].to_numpy() - fitted.law(dict(fitted.parameters), **inputs)
    return f"rms error {np.sqrt(np.mean(off**2)):.4f}; {fitted.status}"


def endless_compute() -> str:
    table = asymptotes()
    fits = fit_many("power", table, by="tokens", likelihood=Gaussian("linear"))
    floors = fits.parameters[:, fits.names.index("E")]
    tokens = fits.groups["tokens"].to_numpy()
    data = plain("power:over=tokens", pl.DataFrame({"tokens": tokens, "loss": floors}),
                 Gaussian("linear"))  # fmt: skip
    p = data.parameters
    return (
        f"{', '.join(f'{x:.3f}' for x in floors)}; {p['A'] * 1e9 ** -p['alpha']:.3f} / D^"
        f"{p['alpha']:.3f} + {p['E']:.3f} (D in billions)"
    )


FIGURES = {
    "repeats": LawFigure(
        "`data-constrained`, their base fixed", "182 runs of Muennighoff et al.",
        "objective .0158259 at R_D 15.39, R_N 5.31", repeats_with_their_base),
    "repeats-own": LawFigure(
        "the same, all six constants", "the same", "R_D 15.4 to 47 fit alike", repeats_of_our_own),
    "over-training": LawFigure(
        "`over-training`", "five runs of Gadre et al., C4 loss",
        "off by .71 %, .73 %", over_trained_losses),
    "over-training-errors": LawFigure(
        "then `exponential-error`", "mean error of 17 tasks", "off by 3.6 %, .05 %",
        over_trained_errors),
    "routed": LawFigure(
        "`routed`", "RL-R of Clark et al., 61 runs",
        "a -.083, b -.126, c .012, d 1.111, E_start 1.88, E_max 470 (recalled)",
        routing_constants),
    "routed-ahead": LawFigure(
        "`routed`, least squares", "SLDBench moe: the largest dense size held out", "R² .703",
        routing_ahead("routed", "log-gaussian")),
    "routed-any": LawFigure(
        "`routed`, every E_start and E_max", "the same", "R² .833 (the rival)",
        routing_at_any_constants),
    "expert-power-ahead": LawFigure(
        "`expert-power`, Huber", "the same", "R² .833 (the rival)",
        routing_ahead("expert-power", "huber")),
    "multi-power": LawFigure(
        "`multi-power` at its published constants", "Luo et al., six unseen curves, 25M 100M 400M",
        ".00110, .00142, .00168", schedules_at_their_constants),
    "momentum-own": LawFigure(
        "`momentum`, fitted to three curves", "the same", ".0015, .0016, .0024",
        schedules_of_our_own("momentum")),
    "multi-power-own": LawFigure(
        "`multi-power`, fitted to three curves", "the same", ".00110, .00142, .00168",
        schedules_of_our_own("multi-power")),
    "multi-power-mean": LawFigure(
        "`multi-power:shape=...`, mean of twelve shapes fitted to three curves", "the same",
        ".00110, .00142, .00168", schedules_of_a_mean_shape),
    "regmix": LawFigure(
        "`rank_mixtures`", "RegMix, 64 mixtures at 1B from 1M and 60M, Spearman over 13 losses",
        "LightGBM .948, Pile-CC .962 (run beside ours)", mixtures_at_1b),
    "sloth": LawFigure(
        "`fit_skills`", "Sloth's splits: v1, v2, both, each with 1 and 2 models known",
        ".0406, .0435, .0331, .0325, .0408, .0396 (the best method of 28)", skills_of_families),
    "nanolm": LawFigure(
        "`power` over widths", "nanoLM and Mu-scaling: seven widths, then the next",
        "recomputed by others: 3.979; 3.809; 4.289; 4.122; 3.189 3.080 3.037 (measured in "
        "brackets)", widths_ahead),
    "infinite-compute": LawFigure(
        "`power` over sizes, then over tokens", "Kim et al., ensembles of endlessly many",
        "asymptote 3.17 at 200M tokens; data law .96 / D^.23 + 1.8 (recomputed by others)",
        endless_compute),
    "infinite-compute-joint": LawFigure(
        "`infinite-compute`", "the same sixteen numbers",
        "rms error .0125, of two powers added .0377 (both recomputed by others)",
        endless_compute_in_one_law),
}  # fmt: skip


def measured(names: Sequence[str]) -> dict[str, str]:
    """Our figures by name; new measurements are added to the record."""
    record: dict[str, str] = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    for name in names:
        record[name] = FIGURES[name].measure()
        print(f"{name}: {record[name]}", flush=True)
        kept = {n: record[n] for n in FIGURES if n in record}
        RECORD.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return record


def table_of(record: dict[str, str]) -> str:
    """The table of docs/laws.md."""
    lines = ["| law | data | published | here | command |", "|---|---|---|---|---|"]
    for name, figure in FIGURES.items():
        if name in record:
            command = f"`python -m benchmarks.law_figures --run {name}`"
            lines.append(f"| {figure.law} | {figure.data} | {figure.published} | {record[name]} | "
                         f"{command} |")  # fmt: skip
    return "\n".join(lines)


def page_of(text: str, record: dict[str, str]) -> str:
    """The page with the table of a record."""
    found = re.escape(FIRST) + r".*?" + re.escape(LAST)
    return re.sub(found, lambda _: f"{FIRST}\n\n{table_of(record)}\n\n{LAST}", text, flags=re.S)


def main(arguments: Sequence[str]) -> None:
    """Measure the requested figures, and write the table."""
    named = [a for a in arguments if not a.startswith("-")]
    unknown = [n for n in named if n not in FIGURES]
    if unknown:
        raise SystemExit(f"no figure is called '{unknown[0]}'; there are: {', '.join(FIGURES)}")
    if "--run" in arguments:
        measured(named or list(FIGURES))
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    PAGE.write_text(page_of(PAGE.read_text(encoding="utf-8"), record), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
