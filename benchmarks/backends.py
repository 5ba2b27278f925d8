"""Samples per second of the backends, and our overhead over a bare HTTP client.

`python -m benchmarks.backends URL MODEL` measures the latter against a running server.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tests.evaluate.servers import transformers_serve

from augury.evaluate import SampleRequest
from augury.evaluate.hf import TransformersBackend
from augury.evaluate.http import HTTPBackend
from augury.lab import LabBackend, ModelConfig, RunConfig, train
from augury.lab.export import export_checkpoint

WIDTH, STEPS = 16, 300
PROMPTS, EACH, LENGTH = 64, 64, 8
REQUESTS, ROUNDS = 256, 5


def main() -> None:
    """Sampling, then the overhead over `transformers serve`."""
    with tempfile.TemporaryDirectory() as folder:
        run = RunConfig(ModelConfig(WIDTH), steps=STEPS, shares={"sort-digits": 1.0})
        checkpoint = train(run, Path(folder) / "run")[-1]
        export = export_checkpoint(checkpoint, Path(folder) / "export")
        sampling(checkpoint, export)
        with transformers_serve(export, Path(folder) / "log") as url:
            overhead(url, str(export), "transformers serve")


def requests(each: int = EACH) -> list[SampleRequest]:
    """`PROMPTS` prompts of equal length, batched as by a simple script."""
    return [SampleRequest(f"={i:05d}>", each, LENGTH, seed=i) for i in range(PROMPTS)]


def sampling(checkpoint: Path, export: Path) -> None:
    """Both backends against a loop over `generate`, one call per prompt, one thread everywhere."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(export)
    model = AutoModelForCausalLM.from_pretrained(export).eval()

    def loop() -> list[list[str]]:
        texts = []
        for request in requests():
            inputs = tokenizer(request.prompt, return_tensors="pt")
            with torch.no_grad():
                out = model.generate(
                    **inputs, do_sample=True, max_new_tokens=LENGTH, num_return_sequences=EACH
                )
            texts.append(tokenizer.batch_decode(out[:, inputs["input_ids"].shape[1] :]))
        return texts

    lab, ours = LabBackend(checkpoint), TransformersBackend(export)
    rates = rounds([loop, lambda: lab.sample(requests()), lambda: ours.sample(requests())], 3)
    rates = PROMPTS * EACH / rates
    print(f"\nsamples/s, {PROMPTS} prompts x {EACH} samples of {LENGTH} tokens, width {WIDTH}")
    print(f"    transformers, loop over generate: {rates[0]:8.0f}")
    print(f"    TransformersBackend.sample:       {rates[2]:8.0f}   {rates[2] / rates[0]:.1f}x")
    print(f"    LabBackend.sample:                {rates[1]:8.0f}   {rates[1] / rates[0]:.1f}x")


def overhead(url: str, model: str, name: str) -> None:
    """The same requests by a minimal client of 64 connections, and by `HTTPBackend`."""
    asked = [SampleRequest(f"={i:05d}>", 1, LENGTH, seed=i) for i in range(REQUESTS)]
    with HTTPBackend(url, model, n_per_request=1) as backend:
        backend.sample(asked)  # which finds the fields that this server takes
        bodies = [backend._body(r, 1, r.seed) for r in asked]
        calls = [lambda: gathered(url, bodies), lambda: backend.sample(asked)]
        bare, ours = rounds(calls, ROUNDS)
        # The client's own CPU time, which a busy machine does not change.
        work = rounds(calls, ROUNDS, time.process_time) / REQUESTS * 1e3
    print(f"\n{name}, {REQUESTS} requests, 64 in flight, median of {ROUNDS} in turn")
    print(f"    bare client {bare:.2f} s, HTTPBackend {ours:.2f} s: {ours / bare - 1:+.1%}")
    print(f"    CPU time of the client per request: {work[0]:.2f} ms, {work[1]:.2f} ms")


def gathered(url: str, bodies: list[dict[str, Any]]) -> list[str]:
    """A simple client: a gather over all requests, 64 at a time."""
    import httpx2

    async def ask() -> list[str]:
        free = asyncio.Semaphore(64)
        async with httpx2.AsyncClient(timeout=600) as client:

            async def one(body: dict[str, Any]) -> str:
                async with free:
                    reply = await client.post(f"{url}/v1/completions", json=body)
                return str(reply.json()["choices"][0]["text"])

            return list(await asyncio.gather(*map(one, bodies)))

    return asyncio.run(ask())


def rounds(
    calls: list[Callable[[], Any]], repeats: int, clock: Callable[[], float] = time.perf_counter
) -> Any:
    """Median seconds of each call, alternating, after a warm-up round."""
    seconds = np.zeros((repeats + 1, len(calls)))
    for i in range(repeats + 1):
        for k, call in enumerate(calls):
            began = clock()
            call()
            seconds[i, k] = clock() - began
    return np.median(seconds[1:], axis=0)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        overhead(sys.argv[1], sys.argv[2], "server")
    else:
        main()
