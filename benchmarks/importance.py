"""Samples needed for a rare pass rate: plain, tree, finetuned sibling, larger model, hint.

`python -m benchmarks.importance` trains a ladder of the lab and a finetuned sibling of each model,
and writes benchmarks/records/importance.json and the tables of docs/passuntil.md from it. Rates are
exact. The draws for a relative error of .5 follow from the pass rate of the mixture, which is exact
too; runs of `pass_until` on some instances of every decade check this. The status of weights is
checked on simulated weights. Add `ladders` or `weights` to run only that part, or `page` to make
tables from the existing record.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from augury.evaluate import Backend, Instance, Task, exact_scores, pass_until
from augury.evaluate.pareto import UNRELIABLE
from augury.evaluate.proposals import Proposal
from augury.evaluate.tree import Draw, draw_counts
from augury.evaluate.walk import forced_logprobs
from augury.evaluate.weights import FEWEST_EFFECTIVE, MOST_UNSEEN, PassWeights
from augury.lab import (
    LabBackend,
    ModelConfig,
    Recipe,
    RunConfig,
    encode,
    finetune,
    lab_instances,
    lab_task,
    load_checkpoint,
    train,
)

WIDTHS = (6, 8, 12, 16, 24, 32)
STEPS = 500
INSTANCES = 512
# Finetuning examples of the siblings: a sweep has such checkpoints anyway.
EXAMPLES = 16_000
DECADES = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
RELATIVE_ERROR = 0.5
OWN_SHARE = 0.2
# Instances per decade sampled to check the calculation, and by the tree.
CHECKED, TREES = 40, 2
# Most draws of such a run: instances that need more from the sibling are left out of the check.
CAP = 10_000
RECORD = Path(__file__).parent / "records" / "importance.json"
DOCUMENT = Path(__file__).parent.parent / "docs" / "passuntil.md"
BEGIN, END = "<!-- made by `python -m benchmarks.importance` -->", "<!-- end of importance -->"
# Simulations of the status: runs per spread of log weights.
SPREADS = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0)
RUNS, DRAWS = 300, 2_000
# Skewed weights with more spread have no mean.
MOST_SKEWED = 1.5


@dataclass(frozen=True)
class Setting:
    """A simulation: instances, passes of each, rates of the model and of the proposal.

    `skewed`: log weights are skewed upwards (gamma, skewness 1) instead of normal.
    """

    name: str
    asked: int
    passes: int
    rate: float
    proposed: float
    skewed: bool = False


# The limit was chosen with the first.
SETTINGS = (
    Setting("16 instances, 20 passes each", 16, 20, 1e-4, 0.1),
    Setting("8 instances, 20 passes each", 8, 20, 1e-6, 0.3),
    Setting("40 instances, 10 passes each", 40, 10, 1e-6, 0.3),
    Setting("1 instance, 50 passes", 1, 50, 1e-6, 0.3),
    Setting("12 instances, 20 passes each, skewed", 12, 20, 1e-4, 0.1, skewed=True),
)


def main(asked: list[str]) -> None:
    """Train, measure, write the record and the tables."""
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    if not asked or "ladders" in asked:
        record |= ladders()
    if not asked or "weights" in asked:
        record["weights"] = weights()
    RECORD.parent.mkdir(exist_ok=True)
    RECORD.write_text(json.dumps(record, indent=1) + "\n")
    DOCUMENT.write_text(document(record), encoding="utf-8")
    print(tables(record))


def weights() -> list[dict[str, Any]]:
    """Whether runs called reliable are reliable: coverage and error of the mean, by spread."""
    rows = []
    for setting in SETTINGS:
        rng = np.random.default_rng(0)
        for spread in SPREADS:
            if setting.skewed and spread > MOST_SKEWED:
                continue
            runs = [held(simulated(rng, spread, setting), setting.rate) for _ in range(RUNS)]
            row: dict[str, Any] = {"setting": setting.name, "spread": spread, "runs": RUNS}
            row["k_hat"] = float(np.nanmedian([found.k_hat for found, _ in runs]))
            for name, kind in (("reliable", True), ("unreliable", False)):
                some = [(ok, found) for found, ok in runs if found.reliable is kind]
                row[name] = len(some)
                if some:
                    ratio = [float(found.rates.mean()) / setting.rate for _, found in some]
                    row[f"{name}_held"] = float(np.mean([ok for ok, _ in some]))
                    row[f"{name}_ratio"] = float(np.median(ratio))
            print(row, flush=True)
            rows.append(row)
    return rows


def held(found: PassWeights, rate: float) -> tuple[PassWeights, bool]:
    """The weights, and whether their interval contains the mean rate."""
    low, high = found.mean_interval()
    return found, low <= rate <= high


def simulated(
    rng: np.random.Generator, spread: float, setting: Setting = SETTINGS[0]
) -> PassWeights:
    """Passes of a mixture whose texts the model finds likelier or less likely, by noise.

    For a passing text, the log ratio of the two probabilities has this standard
    deviation, and a mean that accounts for the two rates.
    """
    own, proposed = OWN_SHARE * setting.rate, (1 - OWN_SHARE) * setting.proposed
    waits = rng.geometric(own + proposed, (setting.asked, setting.passes)).cumsum(1)
    done = waits[:, -1] <= DRAWS
    logs, counted = [], np.zeros((setting.asked, 2), np.int64)
    noise = skewed_noise if setting.skewed else normal_noise
    for i in range(setting.asked):
        passed = int((waits[i] <= DRAWS).sum())
        mine = rng.random(passed) < own / (own + proposed)
        ratio = np.log(setting.rate / setting.proposed) + noise(rng, spread, mine)
        logs.append(ratio - np.log(OWN_SHARE * np.exp(ratio) + 1 - OWN_SHARE))
        counted[i] = int(OWN_SHARE * min(waits[i, -1], DRAWS)), int(mine.sum())
    samples = np.where(done, waits[:, -1], DRAWS)
    passes = (waits <= DRAWS).sum(1)
    return PassWeights(
        ("simulated",), OWN_SHARE, True, passes, samples, setting.passes, tuple(logs), counted
    )


def normal_noise(rng: np.random.Generator, spread: float, mine: Any) -> Any:
    """Logs whose exponential has mean 1; they weight the model's own draws."""
    return -(spread**2) / 2 + spread**2 * mine + spread * rng.standard_normal(len(mine))


