"""The same sweep by the head alone, by LoRA and in full, on one transformers checkpoint.

python -m benchmarks.finetune_methods FOLDER trains a small lab model, exports it for
transformers, runs `augury finetune` three times in separate processes, and prints the table of
docs/emergence.md: scores, steps, FLOPs and processor seconds. FOLDER keeps the studies, so a
stopped run resumes.

FLOPs are counted, not measured: the forward pass costs 2 per weight and token; the backward pass 4
in full, 2 plus the adapters' with LoRA, and only the head's 2 for the head alone. They exclude
checks of the held-out loss and the learning-rate search, which the command's seconds include.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from augury.evaluate.hf_load import load
from augury.finetune.examples import source
from augury.finetune.hf import RANK
from augury.lab import ModelConfig, RunConfig, train
from augury.lab.export import export_checkpoint

TASK, WIDTH, STEPS, SHARE = "sort-digits", 32, 600, 0.1
AMOUNTS, BATCH = (64, 256, 1024), 16
METHODS = {"head": ("--only", "head"), "lora": ("--method", "lora"), "full": ()}


def main() -> None:
    """Run what is missing, and print a line per method and amount."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    model = folder / "transformers"
    if not model.exists():
        run = RunConfig(ModelConfig(WIDTH), steps=STEPS, shares={TASK: SHARE})
        export_checkpoint(train(run, folder / "run")[-1], model)
    print("| method | examples | pass probability | log-probability | steps | FLOPs | seconds |")
    print("|---|---|---|---|---|---|---|")
    for name, words in METHODS.items():
        spent = sweep(model, folder / name, words)
        for line in lines(name, model, folder / name):
            print(line, flush=True)
        print(f"| {name} | the command | | | | | {spent:.0f} of CPU |", flush=True)


def sweep(model: Path, out: Path, words: tuple[str, ...]) -> float:
    """Processor seconds of the command: run it, or read the time of its earlier run."""
    took = out / "cpu_seconds.json"
    if not took.exists():
        amounts = ",".join(str(a) for a in AMOUNTS)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, "-m", "augury", "finetune", "--model", f"hf:{model}", "--task", TASK,
             "--amounts", amounts, "--subsets", "2", "--seeds", "1", "--batch", str(BATCH),
             "--instances", "256", "--workers", "0", "--out", str(out), "--quiet", *words],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = [x.ru_utime + x.ru_stime for x in (before, after)]
        took.write_text(json.dumps(used[1] - used[0]))
    return float(json.loads(took.read_text()))


def lines(name: str, model: Path, study: Path) -> list[str]:
    """The table rows of a method: the mean over two subsets."""
    found = sorted(study.glob("measurements/*/record.json"))
    records = [json.loads(path.read_text()) for path in found]
    told = []
    for amount in (0, *AMOUNTS):
        own = [r for r in records if r["unit"]["amount"] == amount]
        value = np.mean([r["row"]["value"] for r in own])
        log = np.mean([r["row"]["logprob"] for r in own])
        if not amount:
            told.append(f"| {name} | 0 | {value:.4f} | {log:.2f} | 0 | 0 | |")
            continue
        steps = np.mean([r["curve"]["steps"][-1] for r in own])
        flops = steps * BATCH * tokens_per_example() * per_token(name, model)
        seconds = np.mean([r["seconds"]["finetuning"] for r in own])
        told.append(
            f"| {name} | {amount:,} | {value:.4f} | {log:.2f} | {steps:.0f} | {flops:.2g} | "
            f"{seconds:.1f} |"
        )
    return told


def tokens_per_example() -> float:
    """Letters of a prompt and its answer: the lab's tokens."""
    pairs = source(TASK, 256).draw(0, 256)
    return float(np.mean([len(prompt) + len(answer) for prompt, answer in pairs]))


def per_token(name: str, model: Path) -> float:
    """FLOPs of a step, per token it reads."""
    network: Any = load(model, None, "float32", False)[1]
    # GPT-2's linear maps have their own class.
    maps = [m for m in network.modules() if type(m).__name__ in ("Linear", "Conv1D")]
    head = network.get_output_embeddings()
    whole = sum(m.weight.numel() for m in maps)
    if name == "head":
        return 2.0 * whole + 2.0 * head.weight.numel()
    if name == "full":
        return 6.0 * whole
    adapters = sum(RANK * sum(m.weight.shape) for m in maps if m is not head)
    return 4.0 * whole + 6.0 * adapters


if __name__ == "__main__":
    main()
