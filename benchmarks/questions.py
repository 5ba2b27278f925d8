"""Twelve questions, each answered by one command: `python -m benchmarks.questions`.

Public tables are converted to observation tables (`prepare` changes no number except rounded
shares, which it divides by their sum); every command then runs in its own process with an empty
cache. The record contains its output and its processor time; the table in docs/index.md and the
gallery are made from it (`python -m benchmarks.gallery`).
"""

from __future__ import annotations

import json
import os
import resource
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from tests.shared import OLMO, OLMO_TASKS, inabilities, olmo_column

ROOT = Path(__file__).parent.parent
DATA = ROOT.parent / "shared" / "data"
RECORD = Path(__file__).parent / "records" / "questions.json"
PICTURES = ROOT / "docs" / "images" / "gallery"


@dataclass(frozen=True)
class Question:
    """A user's question.

    Attributes:
        key: its name in the record.
        ask: the question.
        command: the command that answers it, run in the folder of `prepare`.
        answer: turns the command's JSON into a line.
        figures: extracts from the command's JSON the numbers that a test compares.
        picture: file name of the figure that the gallery shows, if any.
        truth: the known answer and its source.
    """

    key: str
    ask: str
    command: str
    answer: Callable[[Any], str]
    figures: Callable[[Any], dict[str, float]]
    picture: str | None = None
    truth: str = ""


def amount(x: float) -> str:
    """A number in common notation: 73B, 1.3T."""
    for size, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M")):
        if abs(x) >= size:
            return f"{x / size:.3g}{unit}"
    return f"{x:.3g}"


def spread(interval: Any, show: Callable[[float], str] = lambda x: f"{x:.3g}") -> str:
    low, high = interval
    return f"[{show(low)}, {show(high)}]"


def _loss(said: Any) -> str:
    (f,) = said["forecasts"]
    return f"{f['value']:.3f} {spread(f['mean_interval'], lambda x: f'{x:.3f}')} nats per token"


def _optimum(said: Any) -> str:
    parts = [
        f"{amount(said[n]['value'])} {spread(said[n]['interval'], amount)} {n}"
        for n in ("params", "tokens")
    ]
    return ", ".join(parts)


def _epochs(said: Any) -> str:
    worth = next(w for w in said["worth"] if w["epochs"] == 4)
    return (
        f"up to {said['epochs']['value']:.0f} {spread(said['epochs']['interval'])}; four are worth "
        f"{worth['value']:.2f} {spread(worth['interval'], lambda x: f'{x:.2f}')} fresh ones"
    )


