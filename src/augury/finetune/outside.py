"""Sweeps that another trainer runs: data out, checkpoints in.

`plan_outside` writes a folder that TRL, axolotl or any script can train from:

    manifest.json               the runs, how the sweep would train each (`trl`: arguments of its
                                SFTConfig), and where its checkpoint is expected
    scored.jsonl                what models are scored on; not to be learned from
    runs/RUN/train.jsonl        prompt and completion (TRL)
    runs/RUN/chat.jsonl         the same as messages (TRL; axolotl, type chat_template)
    runs/RUN/segments.jsonl     the same as segments, of which the answer is learned (axolotl, type
                                input_output)
    runs/RUN/held_out.jsonl     and held_out_chat.jsonl: examples by which to stop
    checkpoints/RUN             to be filled: a checkpoint of transformers, or a PEFT adapter

`collect_outside` scores the returned checkpoints as the sweep scores its own.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from augury.errors import DataError, UsageError
from augury.evaluate import Instance, Task
from augury.evaluate.hf import TransformersBackend
from augury.evaluate.measurement import INSTANCES
from augury.finetune.examples import Source, source
from augury.finetune.models import Model, find_models
from augury.finetune.outside_recipe import describe_recipe
from augury.finetune.records import Method, Settings, Unit, load_unit, save_unit, table
from augury.finetune.score import score
from augury.finetune.steps import check_method, length_of_runs, middle_of
from augury.finetune.work import START
from augury.lab import Pair
from augury.runtime.atomic import atomic_folder

FORMAT = 1


def plan_outside(
    models: Sequence[str | Path],
    task: str | Task,
    amounts: Sequence[int],
    subsets: Sequence[int],
    seeds: Sequence[int],
    folder: str | Path,
    *,
    method: Method = "full",
    learning_rate: float | None = None,
    batch: int = 16,
    steps: int | None = None,
    instances: int = INSTANCES,
    samples: int = 128,
    shots: int | None = None,
    pool: Task | None = None,
    about: str | Path | None = None,
) -> Path:
    """Write every run's data, and the manifest.

    The manifest describes how the sweep would train each run, so that another trainer can do the
    same.

    Args:
        models: checkpoints of transformers that will be finetuned, "hf:PATH" or "hf:ID@REVISION".
        task, amounts, subsets, seeds, method, batch, steps, instances, samples, shots, pool, about:
            as in `finetune_sweep`.
        learning_rate: peak rate at the middle width. By default the start of the sweep's search:
            nothing is trained here.
        folder: to write, completely or not at all; it must not exist.

    Returns:
        The folder.

    Raises:
        UsageError: no models, too few examples, or the folder exists.
    """
    out = Path(folder)
    if out.exists():
        raise UsageError(f"{out} exists: a plan never overwrites another one")
    check_method(method)
    found = find_models(models, about)
    if any(model.kind != "hf" for model in found):
        raise UsageError("a plan for another trainer is for hf: models; the lab trains its own")
    wanted = sorted({int(a) for a in amounts} - {0})
    if not wanted or wanted[0] < 0:
        raise UsageError(f"amounts must be positive numbers of examples, not {list(amounts)}")
    examples = source(task, instances, shots, pool)
    steps, passes, every = length_of_runs(True, steps, None, None)
    settings = Settings(
        task=examples.scored.name,
        task_digest=examples.digest,
        method=method,
        rate=START[method] if learning_rate is None else learning_rate,
        at=middle_of(found).width,
        batch=batch,
        steps=steps,
        passes=passes,
        every=every,
        patience=1,
        samples=samples,
        shots=examples.shots,
    )
    settings.recipe(settings.at)  # before anything is written: are the numbers in range?
    runs = []
    with atomic_folder(out) as fresh:
        for model in found:
            for amount in wanted:
                for subset in subsets:
                    for seed in seeds:
                        unit = Unit(model, amount, subset, seed)
                        run = _write_run(unit, examples, fresh)
                        runs.append({**run, **describe_recipe(unit, settings)})
        (fresh / "checkpoints").mkdir()
        _write_lines(fresh / "scored.jsonl", [_instance_line(i) for i in examples.scored.instances])
        scored = examples.scored
        manifest = {
            "format": FORMAT,
            "task": {
                "name": scored.name,
                "checker": scored.checker,
                "length": scored.length,
                "stop": list(scored.stop),
                "chance": scored.chance,
                "digest": scored.digest,
            },
            "split": examples.digest,
            "samples": samples,
            "shots": examples.shots,
            "models": [
                {"model": _spec(m), "run": m.run, "step": m.step, "about": dict(m.about),
                 "told": dict(m.told)}
                for m in found
            ],
            "runs": runs,
        }  # fmt: skip
        text = json.dumps(manifest, indent=1, default=str)
        (fresh / "manifest.json").write_text(text + "\n", encoding="utf-8")
    return out


def collect_outside(folder: str | Path, out: str | Path) -> tuple[pl.DataFrame, list[str]]:
    """Score the checkpoints of a plan, and the untuned models.

    Args:
        folder: that `plan_outside` wrote, with checkpoints/RUN for each finished run.
        out: the study's folder; earlier scores are read from it.

    Returns:
        The observation table, and the runs whose checkpoint is still missing.

    Raises:
        DataError: the manifest or the scored instances were changed, or a checkpoint cannot be
        read.
    """
    folder, study = Path(folder), Path(out)
    manifest = _manifest(folder)
    task = _scored(folder, manifest)
    settings = Settings(
        task=task.name,
        task_digest=manifest["split"],
        method="outside",
        rate=1.0,
        at=1,
        batch=1,
        steps=1,
        passes=0,
        every=1,
        patience=1,
        samples=int(manifest["samples"]),
        shots=int(manifest["shots"]),
    )
    by_spec = {m["model"]: m for m in manifest["models"]}
    records, missing = [], []
    for spec, told in by_spec.items():
        (model,) = find_models([spec])
        as_it_was = Unit(model, 0, 0, 0)
        records.append(_scored_unit(as_it_was, model.path, told, task, settings, study))
        for run in manifest["runs"]:
            if run["model"] != spec:
                continue
            checkpoint = folder / run["checkpoint"]
            if not checkpoint.is_dir():
                missing.append(run["run"])
                continue
            unit = Unit(model, int(run["amount"]), int(run["subset"]), int(run["seed"]))
            records.append(_scored_unit(unit, checkpoint, told, task, settings, study))
    return table(records), missing


def _scored_unit(
    unit: Unit,
    checkpoint: str | Path,
    told: dict[str, Any],
    task: Task,
    settings: Settings,
    study: Path,
) -> dict[str, Any]:
    """Return the record of a unit, from the study if it exists."""
    place = unit.folder(study, settings.task)
    before = load_unit(place, settings)
    if before is not None:
        return before
    model = unit.model
    revision = None if unit.amount else model.revision
    backend = TransformersBackend(checkpoint, revision)
    # A finetuned model is its base model plus a number of examples.
    about = {**backend.about, **told["about"], **told["told"]}
    row = {
        **{column: x for column, x in about.items() if x is not None},
        "run": model.run,
        "step": model.step,
        "seed": unit.seed if unit.amount else None,
        "finetune_examples": unit.amount,
        "finetune_task": settings.task if unit.amount else None,
        "subset": str(unit.subset) if unit.amount else None,
        "shots": settings.shots,
        **score(backend, task, settings.samples, unit.seed),
    }
    record = {
        "settings": asdict(settings),
        "unit": {"amount": unit.amount, "subset": unit.subset, "seed": unit.seed},
        "model": dict(model.about),
        "recipe": None,
        "curve": None,
        "row": row,
        "seconds": None,
    }
    save_unit(place, record)
    return load_unit(place, settings) or record


def _write_run(unit: Unit, examples: Source, folder: Path) -> dict[str, Any]:
    """Write the files of one run, and return its entry in the manifest."""
    safe = "".join(c if c.isalnum() or c in "-_." else "_" for c in unit.model.name).lstrip(".-")
    name = f"{safe}-d{unit.amount}-s{unit.subset}-r{unit.seed}"
    run = folder / "runs" / name
    run.mkdir(parents=True)
    pairs = examples.draw(unit.subset, unit.amount)
    _write_lines(run / "train.jsonl", [{"prompt": p, "completion": a} for p, a in pairs])
    _write_lines(run / "chat.jsonl", [_messages(pair) for pair in pairs])
    _write_lines(
        run / "segments.jsonl",
        [{"segments": [{"label": False, "text": p}, {"label": True, "text": a}]} for p, a in pairs],
    )
    held_out = examples.held_out
    _write_lines(run / "held_out.jsonl", [{"prompt": p, "completion": a} for p, a in held_out])
    _write_lines(run / "held_out_chat.jsonl", [_messages(pair) for pair in held_out])
    return {
        "run": name,
        "model": _spec(unit.model),
        "amount": unit.amount,
        "subset": unit.subset,
        "seed": unit.seed,
        "data": f"runs/{name}",
        "checkpoint": f"checkpoints/{name}",
    }


def _messages(pair: Pair) -> dict[str, Any]:
    prompt, answer = pair
    return {
        "messages": [
            {"role": "user", "content": prompt},
            {"role": "assistant", "content": answer.strip()},
        ]
    }


def _spec(model: Model) -> str:
    return f"hf:{model.path}" + (f"@{model.revision}" if model.revision else "")


def _instance_line(instance: Instance) -> dict[str, Any]:
    return {
        "id": instance.id,
        "prompt": instance.prompt,
        "references": list(instance.answers),
        "data": dict(instance.data),
    }


def _write_lines(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / "manifest.json"
    expected = "the manifest that `augury finetune --plan` wrote"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError("there is no such file", source=str(path), expected=expected) from error
    except ValueError as error:
        raise DataError("is not JSON", source=str(path), expected=expected) from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise DataError("has another format", source=str(path), expected=expected)
    return found


def _scored(folder: Path, manifest: dict[str, Any]) -> Task:
    path, told = folder / "scored.jsonl", manifest["task"]
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
        instances = []
        for line in filter(None, lines):
            row = json.loads(line)
            answers = tuple(row["references"])
            instances.append(Instance(row["id"], row["prompt"], answers, row["data"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"cannot be read: {error}", source=str(path), expected="the file that --plan wrote"
        ) from error
    task = Task(
        told["name"],
        tuple(instances),
        told["chance"],
        told["checker"],
        told["length"],
        tuple(told["stop"]),
    )
    if task.digest != told["digest"]:
        raise DataError(
            "was changed since the plan was written", source=str(path), expected="the same file"
        )
    return task