def skewed_noise(rng: np.random.Generator, spread: float, mine: Any) -> Any:
    """As `normal_noise`, for gamma variables of shape 4."""
    unit = spread / 2
    drawn = rng.gamma(4, np.where(mine, 1 / (1 - unit), 1.0))
    return unit * drawn + 4 * np.log1p(-unit)


def ladders() -> dict[str, Any]:
    """The record of the lab's ladder."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        models, siblings = ladder(Path(folder))
    rows = [row for task in ("rule", "sort-digits") for row in measured(task, models, siblings)]
    return {
        "relative_error": RELATIVE_ERROR,
        "own_share": OWN_SHARE,
        "widths": WIDTHS,
        "steps": STEPS,
        "sibling_examples": EXAMPLES,
        "rows": rows,
        "seconds": round(time.perf_counter() - began),
    }


def ladder(folder: Path) -> tuple[list[LabBackend], dict[str, list[LabBackend]]]:
    """Models of all widths, and per task the same models finetuned on its examples."""
    models: list[LabBackend] = []
    siblings: dict[str, list[LabBackend]] = {"rule": [], "sort-digits": []}
    for width in WIDTHS:
        path = train(RunConfig(ModelConfig(width), steps=STEPS), folder / str(width))[-1]
        saved = load_checkpoint(path)
        models.append(LabBackend(saved))
        for name, own in siblings.items():
            rng = np.random.default_rng([11, width])
            taken = {i.prompt for i in lab_instances(name, INSTANCES).instances}
            drawn = lab_task(name).instances(rng, EXAMPLES + 256)
            pairs = [pair for pair in drawn if pair[0] not in taken]
            recipe = Recipe(0.04 * width**-0.5)
            weights, _ = finetune(
                saved.config.model, saved.weights, pairs[256:], pairs[:256], recipe, rng
            )
            own.append(LabBackend(replace(saved, weights=weights)))
    return models, siblings


def measured(name: str, models: list[LabBackend], siblings: dict[str, list[LabBackend]]) -> Any:
    """One row per decade: median draws over all instances of all models with such a rate."""
    task = lab_instances(name, INSTANCES)
    ways: dict[str, Callable[[int, Instance], tuple[Backend, str] | None]] = {
        "sibling": lambda k, i: (siblings[name][k], i.prompt),
        "larger": lambda k, i: (models[k + 1], i.prompt) if k + 1 < len(models) else None,
        "hint": lambda k, i: (models[k], hinted(i)) if fits(i) else None,
    }
    cases = []
    for k, model in enumerate(models):
        exact = exact_scores(model, task).passing
        for i, p in zip(task.instances, exact, strict=True):
            cases.append((k, i, float(p)))
    for decade in DECADES:
        near = [c for c in cases if abs(np.log10(c[2] / decade)) < 0.25] if decade else []
        row: dict[str, Any] = {"task": name, "rate": decade, "instances": len(near)}
        if not near:
            continue
        row["plain"] = float(np.median([needed(p) for *_, p in near]))
        for way, of in ways.items():
            row |= proposal_row(way, of, near)
        row["tree"] = tree_passes(models, task, near[:TREES])
        row |= checked(models, siblings[name], task, near)
        print(row, flush=True)
        yield row


def needed(rate: float) -> float:
    """Draws for the relative error if each passes at this rate."""
    return (1 - rate) / rate / RELATIVE_ERROR**2


def proposal_row(way: str, of: Any, near: list[tuple[int, Instance, float]]) -> dict[str, Any]:
    """Median draws, and the share of instances that gain at least a factor of ten."""
    asked: dict[int, list[tuple[Instance, float, str]]] = {}
    for k, instance, p in near:
        found = of(k, instance)
        if found is not None:
            asked.setdefault(k, []).append((instance, p, found[1]))
    draws, gains = [], []
    for k, some in asked.items():
        backend, _ = of(k, some[0][0])
        rows = [(prompt, tuple(encode(i.answers[0]).tolist())) for i, _, prompt in some]
        for (_, p, _), q in zip(some, np.exp(forced_logprobs(backend, rows, 1.0)), strict=True):
            # One text passes: a draw of the mixture passes at this rate, and all weights are equal.
            mixed = OWN_SHARE * p + (1 - OWN_SHARE) * q
            draws.append(needed(mixed))
            gains.append(needed(p) / needed(mixed))
    if not draws:
        return {way: None, f"{way}_helps": None}
    return {way: float(np.median(draws)), f"{way}_helps": float(np.mean(np.array(gains) >= 10))}


def hinted(instance: Instance) -> str:
    """The lab has no line break: the hint's question and answer come right before the question."""
    return instance.prompt + instance.answers[0] + instance.prompt


