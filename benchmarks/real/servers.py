"""Third-party servers with the same task: with their default truncation, and as Augury asks.

A server is run where it is installed: `transformers serve` in this environment, llama.cpp's
(llama-cpp-python, which compiles for minutes) and vLLM's CPU build in environments of their own
(`make real-servers`). A missing server is reported as skipped, with the reason.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from augury.cli.real_demo import CAPITALS, capitals
from augury.evaluate import PassCounts, pass_until
from augury.evaluate.http import HTTPBackend

# The ten easier capitals, because servers answer one request after another.
ASKED = tuple(CAPITALS)[:10]
SAMPLES, START_SECONDS = 24, 400
# The truncation of llama.cpp by default; the others get it explicitly, for comparison.
DEFAULTS = {"top_k": 40, "top_p": 0.95, "min_p": 0.05}


def commands(folder: Path) -> dict[str, tuple[Path, Callable[[Path, Path, int], list[str]]]]:
    """Program of each server, and its arguments for (GGUF file, checkpoint, port)."""
    llama = folder / "llama" / "bin" / "python"
    vllm = folder / "vllm" / "bin" / "vllm"
    serve = Path(sys.executable).parent / "transformers"
    return {
        "llama.cpp (llama-cpp-python)": (llama, lambda gguf, _, port: [
            "-m", "llama_cpp.server", "--model", str(gguf), "--model_alias", "m", "--port",
            str(port), "--logits_all", "true", "--n_ctx", "512", "--n_threads", "1",
        ]),
        "transformers serve": (serve, lambda _, checkpoint, port: [
            "serve", str(checkpoint), "--port", str(port), "--device", "cpu",
        ]),
        "vLLM, CPU build": (vllm, lambda _, checkpoint, port: [
            "serve", str(checkpoint), "--port", str(port), "--served-model-name", "m", "--dtype",
            "float32", "--max-model-len", "512", "--enforce-eager",
        ]),
    }  # fmt: skip


def measure(
    folder: Path,
    gguf: Path,
    checkpoint: Path,
    record: dict[str, Any],
    save: Callable[[], None],
    only: Sequence[str] = (),
) -> None:
    """Every installed server, as Augury asks and truncated; results in the record are kept."""
    found = record.setdefault("servers", {})
    for name, (program, arguments) in commands(folder).items():
        if name in found or (only and name not in only):
            continue
        if not program.exists():
            print(f"{name}: skipped, {program.parent.parent.name} is not installed in {folder}")
            continue
        command = [str(program), *arguments(gguf, checkpoint, port := _port())]
        try:
            with _running(command, port) as url:
                found[name] = _measure_one(name, url, checkpoint)
        except RuntimeError as error:  # it did not start: the others are measured all the same
            print(f"{name}: skipped, {error}", flush=True)
        else:
            save()


def _measure_one(name: str, url: str, checkpoint: Path) -> dict[str, Any]:
    model, whole = "m", dict[str, Any](DEFAULTS)
    cut = whole
    if name == "transformers serve":  # refuses single fields, and takes a whole configuration
        model, cut = (
            str(checkpoint),
            {"generation_config": json.dumps({**whole, "do_sample": True})},
        )
    rows: dict[str, Any] = {}
    asked: tuple[tuple[str, Mapping[str, Any]], ...] = (("as asked", {}), ("told to cut", cut))
    for way, extra in asked:
        rows[way] = _ask(url, model, extra)
        print(name, way, json.dumps(rows[way]), flush=True)
    if name.startswith("llama"):
        rows["plain request"] = {"value": _plain_rate(url, model), "samples": _total()}
        print(name, "plain request", json.dumps(rows["plain request"]), flush=True)
    return rows


def _ask(url: str, model: str, extra: Mapping[str, Any]) -> dict[str, Any]:
    with HTTPBackend(url, model, in_flight=2, extra=extra) as backend:
        began = time.perf_counter()
        counted: PassCounts = pass_until(
            backend, capitals(ASKED), r=SAMPLES + 1, max_samples=SAMPLES, method="independent"
        )
    low, high = counted.mean_interval()
    return {
        "value": counted.mean,
        "interval": [low, high],
        "samples": int(counted.samples.sum()),
        "distribution": counted.distribution,
        "tokens": counted.tokens.drawn,
        "notes": list(counted.notes),
        "seconds": round(time.perf_counter() - began),
    }


def _total() -> int:
    return SAMPLES * len(ASKED)


def _plain_rate(url: str, model: str) -> float:
    """Pass rate of plain requests, which set only the temperature."""
    task, passed = capitals(ASKED), 0
    for i in task.instances:
        for n in range(SAMPLES):
            body = {"model": model, "prompt": i.prompt, "max_tokens": task.tokens, "seed": n,
                    "temperature": 1.0, "stop": ["\n"]}  # fmt: skip
            request = urllib.request.Request(
                f"{url}/v1/completions", json.dumps(body).encode(),
                {"Content-Type": "application/json"},
            )  # fmt: skip
            with urllib.request.urlopen(request, timeout=120) as reply:
                text = json.load(reply)["choices"][0]["text"]
            passed += text.partition("\n")[0] == i.answers[0]
    return passed / _total()


def _port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _running(command: list[str], port: int) -> Iterator[str]:
    """The server's address, from its first answer to the end of the block."""
    url = f"http://127.0.0.1:{port}"
    quiet = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_TARGET_DEVICE": "cpu",
    }
    quiet.pop("PYTHONPATH", None)
    with tempfile.TemporaryFile() as log, tempfile.TemporaryDirectory() as cache:
        quiet["HF_HUB_CACHE"] = cache  # transformers serve lists what is there
        server = subprocess.Popen(command, stdout=log, stderr=log, env=quiet)
        try:
            until = time.monotonic() + START_SECONDS
            while not _answers(f"{url}/v1/models"):
                if server.poll() is not None or time.monotonic() > until:
                    log.seek(0)
                    said = log.read().decode(errors="replace").strip().splitlines()
                    raise RuntimeError(f"{command[0]} did not start: {said[-1:]}")
                time.sleep(1)
            yield url
        finally:
            server.terminate()
            try:
                server.wait(timeout=30)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


def told(record: dict[str, Any]) -> str:
    """The page's section."""
    hand = record.get("by_hand", {})
    cities = [CAPITALS[c] for c in ASKED]
    lines = [
        "| server | request | pass rate, 90 % | `distribution` | tokens |",
        "|---|---|---|---|---|",
    ]
    for name, rows in record["servers"].items():
        for way, row in rows.items():
            if "interval" in row:
                low, high = row["interval"]
                cell = f"{row['value']:.3f} [{low:.3f}, {high:.3f}]"
                lines.append(
                    f"| {name} | {way} | {cell} | {row['distribution']} | {row['tokens']:,} |"
                )
            else:
                lines.append(f"| {name} | {way} | {row['value']:.3f} | | |")
    exact = sum(hand[c] for c in cities) / len(cities)
    cut = record.get("by_hand_cut")
    also = (
        f", and {sum(cut[c] for c in cities) / len(cities):.3f} with the truncation" if cut else ""
    )
    return (
        f"## Servers\n\nThe ten easier capitals, {SAMPLES} samples each. The rate by hand is "
        f"{exact:.3f}{also}. "
        "*as asked*: what Augury sends by default, which switches truncation off. *told to cut*: "
        f"with `--extra` {', '.join(f'{k}={v:g}' for k, v in DEFAULTS.items())}. *plain request*: "
        "temperature 1 and no other setting.\n\n" + "\n".join(lines)
    )
