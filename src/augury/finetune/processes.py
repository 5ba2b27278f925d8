"""Train one checkpoint in several processes, one per GPU, which `accelerate launch` starts.

They run on this machine. Several machines are not covered, nor is a model that does not fit on one
GPU: every process holds all of it.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import numpy as np

from augury import errors
from augury.errors import AuguryError, UsageError
from augury.evaluate.hf_load import needs_models
from augury.finetune.hf import Look
from augury.finetune.models import Model
from augury.lab import LossCurve, Pair, Recipe
from augury.runtime.jobs import cores

# Files in the folder of a job, and what marks a report among a process's output.
JOB, ERROR, LOG = "job.json", "error-{}.json", "log"
REPORT = "augury-report "
# Seconds that the launcher has to end its processes; it gives each of them 30.
GRACE = 45.0
# As torch's launcher reports the process that failed first.
FIRST = re.compile(r"Root Cause.*?rank\s*: (\d+).*?exitcode\s*: (-?\d+)", re.DOTALL)


class ProcessError(AuguryError):
    """A process that took part in the training failed; nothing of the run is kept."""


def check_processes(
    processes: int, batch: int, models: Sequence[Model], workers: int | None
) -> None:
    """Check what `processes` asks for, before a checkpoint is read.

    Raises:
        UsageError: there are fewer GPUs, or less to share, or the models are the lab's; or this
            process itself is one of several that `accelerate launch` or `torchrun` started.
    """
    if processes < 1:
        raise UsageError(f"processes must be at least 1, not {processes}")
    if "LOCAL_RANK" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError(
            f"this is one of {os.environ['WORLD_SIZE']} processes of accelerate launch or "
            "torchrun, and each would run the whole sweep: start it once, with `augury finetune "
            "--processes N`, which starts the others"
        )
    if processes == 1:
        return
    if any(model.kind == "lab" for model in models):
        raise UsageError(
            "processes that share a run are for checkpoints of transformers: the lab's are "
            "finetuned in one process each (workers)"
        )
    if workers:
        raise UsageError(
            f"{processes} processes share every run, one run after the other: they take no workers"
        )
    if processes > batch:
        raise UsageError(f"{processes} processes cannot share a batch of {batch} examples")
    torch, _ = needs_models("torch"), needs_models("accelerate")
    if torch.cuda.is_available() and processes > torch.cuda.device_count():
        raise UsageError(
            f"{processes} processes need as many GPUs: there are {torch.cuda.device_count()}"
        )


def finetune_in_processes(
    processes: int,
    path: str | Path,
    revision: str | None,
    pairs: Sequence[Pair],
    held_out: Sequence[Pair],
    recipe: Recipe,
    rng: np.random.Generator,
    *,
    method: str,
    out: Path,
    look: Look | None = None,
) -> LossCurve:
    """Finetune a checkpoint as `finetune_transformers` does, in several processes.

    On a CPU each gets an equal share of the cores. Random numbers of dropout differ from those of
    one process; all else is equal to rounding.

    Args:
        processes: how many; each trains on a GPU of its own, if there are GPUs.
        path, revision, pairs, held_out, recipe, method, out, look: as in `finetune_transformers`.
        rng: of numpy's `default_rng`.

    Returns:
        The held-out loss during finetuning.

    Raises:
        UsageError, DataError: as in `finetune_transformers`.
        ProcessError: a process failed, or was killed.
    """
    _free_memory()
    with tempfile.TemporaryDirectory(prefix="augury-processes-") as name:
        folder = Path(name)
        job = {
            "path": str(path),
            "revision": revision,
            "pairs": list(pairs),
            "held_out": list(held_out),
            "recipe": asdict(recipe),
            "rng": rng.bit_generator.state,
            "method": method,
            "out": str(out.absolute()),
        }
        (folder / JOB).write_text(json.dumps(job))
        curve: LossCurve | None = None
        with (folder / LOG).open("w+") as log, _launched(processes, folder, log) as launcher:
            assert launcher.stdout is not None
            for line in launcher.stdout:
                if not line.startswith(REPORT):
                    continue
                said = json.loads(line.removeprefix(REPORT))
                if "losses" in said:
                    curve = LossCurve(tuple(said["steps"]), tuple(said["losses"]))
                elif look is not None:
                    look(*said["look"])
            failed = launcher.wait()
        if failed or curve is None:
            raise _failure(folder, processes)
    return curve


@contextmanager
def _launched(processes: int, folder: Path, log: IO[str]) -> Iterator[subprocess.Popen[str]]:
    """Start the processes; none of them runs afterwards."""
    options = {
        "num_processes": processes,
        "num_machines": 1,
        "num_cpu_threads_per_process": _threads(processes, os.environ),
        "main_process_port": 0,  # a free one
        # The rest is the trainer's own, whatever the user's `accelerate config` has.
        "gpu_ids": "all",
        "mixed_precision": "no",
        "dynamo_backend": "no",
    }
    launcher = subprocess.Popen(  # noqa: S603
        [
            *(sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu"),
            *(f"--{name}={value}" for name, value in options.items()),
            *("--module", "augury.finetune.process", str(folder)),
        ],
        stdout=subprocess.PIPE,
        stderr=log,
        stdin=subprocess.DEVNULL,
        text=True,
        start_new_session=True,  # Ctrl-C reaches this process, which ends the others
    )
    try:
        yield launcher
    finally:
        if launcher.poll() is None:
            launcher.terminate()
            try:
                launcher.wait(GRACE)
            except subprocess.TimeoutExpired:
                launcher.kill()
        launcher.wait()
        if launcher.stdout is not None:
            launcher.stdout.close()


def _threads(processes: int, environment: Mapping[str, str]) -> int:
    """Return threads per process: what the environment asks for, else an equal share of cores."""
    asked = environment.get("OMP_NUM_THREADS", "")
    return int(asked) if asked.isdecimal() else max(cores() // processes, 1)


def _free_memory() -> None:
    """Give back what an earlier model has left reserved on a GPU: a process is to train there."""
    torch = needs_models("torch")
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def _failure(folder: Path, processes: int) -> AuguryError:
    """Return why a training failed: its own error, else that of the process that failed first."""
    told: dict[int, dict[str, Any]] = {}
    for rank in range(processes):
        path = folder / ERROR.format(rank)
        if path.exists():
            told[rank] = json.loads(path.read_text())
    for error in told.values():
        if error["ours"]:  # the same in every process
            kind: type[AuguryError] = getattr(errors, error["kind"], AuguryError)
            return kind(error["text"])
    log = (folder / LOG).read_text(errors="replace")
    first = FIRST.search(log)
    where, code = (int(first[1]), int(first[2])) if first else (min(told, default=-1), 1)
    if code < 0:
        why = f"process {where} of {processes} was ended by {signal.Signals(-code).name}"
        if -code == signal.SIGKILL:
            why += ", for instance for want of memory"
    elif where in told:
        why = f"process {where} of {processes} failed: {told[where]['trace'].rstrip()}"
    else:
        why = f"{processes} processes could not be started: {log[-2000:].rstrip()}"
    return ProcessError(f"finetuning stopped, and nothing of this run is kept: {why}")