def fits(instance: Instance) -> bool:
    """Whether a hint and the answer fit 32 characters."""
    return len(hinted(instance)) + len(instance.answers[0]) <= 31


def tree_passes(models: list[LabBackend], task: Task, near: list[Any]) -> float:
    """Prefixes that the tree reads for as many draws as plain sampling needs."""
    asked = []
    for k, instance, p in near:
        n = min(int(needed(p)), 2**31)
        one = Task(task.name, (instance,), 0.0)
        draw = Draw(instance.prompt, n, np.random.default_rng(0))

        def alive(_: int, text: str, answer: str = instance.answers[0]) -> bool:
            return answer.startswith(text)

        asked.append(draw_counts(models[k], one, [draw], 1.0, lambda *_: None, alive))
    return float(np.mean(asked))


def checked(
    models: list[LabBackend], siblings: list[LabBackend], task: Task, near: list[Any]
) -> dict[str, Any]:
    """Runs of `pass_until` with the sibling: observed relative error, coverage, draws."""
    ratios: list[float] = []
    held: list[bool] = []
    drawn: list[int] = []
    order = np.random.default_rng(0).permutation(len(near))
    for k, instance, p in (near[n] for n in order):
        tokens = tuple(encode(instance.answers[0]).tolist())
        (q,) = np.exp(forced_logprobs(siblings[k], [(instance.prompt, tokens)], 1.0))
        if len(ratios) == CHECKED or needed((1 - OWN_SHARE) * q) > CAP:
            continue
        proposal = Proposal("sibling", siblings[k], lambda i: i.prompt)
        one = Task(task.name, (instance,), 0.0)
        found = pass_until(
            models[k], one, proposal=[proposal], relative_error=RELATIVE_ERROR, max_samples=4 * CAP
        )
        low, high = found.intervals()
        ratios.append(float(found.rates[0] / p))
        held.append(bool(low[0] <= p <= high[0]))
        drawn.append(int(found.samples[0]))
    if not ratios:
        return {"checked": 0}
    return {
        "checked": len(ratios),
        "seen_error": float(np.sqrt(np.mean((np.array(ratios) - 1) ** 2))),
        "seen_mean_ratio": float(np.mean(ratios)),
        "seen_held": float(np.mean(held)),
        "seen_draws": float(np.median(drawn)),
    }


