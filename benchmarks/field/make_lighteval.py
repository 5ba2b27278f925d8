"""Results and details written by an installed lighteval, with tasks and answers made here.

Run by the interpreter that has it (`benchmarks.field` starts it). It imports nothing of Augury.
"""

from __future__ import annotations

import json
import logging
import random
import sys
from pathlib import Path
from typing import Any

from lighteval.logging.evaluation_tracker import EvaluationTracker
from lighteval.metrics.metrics import Metrics
from lighteval.models.dummy.dummy_model import DummyModel, DummyModelConfig
from lighteval.pipeline import ParallelismManager, Pipeline, PipelineParameters
from lighteval.tasks.lighteval_task import LightevalTaskConfig
from lighteval.tasks.registry import Registry
from lighteval.tasks.requests import Doc

ROWS = 10


def write_data(folder: Path) -> None:
    """Additions, one per row."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(0)
    lines = []
    for i in range(ROWS):
        a, b = rng.randrange(10, 99), rng.randrange(10, 99)
        choices = [f" {a + b + d}" for d in (0, 1, 10)]
        rng.shuffle(choices)
        gold = choices.index(f" {a + b}")
        lines.append({"question": f"{a} + {b} =", "choices": choices, "gold": gold, "number": i})
    for split in ("train", "test"):
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))


def doc_of(line: dict[str, Any], task_name: str = "") -> Doc:
    """A row as a question."""
    return Doc(
        task_name=task_name,
        query=line["question"],
        choices=line["choices"],
        gold_index=line["gold"],
    )


def configs(data: Path) -> list[LightevalTaskConfig]:
    """Tasks of every kind of metric that needs no download."""
    kinds: dict[str, list[Any]] = {
        "toy_choice": [Metrics.loglikelihood_acc],
        "toy_choices": [
            Metrics.loglikelihood_acc,
            Metrics.mcc,
            Metrics.loglikelihood_f1,
            Metrics.mrr,
        ],
        "toy_sums": [Metrics.exact_match],
        "toy_texts": [Metrics.exact_match, Metrics.rouge1, Metrics.f1_score],
        "toy_corpus": [Metrics.ter, Metrics.chrf, Metrics.bleu],
        "toy_group:law": [Metrics.loglikelihood_acc],
        "toy_group:art": [Metrics.loglikelihood_acc],
        "toy_group:sums": [Metrics.loglikelihood_acc, Metrics.recall_at_k],
    }
    return [
        LightevalTaskConfig(
            name=name, prompt_function=doc_of, hf_repo=str(data), hf_subset="default",
            hf_avail_splits=["train", "test"], evaluation_splits=["test"], few_shots_split="train",
            few_shots_select="sequential", metrics=metrics, generation_size=8, stop_sequence=["\n"],
            version=i % 3,
        )
        for i, (name, metrics) in enumerate(kinds.items())
    ]  # fmt: skip


SETS = (
    ("toy_choice",), ("toy_choices",), ("toy_sums", "toy_texts"), ("toy_corpus", "toy_choice"),
    ("toy_group:law", "toy_group:art"), ("toy_group:law", "toy_group:art", "toy_group:sums"),
    ("toy_choice", "toy_choices", "toy_sums"),
)  # fmt: skip


def one(i: int, folder: Path, tasks: Path) -> None:
    """One evaluation with random options."""
    rng = random.Random(i)
    chosen = rng.choice(SETS)
    shots = rng.choice((0, 0, 2, 5))
    size = rng.choice(("70m", "1.4b"))
    tracker = EvaluationTracker(
        output_dir=str(folder), save_details=rng.random() < 0.8,
        results_path_template=rng.choice((None, None, "{output_dir}/{org}_{model}")),
    )  # fmt: skip
    config = DummyModelConfig(model_name=f"org/toy-{size}-step{1000 * (i + 1)}", seed=i)
    config.cache_dir = str(folder / "cache")
    pipeline = Pipeline(
        tasks=",".join(f"{name}|{shots}" for name in chosen),
        pipeline_parameters=PipelineParameters(
            launcher_type=ParallelismManager.NONE, custom_tasks_directory=str(tasks),
            max_samples=rng.choice((None, None, 5)), bootstrap_iters=rng.choice((0, 20)),
            num_fewshot_seeds=1,
        ),
        evaluation_tracker=tracker,
        model=DummyModel(config),
    )  # fmt: skip
    pipeline.evaluate()
    pipeline.save_and_push_results()


def main(out: Path, count: int) -> None:
    """Make the files of this many runs that do not exist yet."""
    logging.disable(logging.ERROR)
    out.mkdir(parents=True, exist_ok=True)
    write_data(out / "data")
    tasks = out / "toy_tasks.py"
    tasks.write_text(
        "import sys\nfrom pathlib import Path\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from make_lighteval import configs\n"
        f"TASKS_TABLE = configs(Path({str(out / 'data')!r}))\n"
    )
    # Its own tasks are not loaded: some download data when imported.
    Registry._load_from_files = staticmethod(lambda files, prefix: {})
    Registry._load_from_subdirs = staticmethod(lambda folders: {})
    failed = 0
    for i in range(count):
        folder = out / "files" / f"run{i:04d}"
        if (folder / "done").exists():
            continue
        folder.mkdir(parents=True, exist_ok=True)
        try:
            one(i, folder, tasks)
            (folder / "done").write_text("")
        except Exception as error:
            failed += 1
            if failed == 1:
                import traceback

                traceback.print_exc()
            print(f"{i}: {type(error).__name__}: {str(error)[:300]}", flush=True)
    print(f"{count} runs, {failed} failed", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), int(sys.argv[2]))
