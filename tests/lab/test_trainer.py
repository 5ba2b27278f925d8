"""Training: deterministic, resumed bit for bit, and careful with files on disk."""

from __future__ import annotations

import json
import math
import re
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from augury.errors import DataError, UsageError
from augury.lab import (
    ModelConfig,
    RunConfig,
    TrainingError,
    load_checkpoint,
    train,
    train_ladder,
    trainer,
)
from augury.lab.checkpoint import RESTART
from augury.lab.trainer import course_of, learning_rate
from augury.runtime.compiling import jit

RUN = RunConfig(ModelConfig(4), steps=150, checkpoints=(50, 100))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return train(RUN, tmp_path_factory.mktemp("run"))


def same(one: Path, other: Path) -> bool:
    a, b = load_checkpoint(one).weights, load_checkpoint(other).weights
    return a.keys() == b.keys() and all((a[n] == b[n]).all() for n in a)


@pytest.mark.slow
def test_checkpoints_say_what_they_are(trained: list[Path]) -> None:
    assert [p.name for p in trained] == ["step-50", "step-100", "step-150"]
    saved = [load_checkpoint(p) for p in trained]
    assert [s.tokens for s in saved] == [50 * 64 * 32, 100 * 64 * 32, 150 * 64 * 32]
    assert saved[2].flops == 6 * RUN.model.params * 150 * 64 * 32
    assert saved[0].loss > saved[2].loss > 0
    assert saved[0].loss < math.log(57)  # better than guessing over the alphabet
    assert (trained[0].stat().st_mode & 0o777) == 0o755


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights(trained: list[Path], tmp_path: Path) -> None:
    again = train(RUN, tmp_path / "again")
    assert same(again[-1], trained[-1])
    other = train(RunConfig(RUN.model, steps=150, seed=1), tmp_path / "other")
    assert not same(other[-1], trained[-1])


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_to_the_same_weights(
    trained: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "RESTART_SECONDS", 0.0)

    class KilledError(Exception):
        pass

    def kill(_: str, step: int, __: int) -> None:
        if step == 100:
            raise KilledError

    with pytest.raises(KilledError):
        train(RUN, tmp_path, kill)
    assert (tmp_path / RESTART).exists()
    seen: list[int] = []
    resumed = train(RUN, tmp_path, lambda _, step, __: seen.append(step))
    assert seen == [150]  # no training is repeated
    assert [same(a, b) for a, b in zip(resumed, trained, strict=True)] == [True] * 3
    assert not (tmp_path / RESTART).exists()