def document(record: dict[str, Any]) -> str:
    """The document with the tables in it."""
    before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
    return f"{before}{BEGIN}\n\n{tables(record)}\n\n{END}{rest.partition(END)[2]}"


def tables(record: dict[str, Any]) -> str:
    """Documentation tables: samples over the ladder, and what k-hat shows."""
    lines = [
        f"Draws needed for a relative error of {record['relative_error']:g}: median over the "
        f"instances of a lab ladder (widths {min(record['widths'])} to {max(record['widths'])}, "
        f"{record['steps']} steps).\nIn brackets: share of instances for which the proposal saves "
        "a factor of ten or more. *held*: runs with the\nfinetuned sibling whose 90 % interval "
        "contains the exact rate.",
        "",
        "| task, rate | plain | tree: prefixes read | finetuned sibling | next larger | hint "
        "| held |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in record["rows"]:
        cells = [f"{row['task']}, {row['rate']:.0e}", number(row["plain"]), number(row["tree"])]
        for way in ("sibling", "larger", "hint"):
            known = row[way] is not None
            cells.append(f"{number(row[way])} ({row[f'{way}_helps']:.0%})" if known else "-")
        runs = row["checked"]
        cells.append(f"{row['seen_held']:.0%} of {runs}" if runs else "-")
        lines.append("| " + " | ".join(cells) + " |")
    every = [(row["checked"], row["seen_held"]) for row in record["rows"] if row["checked"]]
    runs = sum(n for n, _ in every)
    held = sum(n * share for n, share in every) / runs
    lines += [
        "",
        f'Overall, {held:.0%} of {runs} intervals held. "-": the hint does not fit into the lab\'s '
        "32 characters, or the model does not\nmake use of it.",
        "",
        f"Is a run that is called reliable (k-hat at most {UNRELIABLE:g}, at least "
        f"{FEWEST_EFFECTIVE:g} effective passes, at most {MOST_UNSEEN:.0%} unseen)\nreally "
        f"reliable? {RUNS} simulations each, by the spread of the log weights. The limit was "
        "chosen with the first setting.\n*held*: coverage of 90 % intervals of the mean; *ratio*: "
        "median of estimate over truth. Skewed log weights have "
        "heavier\ntails than the status assumes.",
        "",
        "| setting | spread | reliable: runs | held | ratio | not reliable: runs | held | ratio |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in record["weights"]:
        cells = [row["setting"], f"{row['spread']:g}"]
        for name in ("reliable", "unreliable"):
            there = row[name] > 0
            cells.append(str(row[name]))
            cells.append(f"{row[f'{name}_held']:.0%}" if there else "")
            cells.append(f"{row[f'{name}_ratio']:.2f}" if there else "")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def number(x: float) -> str:
    """Digits that matter."""
    return f"{x / 1e6:.3g} million" if x >= 1e6 else f"{x:,.0f}"


if __name__ == "__main__":
    main(sys.argv[1:])