def _mixture(said: Any) -> str:
    shares = sorted(said["shares"].items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {x:.0%}" for name, x in shares if x >= 0.005)


def _tasks(said: Any) -> str:
    likely = [t["task"] for t in said if t["probability_above"] >= 0.9]
    open_ = [f"{t['task']} ({t['probability_above']:.0%})" for t in said
             if 0.1 < t["probability_above"] < 0.9]  # fmt: skip
    return f"{', '.join(likely) or 'none'}: almost certain" + (
        f"; open: {', '.join(open_)}" if open_ else ""
    )


def _scores(said: Any) -> str:
    return ", ".join(
        f"{t['task']} {t['value']:.0%} {spread(t['interval'], lambda x: f'{x:.0%}')}" for t in said
    )


def _shapes(said: Any) -> dict[str, float]:
    """Number of trends over training of each shape."""
    shapes = [t["shape"] for t in said if t["axis"] == "tokens"]
    return {shape: float(shapes.count(shape)) for shape in dict.fromkeys(shapes)}


def _trends(said: Any) -> str:
    names = [t["task"] for t in said if t["axis"] == "tokens" and t["shape"] == "falling"]
    counts = ", ".join(f"{n:.0f} {shape}" for shape, n in _shapes(said).items())
    return f"{counts}; falling: {', '.join(names)}"


def _passes(said: Any) -> str:
    return f"{said['value']:.2g} ({said['method']}, {said['instances']} instances)"


def _emergence(said: Any) -> str:
    if said["remedy"]:
        return f"these data cannot say: {said['status']}"
    point = said["point"]
    return f"at a loss of {point['value']:.2f} {spread(point['interval'], lambda x: f'{x:.2f}')}"


def _curve(said: Any) -> str:
    final = said["final"]
    return (
        f"it ends at {final['value']:.3f} {spread(final['interval'], lambda x: f'{x:.3f}')}, below "
        f"{said['target']:g} with probability {said['probability_on_target']:.0%}"
    )


def _versus(said: Any) -> str:
    other = said["second"] if said["better"] == said["first"] else said["first"]
    ratio = said["ratio"]
    return (
        f"{said['better']}: {other} needs {ratio['value']:.1f} "
        f"{spread(ratio['interval'], lambda x: f'{x:.1f}')} times the compute"
    )


QUESTIONS: tuple[Question, ...] = (
    Question(
        "loss", "What loss at 70B parameters and 1.4T tokens?",
        'augury fit chinchilla.csv --law chinchilla --where "loss < 3.43" '
        "--at params=70B,tokens=1.4T",
        _loss, lambda s: {"loss": s["forecasts"][0]["value"]}, "loss-law.svg",
        "Besiroglu et al.'s fit to the same 240 points: 1.973",
    ),
    Question(
        "optimum", "Which model for 1e24 FLOPs?",
        'augury optimal chinchilla.csv --law chinchilla --where "loss < 3.43" --flops 1e24',
        _optimum, lambda s: {n: s[n]["value"] for n in ("params", "tokens")}, "isoflop.svg",
        "Chinchilla's closed form with the same constants gives the same (a test)",
    ),
    Question(
        "epochs", "How many epochs over 4B tokens, at 2.8B parameters?",
        "augury repeat repeats.csv --unique-tokens 4B --params 2.8B",
        _epochs, lambda s: {"epochs": s["epochs"]["value"]}, "repeats.svg",
        "Muennighoff et al.'s constants: four epochs are worth 3.73",
    ),
    Question(
        "mixture", "Which mixture is best for web text, code and papers?",
        "augury mix mixtures.csv --minimise pile_cc_loss --minimise github_loss "
        "--minimise arxiv_loss --cap pile_cc=.6 --cap github=.4",
        _mixture, lambda s: dict(s["shares"]), "mixture.svg",
        "the best of the 512 runs has a mean loss of 4.62",
    ),
    Question(
        "law", "Which law should I trust?",
        'augury fit chinchilla.csv --where "loss < 3.43"',
        lambda s: f"{s['law']} (weight {s['weights'][s['law']]:.2f})",
        lambda s: dict(s["weights"]), "loss-law.svg",
    ),
    Question(
        "twice", "Which tasks will pass 60 % at twice the size?",
        "augury ladder ladder.csv --at params=2.55B,tokens=255B --threshold .6",
        _tasks, lambda s: {t["task"]: t["value"] for t in s}, "tasks.svg",
    ),
    Question(
        "olmo", "What will OLMo 2 7B score, from models of up to 1.3B?",
        "augury ladder ladder.csv --at params=6.89B,tokens=3.945T",
        _scores, lambda s: {t["task"]: t["value"] for t in s}, "tasks.svg",
        f"it scored {', '.join(f'{t} {x[2]:.0f} %' for t, x in sorted(OLMO_TASKS.items()))}",
    ),
    Question(
        "trends", "Which abilities got worse over Pythia's training?",
        "augury trends pythia.csv", _trends, _shapes, "trends.svg",
        "Michaelov & Bergen 2023, on the same scores",
    ),
    Question(
        "pass-rate", "How often does this checkpoint pass where greedy decoding shows nothing?",
        "augury passuntil --model lab:run/step-100 --task sort-digits --instances 64",
        _passes, lambda s: {"value": s["value"]}, None,
        "a tiny checkpoint, trained in seconds; where answers can be listed the rate is exact",
    ),
    Question(
        "emergence", "Where will an ability emerge, from finetuned small models?",
        "augury emergence worlds.csv "
        "--where \"world = 'sort-digits-0' and part = 'sweep'\"",
        _emergence, lambda s: {"loss": s["point"]["value"]}, None,
        "right to refuse: examples teach this task instead of showing what pretraining has left",
    ),
    Question(
        "track", "Where will my run end once its learning rate decays, and is that below 2.9?",
        "augury curve log.csv --schedule schedule.csv --target 2.9",
        _curve, lambda s: {"final": s["final"]["value"]}, "run.svg",
        "it ended at 2.951",
    ),
    Question(
        "versus", "Which of two corpora is better, and by how much compute?",
        "augury versus corpora.csv --by dataset --between c4_original,rpj",
        _versus, lambda s: {"ratio": s["ratio"]["value"]}, "versus.svg",
        "SciPy's two fits and a root: 3.82",
    ),
)  # fmt: skip


def prepare(folder: Path) -> None:
    """Write the commands' input tables from the public data, and one small checkpoint."""
    from augury.lab import ModelConfig, RunConfig, train

    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(DATA / "chinchilla-epoch" / "svg_extracted_data.csv", folder / "chinchilla.csv")
    shutil.copy(DATA / "datablations" / "runs_outliers_removed_182.csv", folder / "repeats.csv")
    _mixtures().write_csv(folder / "mixtures.csv")
    _ladder().write_csv(folder / "ladder.csv")
    inabilities().write_csv(folder / "pythia.csv")
    runs = pl.read_csv(DATA / "lr-schedules" / "curves.csv").filter(
        pl.col("params") == 1e8, pl.col("curve") == "wsd_20000_24000"
    )
    runs.filter(pl.col("step") <= 20000).select("step", "loss", "lr").write_csv(folder / "log.csv")
    runs.select("step", "lr").write_csv(folder / "schedule.csv")
    losses = pl.read_csv(DATA / "gadre" / "losses.csv").filter(pl.col("val_set") == "c4_val")
    models = pl.read_csv(DATA / "gadre" / "models_downstream.csv")
    models.join(losses, on="name").select(
        "name", "dataset", "tokens", "loss", params=pl.col("params").cast(pl.Float64)
    ).write_csv(folder / "corpora.csv")  # fmt: skip
    worlds = pl.read_parquet(ROOT / "docs" / "experiments" / "worlds.parquet")
    worlds.write_csv(folder / "worlds.csv")
    tiny = RunConfig(ModelConfig(12), steps=100, shares={"sort-digits": 1.0})
    train(tiny, folder / "run")


def _ladder() -> pl.DataFrame:
    """All evaluations of OLMo 2's sixteen small runs: bits per byte, accuracy, eight tasks."""
    log = pl.read_parquet(OLMO / "ladder_runs.parquet")
    sizes = json.loads((OLMO / "configs" / "final_7b_only.json").read_text()).values()
    runs = [(Path(p).stem, size["n"]) for size in sizes if size["mode"] == "train"
            for p in size["paths"]]  # fmt: skip

    def of(run: str, params: float, task: str) -> pl.DataFrame:
        rows = log.filter(pl.col("run") == run).sort("_step")
        columns = {
            "tokens": rows["throughput/total_tokens"],
            "bpb": olmo_column(rows, "downstream_bpb", task, "bpb"),
            "value": olmo_column(rows, "downstream", task, "len_norm"),
        }
        known = {"run": run, "task": task, "params": float(params)}
        values = pl.DataFrame(columns, nan_to_null=True).drop_nulls()
        return values.select(*(pl.lit(x).alias(name) for name, x in known.items()), *columns)

    return pl.concat(of(run, n, task) for run, n in runs for task in OLMO_TASKS)


def _mixtures() -> pl.DataFrame:
    """RegMix's 512 models of 1M parameters: shares that sum to 1, and thirteen losses."""
    shares = pl.read_csv(DATA / "regmix" / "train_mixture_1m.csv")
    losses = pl.read_csv(DATA / "regmix" / "train_pile_loss_1m.csv")
    names = [c for c in shares.columns if c != "index"]
    total = pl.sum_horizontal(names)
    return shares.join(losses, on="index").select(
        *((pl.col(c) / total).alias(c.replace("train_the_pile_", "share_")) for c in names),
        *(pl.col(c).alias(c.removeprefix("metric/the_pile_").replace("_val_loss", "_loss"))
          for c in losses.columns if c != "index"),
    )  # fmt: skip


def answer(question: Question, folder: Path, out: Path | None, cache: Path) -> dict[str, Any]:
    """Run a question's command: its JSON output, and its processor time."""
    words = [*shlex.split(question.command)[1:], "--json", "--quiet"]
    if out is not None and question.picture is not None:
        words += ["--out", str(out)]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "augury", *words],
        cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, "XDG_CACHE_HOME": str(cache)},
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{question.command}: {done.stderr}")
    after, spent = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - began
    said = json.loads(done.stdout)
    return {
        "answer": question.answer(said),
        "figures": question.figures(said),
        "cpu_seconds": round(after.ru_utime - before.ru_utime, 1),
        "seconds": round(spent, 1),
    }


def main(keys: list[str]) -> None:
    """Run all or the named questions with empty caches, and write the record and pictures."""
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "tables"
        prepare(folder)
        for question in QUESTIONS:
            if keys and question.key not in keys:
                continue
            out = Path(name) / question.key
            record[question.key] = answer(question, folder, out, Path(name) / f"{question.key}-c")
            record[question.key]["shown"] = shown(
                question, folder, Path(name) / f"{question.key}-c"
            )
            if question.picture is not None:
                PICTURES.mkdir(parents=True, exist_ok=True)
                drawn = next(out.rglob(question.picture))
                shutil.copy(drawn, PICTURES / f"{question.key}.svg")
            print(question.key, record[question.key]["answer"], record[question.key]["seconds"])
            RECORD.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def shown(question: Question, folder: Path, cache: Path) -> str:
    """The command's output for people."""
    done = subprocess.run(
        [sys.executable, "-m", "augury", *shlex.split(question.command)[1:], "--quiet"],
        cwd=folder, capture_output=True, text=True, check=True,
        env={**os.environ, "XDG_CACHE_HOME": str(cache)},
    )  # fmt: skip
    return done.stdout


if __name__ == "__main__":
    main(sys.argv[1:])