@pytest.mark.parametrize("steps", [50, 1000])
def test_the_learning_rate_is_that_of_optax_bit_for_bit(steps: int) -> None:
    """The steps are inputs here, not constants of the program: one program serves all."""
    published = optax.warmup_cosine_decay_schedule(0.0, 0.02, steps // 20, steps, 0.002)
    at = jnp.arange(steps)
    expected = jit(lambda at: jax.lax.map(published, at))(at)
    found = jit(lambda course, at: jax.lax.map(partial(learning_rate, course, 0.02), at))
    np.testing.assert_array_equal(found(course_of(steps), at), expected)


def test_a_complete_run_is_not_trained_again(trained: list[Path]) -> None:
    before = trained[-1].joinpath("model.safetensors").stat().st_mtime_ns
    assert train(RUN, trained[0].parent) == trained
    assert trained[-1].joinpath("model.safetensors").stat().st_mtime_ns == before


def test_a_folder_of_another_run_is_refused(trained: list[Path]) -> None:
    other = RunConfig(ModelConfig(4), steps=150, seed=3)
    with pytest.raises(DataError, match=r"step-150: is of another run: it differs in seed"):
        train(other, trained[0].parent)


def damaged(folder: Path, trained: list[Path], change: str) -> Path:
    """A copy of a checkpoint with one thing wrong."""
    folder.mkdir()
    for path in trained[-1].iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    weights, config = folder / "model.safetensors", folder / "config.json"
    if change == "truncated":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif change == "no weights":
        weights.unlink()
    elif change == "not JSON":
        config.write_text("{")
    elif change == "no folder":
        config.unlink()
    else:
        record = json.loads(config.read_text())
        if change == "format":
            record["format"] = 1
        elif change == "width":
            record["run"]["model"]["width"] = 6
        elif change == "no run":
            del record["run"]
        config.write_text(json.dumps(record))
    return folder


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ("truncated", "model.safetensors: is damaged: .*; expected a complete safetensors file"),
        ("no weights", "model.safetensors: there is no such file; expected the weights"),
        ("not JSON", "config.json: is not JSON: .*; expected JSON, as training wrote it"),
        ("no folder", "bad: holds no checkpoint; expected a folder with config.json"),
        ("format", r"config.json: has another format \(got 1\); expected format 2"),
        ("width", "not of the shape .*'0.attention_norm.scale' is .4,.; expected .* width 6"),
        ("no run", "config.json: does not describe a run of the lab: missing 'run'"),
    ],
)
def test_a_damaged_checkpoint_is_named(
    trained: list[Path], tmp_path: Path, change: str, line: str
) -> None:
    with pytest.raises(DataError) as caught:
        load_checkpoint(damaged(tmp_path / "bad", trained, change))
    assert re.search(line, str(caught.value)), str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"steps": 70}, "steps must be a positive multiple of 50, not 70"),
        ({"checkpoints": (30,)}, "checkpoints must be multiples of 50 up to 1000, not 30"),
        ({"checkpoints": (2000,)}, "checkpoints must be multiples of 50 up to 1000, not 2000"),
        ({"seed": -1}, "seed must not be negative, but is -1"),
        ({"shares": {"rule": 0.7, "facts": 0.5}}, "shares must sum to at most 1, not 1.2"),
        ({"shares": {"rule": -0.1}}, "the share of 'rule' must be from 0 to 1, not -0.1"),
        ({"shares": {"chess": 0.1}}, "the lab has no task 'chess'"),
        ({"family": "../up"}, "family names a folder, and '../up' cannot"),
    ],
)
def test_a_run_that_cannot_be(values: dict[str, object], line: str) -> None:
    with pytest.raises(UsageError, match=re.escape(line)):
        RunConfig(ModelConfig(4), **values)


@pytest.mark.slow
def test_a_ladder_trains_in_processes_and_outlives_a_failing_run(tmp_path: Path) -> None:
    runs = [RunConfig(ModelConfig(4), steps=100, seed=s) for s in (0, 1)]
    broken = tmp_path / runs[1].run / "step-100"
    broken.mkdir(parents=True)
    with pytest.raises(TrainingError, match=r"^1 of 2 runs failed, .*holds no checkpoint") as e:
        train_ladder(runs, tmp_path, workers=2)
    assert (tmp_path / runs[1].run / "failure.txt").exists()
    assert list(e.value.checkpoints) == [runs[0].run]
    broken.rmdir()
    events: list[tuple[str, int, int]] = []
    done = train_ladder(runs, tmp_path, workers=1, progress=lambda *event: events.append(event))
    assert list(done) == [run.run for run in runs]
    assert not (tmp_path / runs[1].run / "failure.txt").exists()
    assert (runs[0].run, 100, 100) in events  # kept and counted
    # Another worker that has done other runs gives the same weights.
    again = train_ladder(runs[::-1], tmp_path / "again", workers=1)
    assert same(again[runs[1].run][-1], done[runs[1].run][-1])


def test_a_ladder_needs_runs_of_different_names(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs runs and workers, not 0"):
        train_ladder([], tmp_path)
    with pytest.raises(UsageError, match=r"runs of the same name: lab-w4-seed-0"):
        train_ladder([RUN, RUN], tmp_path)
