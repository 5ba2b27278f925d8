"""PassUntil's samples per second against a plain loop over transformers `generate`.

The same exported checkpoint on all sides, one pass rate near 1e-3 and one near 1e-5: what a rarer
ability costs is what the tree of prefixes saves.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from augury.evaluate import Checker, Task, exact_scores, pass_until
from augury.evaluate.hf import TransformersBackend
from augury.lab import LabBackend, ModelConfig, RunConfig, lab_instances, train
from augury.lab.export import export_checkpoint

WIDTH, STEPS = 24, 1000
INSTANCES = 64
FEW = 8  # for runs that visit every leaf
# Plain samples cost the same at any rate, so this many are enough for timing.
PLAIN = 1_000
# Samples per call of the loop: more are not faster on a CPU.
AT_ONCE, CALLS = 256, 8
RATES = (1e-3, 1e-5)


def main() -> None:
    """Tree and independent sampling, on both backends, at two pass rates."""
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = train(RunConfig(ModelConfig(WIDTH), steps=STEPS), Path(folder) / "run")[-1]
        export = export_checkpoint(checkpoint, Path(folder) / "export")
        lab = LabBackend(checkpoint)
        asked = lab_instances("rule", 2048)
        exact = exact_scores(lab, asked).passing
        plain = loop(export, asked)
        print(f"\nsamples/s, width {WIDTH}, six tokens; a loop over `generate`: {plain:,.0f}")
        for rate in RATES:
            near = np.argsort(abs(np.log(exact / rate)))[:INSTANCES]
            task = Task("near", tuple(asked.instances[i] for i in near), 0.0)
            for name, backend in (("lab", lab), ("transformers", TransformersBackend(export))):
                for method, check in (("tree", None), ("tree", ANY), ("independent", None)):
                    speed, mean = samples_per_second(backend, task, method, rate, check)
                    what = f"{name}, {method}{', any check' if check else ''}"
                    print(
                        f"    rate {rate:g}, {what:30s} {speed:14,.0f} {speed / plain:9.1f}x   "
                        f"found {mean:.2g}, exact {exact[near].mean():.2g}",
                        flush=True,
                    )


# An opaque check: the tree has to be followed to all leaves.
ANY = Checker("any", lambda instance, text: text.startswith(instance.answers))


def samples_per_second(
    backend: Any, task: Task, method: Any, rate: float, check: Checker | None
) -> tuple[float, float]:
    """Seconds of a whole run to two passes per instance, after one that compiles."""
    cap = PLAIN if method == "independent" else int(20 / rate)
    if check is not None:
        task = Task("few", task.instances[:FEW], 0.0)
    pass_until(backend, task, method=method, max_samples=500, check=check)
    began = time.perf_counter()
    found = pass_until(backend, task, method=method, max_samples=cap, seed=1, check=check)
    return found.samples.sum() / (time.perf_counter() - began), found.mean


def loop(export: Path, task: Task) -> float:
    """Samples per second of `generate`, one prompt per call."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(export)
    model = AutoModelForCausalLM.from_pretrained(export).eval()
    seconds = []
    for i in range(CALLS + 1):
        began = time.perf_counter()
        inputs = tokenizer(task.instances[i].prompt, return_tensors="pt")
        with torch.no_grad():
            out = model.generate(
                **inputs, do_sample=True, max_new_tokens=task.tokens, num_return_sequences=AT_ONCE
            )
        tokenizer.batch_decode(out[:, inputs["input_ids"].shape[1] :])
        seconds.append(time.perf_counter() - began)
    return AT_ONCE / float(np.median(seconds[1:]))


if __name__ == "__main__":
    main()
