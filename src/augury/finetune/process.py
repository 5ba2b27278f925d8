"""One of the processes that train a checkpoint together, as `processes.py` starts it.

    python -m augury.finetune.process FOLDER

FOLDER holds the job. Process 0 reports on standard output; whatever else is printed goes to
standard error. A process that fails leaves `error-RANK.json` in FOLDER.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from augury.errors import AuguryError
from augury.evaluate.hf_load import needs_models
from augury.finetune.hf import finetune_transformers
from augury.finetune.processes import ERROR, JOB, REPORT
from augury.finetune.training_group import TrainingGroup
from augury.lab import Recipe


def run(folder: Path) -> None:
    """Join the other processes, and do this one's share of the job."""
    with os.fdopen(os.dup(1), "w") as line:
        os.dup2(2, 1)
        job = json.loads((folder / JOB).read_text())
        torch, accelerate = needs_models("torch"), needs_models("accelerate")
        state = accelerate.PartialState(cpu=not torch.cuda.is_available())
        sums = partial(accelerate.utils.reduce, reduction="sum")
        group = TrainingGroup(state.process_index, state.num_processes, str(state.device), sums)
        rng = np.random.default_rng()
        rng.bit_generator.state = job["rng"]

        def report(**what: Any) -> None:
            # If the process that waits for it is gone, this fails, and the group ends.
            print(REPORT + json.dumps(what), file=line, flush=True)

        curve = finetune_transformers(
            job["path"],
            job["revision"],
            [(prompt, answer) for prompt, answer in job["pairs"]],
            [(prompt, answer) for prompt, answer in job["held_out"]],
            Recipe(**job["recipe"]),
            rng,
            method=job["method"],
            out=Path(job["out"]),
            look=None if group.rank else lambda *seen: report(look=seen),
            group=group,
        )
        if group.rank == 0:
            report(steps=curve.steps, losses=curve.losses)
        state.destroy_process_group()


def main() -> None:
    """Run; write down why if it fails."""
    folder = Path(sys.argv[1])
    try:
        run(folder)
    except Exception as error:
        kind = type(error).__name__
        ours = isinstance(error, AuguryError)
        told = {"kind": kind, "ours": ours, "text": str(error), "trace": traceback.format_exc()}
        (folder / ERROR.format(os.environ["RANK"])).write_text(json.dumps(told))
        sys.exit(1)


if __name__ == "__main__":
    main()
