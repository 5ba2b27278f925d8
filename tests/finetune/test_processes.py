"""Several processes that train one checkpoint take the steps of one, and fail as a whole."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from augury.errors import DataError, UsageError
from augury.evaluate import Instance, Task
from augury.finetune import ProcessError, finetune_sweep
from augury.finetune.hf import finetune_transformers
from augury.finetune.processes import _threads, finetune_in_processes
from augury.finetune.training_group import TrainingGroup
from augury.lab import Pair, Recipe
from augury.runtime.jobs import cores
from augury.study.units.finetuning import _processes
from augury.study.units.unit import StudyUnit

exported_models: Any = pytest.importorskip("tests.evaluate.exported")
exported_models.Later("peft")
exported_models.Later("accelerate")

pytestmark = pytest.mark.slow

WORDS = ["cat", "dog", "mat", "log"]


def pairs(n: int, seed: int) -> list[Pair]:
    """Texts of one to nine words: the processes' shares differ in tokens."""
    rng = np.random.default_rng(seed)

    def words(most: int) -> str:
        return " ".join(rng.choice(WORDS, rng.integers(1, most + 1)))

    return [(f"the {words(5)}", f" {words(3)}") for _ in range(n)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama of 64 tokens, without dropout."""
    folder: Path = exported_models.bpe_model(tmp_path_factory.mktemp("bpe") / "bpe")
    return folder


@pytest.mark.parametrize(
    ("method", "rate", "batch", "processes"),
    [
        ("lora", 0.01, 16, 2),
        # Starting processes takes 15 seconds of CPU.
        pytest.param("full", 0.003, 16, 2, marks=pytest.mark.claims),
        pytest.param("head", 0.01, 5, 3, marks=pytest.mark.claims),
    ],
)
def test_several_processes_take_the_steps_of_one(
    model: Path, tmp_path: Path, method: str, rate: float, batch: int, processes: int
) -> None:
    """Equal to rounding: sums over a batch are rounded in another order.

    30 steps move weights by .05 to .5. Weights differed by at most 5e-6, for two and three
    processes and batches of 5 and 16. If each share counted the same, whatever its number of
    tokens, weights would differ by .016 (full), .07 (LoRA) and .03 (head).
    """
    from safetensors.numpy import load_file

    recipe = Recipe(rate, batch=batch, steps=30, passes=0, every=10)
    learnt, held_out = pairs(40, 1), pairs(15, 2)
    curves, weights, seen = [], [], []
    for train in (finetune_transformers, _in(processes)):
        out, looks = tmp_path / str(len(curves)), []  # type: ignore[var-annotated]
        curve = train(
            model, None, learnt, held_out, recipe, np.random.default_rng(3), method=method,
            out=out, look=lambda *at, looks=looks: looks.append(at),
        )  # fmt: skip
        curves.append(curve)
        seen.append(looks)
        weights.append(load_file(out / "model.safetensors"))
        assert (out / "tokenizer.json").exists()
    one, several = curves
    assert several.steps == one.steps
    assert several.best == one.best > 0
    assert several.losses == pytest.approx(one.losses, abs=1e-4)
    assert [look[:2] for look in seen[1]] == [look[:2] for look in seen[0]]
    assert tuple(look[2] for look in seen[1]) == several.losses
    before = load_file(model / "model.safetensors")
    assert max(np.abs(weights[0][name] - before[name]).max() for name in before) > 0.03
    for name, array in weights[0].items():
        assert np.abs(array - weights[1][name]).max() < 1e-4, name


def _in(processes: int) -> Any:
    return lambda *args, **options: finetune_in_processes(processes, *args, **options)


def test_a_gradient_that_only_another_process_has_counts() -> None:
    """An expert that no text of this process reached; and one that none reached at all."""
    torch = exported_models.torch
    here, elsewhere, nowhere = (torch.nn.Parameter(torch.ones(2)) for _ in range(3))
    here.grad = torch.tensor([1.0, 2.0])
    of_the_other = iter([torch.tensor([1.0, 1.0, 0.0]), torch.ones(2), torch.tensor([3.0, 4.0])])
    TrainingGroup(0, 2, "cpu", lambda mine: mine + next(of_the_other)).add_gradients(
        [here, elsewhere, nowhere]
    )
    assert here.grad.tolist() == [2.0, 3.0]
    assert elsewhere.grad.tolist() == [3.0, 4.0]
    assert nowhere.grad is None  # as in one process, its weights do not decay


TASK = Task(
    "ends", tuple(Instance(str(i), f"the cat {i}", (" the end",)) for i in range(40)), 0.0,
    "exact", 8,
)  # fmt: skip
ASKED: dict[str, Any] = {
    "amounts": [16], "subsets": 1, "seeds": 1, "learning_rate": 0.01, "steps": 10, "samples": 4,
    "instances": 8,
}  # fmt: skip


def test_processes_fail_as_a_whole(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process is killed; then all of it is interrupted."""
    import psutil

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def mine() -> list[Any]:
        found = psutil.Process().children(recursive=True)
        return [p for p in found if "augury.finetune.process" in p.cmdline()]

    def kill(*_: Any) -> None:
        for process in mine():
            if process.environ().get("RANK") == "1":
                os.kill(process.pid, signal.SIGKILL)

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    def train(then: Callable[..., None]) -> None:
        finetune_in_processes(
            2, model, None, pairs(16, 1), pairs(8, 2), Recipe(0.01, steps=100_000, patience=10_000),
            np.random.default_rng(0), method="full", out=tmp_path / "trained", look=then,
        )  # fmt: skip

    with pytest.raises(ProcessError, match="process 1 of 2 was ended by SIGKILL, for instance"):
        train(kill)
    with pytest.raises(KeyboardInterrupt):
        train(interrupt)
    assert not mine()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("launched", [False, pytest.param(True, marks=pytest.mark.claims)])
def test_a_sweep_hands_every_run_to_the_processes_and_resumes_in_one(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, launched: bool
) -> None:
    """That several processes take the steps of one is shown above."""
    asked = []

    def counted(processes: int, *args: Any, **options: Any) -> Any:
        asked.append(processes)
        train = partial(finetune_in_processes, processes) if launched else finetune_transformers
        return train(*args, **options)

    monkeypatch.setattr("augury.finetune.processes.finetune_in_processes", counted)
    out = tmp_path / "study"

    def sweep(processes: int) -> Any:
        return finetune_sweep([f"hf:{model}"], TASK, out=out, processes=processes, **ASKED)

    several = sweep(2)
    assert asked == [2]
    records = sorted(out.glob("measurements/*/record.json"))
    texts = [path.read_text() for path in records]
    assert [json.loads(text)["processes"] for text in texts] == [2, 2]
    assert sweep(1).equals(several)  # read, not computed again
    assert [path.read_text() for path in records] == texts


@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=pytest.mark.claims)])
def test_an_example_that_does_not_fit_is_the_same_error_in_processes(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: int
) -> None:
    """One process is started without the launcher, which takes longer than it."""

    @contextmanager
    def started(processes: int, folder: Path, log: Any) -> Iterator[Any]:
        monkeypatch.setenv("RANK", "0")
        command = [sys.executable, "-m", "augury.finetune.process", str(folder)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process:
            yield process

    if processes == 1:
        monkeypatch.setattr("augury.finetune.processes._launched", started)
    long = [("the " + "cat " * 70, "dog")]
    said = []
    for train in (finetune_transformers, _in(processes)):
        with pytest.raises(DataError, match="tokens; expected at most 64") as got:
            train(
                model, None, long * 2, pairs(2, 1), Recipe(0.01, steps=1), np.random.default_rng(0),
                method="full", out=tmp_path / "out",
            )  # fmt: skip
        said.append(str(got.value))
    assert said[0] == said[1]
    assert not (tmp_path / "out").exists()


BAD: list[tuple[dict[str, Any], dict[str, str], str]] = [
    ({"processes": 0}, {}, "processes must be at least 1, not 0"),
    ({"processes": 17}, {}, "17 processes cannot share a batch of 16 examples"),
    ({"processes": 3}, {}, "3 processes need as many GPUs: there are 2"),
    ({"processes": 2, "workers": 2}, {}, "they take no workers"),
    ({"processes": 2, "models": "lab"}, {}, "are for checkpoints of transformers"),
    ({}, {"LOCAL_RANK": "0", "WORLD_SIZE": "4"}, "this is one of 4 processes of accelerate launch"),
]


@pytest.mark.parametrize(("options", "environment", "line"), BAD, ids=[b[2][:30] for b in BAD])
def test_what_processes_cannot_do_is_said_before_a_model_is_loaded(
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    environment: dict[str, str],
    line: str,
) -> None:
    cuda = exported_models.torch.cuda
    monkeypatch.setattr(cuda, "is_available", lambda: True)
    monkeypatch.setattr(cuda, "device_count", lambda: 2)
    monkeypatch.delattr("augury.evaluate.hf.load")
    monkeypatch.delattr("augury.finetune.hf.load")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    models: list[Any] = [f"hf:{model}"]
    if options.get("models") == "lab":
        models = [exported_models.trained(tmp_path / "run")]
    asked = {**ASKED, **options, "models": models}
    with pytest.raises(UsageError, match=line) as caught:
        finetune_sweep(task=TASK, out=tmp_path / "study", **asked)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "study").exists()


def test_a_process_gets_its_share_of_the_cores() -> None:
    assert _threads(1, {}) == cores()
    assert _threads(cores() + 1, {}) == 1
    assert _threads(2, {"OMP_NUM_THREADS": "3"}) == 3


def test_a_study_shares_a_run_among_the_gpus_that_it_asks_for_and_finds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exported_models.torch.cuda, "device_count", lambda: 4)
    for asked, kind, processes in ((8.0, "hf", 4), (2.0, "hf", 2), (0.5, "hf", 1), (8.0, "lab", 1)):
        record = StudyUnit("finetune", "finetune it", {}, gpus=asked).record()
        assert _processes(record, kind) == processes
    monkeypatch.setattr(exported_models.torch.cuda, "device_count", lambda: 0)
    assert _processes(StudyUnit("finetune", "finetune it", {}, gpus=8.0).record(), "hf") == 1
