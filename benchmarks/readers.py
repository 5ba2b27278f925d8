"""Read results: 10,000 lm-eval files and 5 million instance rows, against json + pandas.

Both sides produce a table of model, step, task, metric, instance and value. The other side is the
loop of a notebook: `json.load` per file, a dictionary per row, one `pandas.DataFrame` of all rows;
for samples, a `pandas.DataFrame` of the parsed lines and `melt`. It runs on a sample of the files,
and is scaled. Ours runs in its own process, whose peak memory is reported. CPU seconds of both
sides, with children, show what a busy machine hides.

    python -m benchmarks.readers [--files 10000] [--rows 5000000]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

TASKS = [f"task_{i:02d}" for i in range(60)]
METRICS = ("acc", "acc_norm")
CHECKPOINTS = 100  # per model
LINES = 25_000  # per file of samples: as many instances, twice as many rows
DISTINCT = 8  # sample files actually written; the others are links to these
SAMPLE = 200  # result files that the other side reads
OURS = """
import resource, sys, time
from augury.data.readers import read_results, write_results
imported = time.process_time()
began = time.perf_counter()
found = read_results("lm-eval", sys.argv[1])
read = time.perf_counter() - began
write_results(found, sys.argv[2])
total = time.perf_counter() - began
own, others = (resource.getrusage(x) for x in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
spent = sum(x.ru_utime + x.ru_stime for x in (own, others)) - imported
print(found.table.height, read, total, own.ru_maxrss / 1e6, spent)
"""


def main(files: int = 10_000, rows: int = 5_000_000) -> None:
    """Print both times, their ratio, and our peak memory."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        results, samples = Path(name) / "results", Path(name) / "samples"
        paths = write_results(results, files, rng)
        part = paths[:: max(1, files // SAMPLE)]
        seconds, cpu, table = timed_loop(results_loop, part)
        parse, _, _ = timed_loop(lambda paths, _: [json.loads(p.read_text()) for p in paths], part)
        compare(
            f"{files:,} result files, {len(TASKS)} tasks; json + pandas ({len(part)} read)",
            results, seconds * files / len(part), cpu * files / len(part),
            len(table) * files // len(part),
        )  # fmt: skip
        print(f"    parsing alone takes the other side {parse * files / len(part):.3g} s")
        paths = write_samples(samples, max(1, rows // (LINES * len(METRICS))), rng)
        part = paths[:2]
        seconds, cpu, table = timed_loop(samples_loop, part)
        compare(
            f"{len(paths) * LINES * len(METRICS):,} rows of instances; json + pandas "
            f"({len(table):,} read)",
            samples, seconds * len(paths) / len(part), cpu * len(paths) / len(part),
            len(table) * len(paths) // len(part),
        )  # fmt: skip


def compare(what: str, folder: Path, other: float, cpu: float, rows: int) -> None:
    """Run ours, check that it has all rows, and print a line."""
    done = subprocess.run(
        [sys.executable, "-c", OURS, str(folder), str(folder.parent / "out.parquet")],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    height, read, total, most, spent = map(float, done.stdout.split())
    if height != rows:
        raise RuntimeError(f"ours has {height:,.0f} rows, the other {rows:,}")
    print(f"{what:66s} {read:8.3g}s {other:9.4g}s {other / read:7.1f}x", flush=True)
    print(
        f"    CPU: {spent:.3g} s against {cpu:.4g}, {cpu / spent:.1f}x; {os.cpu_count()} cores here"
    )
    print(
        f"    {height / read:,.0f} rows/s against {rows / other:,.0f}; {most:.2f} GB at most; "
        f"{total - read:.1f} s more to write it"
    )


def timed_loop(loop: Any, paths: list[Path]) -> tuple[float, float, Any]:
    """Wall and CPU seconds of the other side after a warm-up file, and its table."""
    import pandas

    loop(paths[:1], pandas)
    began, spent = time.perf_counter(), time.process_time()
    table = loop(paths, pandas)
    return time.perf_counter() - began, time.process_time() - spent, table


def results_loop(paths: list[Path], pandas: Any) -> Any:
    """One frame per file, concatenated at the end."""
    frames = []
    for path in paths:
        with path.open() as f:
            loaded = json.load(f)
        args = loaded["config"]["model_args"]
        rows = []
        for task, entry in loaded["results"].items():
            for key, value in entry.items():
                metric, comma, _ = key.partition(",")
                if comma and not metric.endswith("_stderr"):
                    rows.append(
                        {
                            "model": args["pretrained"],
                            "step": int(re.sub(r"\D", "", args["revision"])),
                            "task": task,
                            "metric": metric,
                            "value": value,
                            "stderr": entry[key.replace(",", "_stderr,")],
                            "n": loaded["n-samples"][task]["effective"],
                        }
                    )
        frames.append(pandas.DataFrame(rows))
    return pandas.concat(frames, ignore_index=True)


def samples_loop(paths: list[Path], pandas: Any) -> Any:
    """One melted frame per file, of its parsed lines."""
    frames = []
    for path in paths:
        with path.open() as f:
            table = pandas.DataFrame([json.loads(line) for line in f])
        long = table.melt(["doc_id", "filter"], list(METRICS), var_name="metric")
        frames.append(long.assign(task=path.name.split("_20")[0], folder=path.parent.name))
    return pandas.concat(frames, ignore_index=True)


def write_results(folder: Path, files: int, rng: np.random.Generator) -> list[Path]:
    """Result files as in 0.4: 60 tasks with two metrics, and every task's settings."""
    settings = {
        "dataset_path": "org/benchmark", "test_split": "test", "output_type": "multiple_choice",
        "doc_to_text": "Question: {{question}}\nAnswer:", "doc_to_choice": "{{choices}}",
        "description": "The following are multiple choice questions (with answers).\n\n",
        "metric_list": [{"metric": m, "aggregation": "mean"} for m in METRICS], "repeats": 1,
    }  # fmt: skip
    paths = []
    for i in range(files):
        model, step = divmod(i, CHECKPOINTS)
        values = rng.random((len(TASKS), 2 * len(METRICS)))
        names = [f"{m}{e},none" for m in METRICS for e in ("", "_stderr")]
        whole = {
            "results": {
                t: {"alias": t, **dict(zip(names, map(float, v), strict=True))}
                for t, v in zip(TASKS, values, strict=True)
            },
            "group_subtasks": {t: [] for t in TASKS},
            "configs": {t: {"task": t, **settings} for t in TASKS},
            "versions": dict.fromkeys(TASKS, 1.0),
            "n-shot": dict.fromkeys(TASKS, 0),
            "n-samples": {t: {"original": 1000, "effective": 1000} for t in TASKS},
            "config": {
                "model": "hf",
                "model_args": {
                    "pretrained": f"org/m{model}-{model + 1}00m",
                    "revision": f"step{1000 * step}",
                },
            },
        }
        path = folder / f"m{model}" / f"results_{step:04d}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(whole, indent=2))
        paths.append(path)
    return paths


def write_samples(folder: Path, files: int, rng: np.random.Generator) -> list[Path]:
    """Files of --log_samples: multiple choice of four, 1.2 KB per line."""
    first: list[Path] = []
    paths = []
    for i in range(files):
        run, task = divmod(i, len(TASKS))
        path = folder / f"m-100m__step{run}" / f"samples_{TASKS[task]}_2026-01-01T00-00-00.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        if len(first) < DISTINCT:
            path.write_text("".join(json.dumps(line) + "\n" for line in sample_lines(rng)))
            first.append(path)
        else:
            os.link(first[i % DISTINCT], path)
        paths.append(path)
    return paths


def sample_lines(rng: np.random.Generator) -> Any:
    """One file's lines, with the keys and order of lm-eval 0.4.13."""
    words = np.array(
        [
            "the",
            "of",
            "model",
            "which",
            "a",
            "to",
            "in",
            "question",
            "river",
            "stone",
            "light",
            "because",
            "from",
        ]
    )
    outcomes = rng.random((LINES, len(METRICS))) < 0.4
    for i, passed in enumerate(outcomes):
        text = rng.choice(words, 30)
        question, choices = (
            " ".join(text[:18]),
            [" ".join(text[18 + 3 * k :][:3]) for k in range(4)],
        )
        scores = [[str(-x), "False"] for x in rng.random(4)]
        hashed = f"{int(rng.integers(2**62)):064x}"
        yield {
            "doc_id": i,
            "doc": {"id": f"q{i}", "question": question, "choices": choices, "answer": 1},
            "target": 1,
            "arguments": {
                f"gen_args_{k}": {"arg_0": question, "arg_1": f" {c}"}
                for k, c in enumerate(choices)
            },
            "resps": [[s] for s in scores],
            "filtered_resps": scores,
            "filter": "none",
            "metrics": list(METRICS),
            "doc_hash": hashed, "prompt_hash": hashed, "target_hash": hashed,
            **{m: float(p) for m, p in zip(METRICS, passed, strict=True)},
        }  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Reading results.")
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--rows", type=int, default=5_000_000)
    asked = parser.parse_args()
    main(asked.files, asked.rows)
