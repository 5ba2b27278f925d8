"""pass_until: when it stops, which method it uses, and that nothing is lost or counted twice."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import time
import tracemalloc
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from augury import read_table
from augury.errors import DataError, UsageError
from augury.evaluate import (
    Checker,
    Instance,
    PassCounts,
    Progress,
    Task,
    pass_until,
    wave_draws,
    waves,
)
from augury.evaluate.journal import Journal
from augury.evaluate.pass_counts import Method
from tests.evaluate.table_model import LETTERS, TableModel

CAP = 20_000


def words(n: int = 12, **settings: Any) -> Task:
    """Instances whose answer is a word of three letters, some likely, some very rare."""
    rng, table = np.random.default_rng(0), np.sqrt(TableModel().table[:-1, :-1])
    made = []
    for i in range(n):
        letters = [int(rng.integers(len(table)))]
        while len(letters) < 4:
            after = table[letters[-1]] / table[letters[-1]].sum()
            letters.append(int(rng.choice(len(table), p=after)))
        word = "".join(LETTERS[x] for x in letters)
        made.append(Instance(str(i), word[0], (word[1:],)))
    return Task("words", tuple(made), 0.0, **{"checker": "exact", "length": 5, **settings})


def same(a: PassCounts, b: PassCounts) -> bool:
    return (a.passes == b.passes).all() and (a.samples == b.samples).all() and a.r == b.r


@pytest.mark.parametrize("method", ["tree", "independent"])
def test_an_instance_stops_at_r_passes_or_the_cap(method: Method) -> None:
    found = pass_until(TableModel(), words(), r=3, max_samples=CAP, method=method)
    done = found.passes == 3
    assert done.any()
    assert (~done).any()
    assert (found.samples[~done] == CAP).all()
    assert (found.samples[done] <= CAP).all()
    assert (found.passes <= 3).all()
    assert set(found.examples) == {str(i) for i in np.flatnonzero(found.passes)}
    for i, text in found.examples.items():
        assert text == words().instances[int(i)].answers[0]


def test_the_way_is_chosen_and_named() -> None:
    task = words()
    assert pass_until(TableModel(), task, max_samples=50).method == "tree"
    hidden = pass_until(TableModel(shows=False), task, max_samples=50)
    assert hidden.method == "independent"
    assert hidden.notes == ("no tree: this model shows no probabilities of tokens",)
    long = pass_until(TableModel(), words(length=40), max_samples=50)
    assert (long.method, len(long.notes)) == ("independent", 1)
    assert "method 'tree' reaches rare passes much faster" in long.notes[0]
    long = pass_until(TableModel(), words(length=40, checker="regex"), max_samples=50)
    assert long.method == "independent"
    assert long.notes == ("texts of 40 tokens share few prefixes: no tree",)
    with pytest.raises(UsageError, match="shows no probabilities"):
        pass_until(TableModel(shows=False), task, method="tree")
    with pytest.raises(UsageError, match="method 'exact' needs a check that accepts listed"):
        pass_until(TableModel(), task, method="exact")


@pytest.mark.parametrize("temperature", [0.5, 2.0])
@pytest.mark.parametrize(
    ("method", "own"), [("tree", False), ("tree", True), ("independent", False)]
)
def test_rates_are_those_of_the_table(method: Method, own: bool, temperature: float) -> None:
    """With our check, which prunes hopeless branches, and with a user's check."""
    model, n = TableModel(sharpness=1.0), 4000
    task = words(30)
    found = pass_until(
        model,
        task,
        budget=n * 30,
        max_samples=n,
        method=method,
        temperature=temperature,
        check=Checker("own", lambda i, t: t == i.answers[0]) if own else None,
    )
    table = model.table ** (1 / temperature)
    table /= table.sum(1, keepdims=True)
    for i, instance in enumerate(task.instances):
        letters = [LETTERS.index(c) for c in instance.prompt + instance.answers[0] + "."]
        p = np.prod([table[a, b] for a, b in pairwise(letters)])
        assert abs(found.passes[i] - n * p) < 4.5 * np.sqrt(n * p) + 1, instance


def test_a_stop_cuts_what_is_checked() -> None:
    task = words(stop=("a",), length=8)
    for method in ("tree", "independent"):
        texts: list[str] = []
        check = Checker("seen", lambda i, t, seen=texts: bool(seen.append(t)))  # type: ignore[misc]
        pass_until(TableModel(), task, max_samples=200, method=method, check=check)  # type: ignore[arg-type]
        assert texts
        assert not any("a" in text or "." in text for text in texts)


def test_a_text_is_checked_once_however_often_it_comes() -> None:
    asked: list[tuple[str, str]] = []

    def judge(instance: Instance, text: str) -> bool:
        asked.append((instance.id, text))
        return text == instance.answers[0]

    found = pass_until(
        TableModel(sharpness=3.0), words(), r=5, max_samples=CAP, check=Checker("own", judge)
    )
    assert len(asked) == len(set(asked)) < found.samples.sum() / 4


def test_other_rules_of_stopping() -> None:
    sure = pass_until(TableModel(), words(3), relative_error=0.25, max_samples=10**6)
    assert sure.r == 18
    spent = pass_until(TableModel(), words(), budget=400_000, max_samples=10**6)
    assert spent.samples.sum() == 400_000
    never, often = spent.passes == 0, spent.passes == spent.passes.max()
    assert never.any()
    assert spent.samples[never].min() > spent.samples[often].max()
    assert spent.rates == pytest.approx(spent.passes / spent.samples)
    for wrong, line in (
        ({"r": 0}, "r must be at least 1, not 0"),
        ({"max_samples": 0}, "max_samples must be at least 1"),
        ({"r": 2, "relative_error": 0.1}, "choose one of r and relative_error"),
        ({"relative_error": 1.5}, "between 0 and 1, not 1.5"),
        ({"temperature": 0.0}, "temperature must be positive"),
    ):
        with pytest.raises(UsageError, match=line):
            pass_until(TableModel(), words(), **wrong)  # type: ignore[arg-type]


@pytest.mark.slow
def test_memory_does_not_grow_with_the_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flat table: almost all samples differ, and no wave is larger than its bound."""
    monkeypatch.setitem(waves.WAVE_TOKENS, "tree", 2**15)
    monkeypatch.setattr(wave_draws, "VERDICTS", 2500)
    task = Task("flat", (Instance("0", "a", ("zzzzzz",)),), 0.0, checker="exact", length=6)
    peaks = []
    for samples in (50_000, 125_000):
        tracemalloc.start()
        pass_until(TableModel(sharpness=0.1), task, max_samples=samples, check=NOTHING)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]
    assert peaks[1] < 2**15 * 100, "bytes a token of the bound"


NOTHING = Checker("nothing", lambda i, t: False)


def test_what_a_checker_or_model_does_wrong_is_named() -> None:
    def broken(instance: Instance, text: str) -> bool:
        raise ValueError("no such thing")

    with pytest.raises(DataError, match=r"'broken' raised ValueError: no such thing on instance"):
        pass_until(TableModel(), words(), check=Checker("broken", broken))
    with pytest.raises(DataError, match="returned neither True nor False"):
        pass_until(TableModel(), words(), check=Checker("odd", lambda i, t: 1))  # type: ignore[arg-type,return-value]

    class Lazy(TableModel):
        def sample(self, requests: Any) -> Any:
            return [texts[:-1] for texts in super().sample(requests)]

    with pytest.raises(DataError, match=r"another number of samples .*got 340.*expected 341"):
        pass_until(Lazy(), words(), method="independent")


# --- the journal -----------------------------------------------------------------------------


class StoppedError(Exception):
    pass


def after(waves: int) -> Callable[[Progress], None]:
    left = [waves]

    def stop(now: Progress) -> None:
        left[0] -= 1
        if not left[0]:
            raise StoppedError

    return stop


@pytest.mark.parametrize("method", ["tree", "independent"])
def test_a_run_that_was_stopped_ends_with_the_same_counts(tmp_path: Path, method: Method) -> None:
    task, model = words(), TableModel()
    whole = pass_until(model, task, max_samples=CAP, method=method)
    for stopped in (1, 2):
        study = tmp_path / str(stopped)
        with pytest.raises(StoppedError):
            pass_until(
                model, task, max_samples=CAP, method=method, study=study, progress=after(stopped)
            )
        again = pass_until(model, task, max_samples=CAP, method=method, study=study)
        assert same(again, whole)
        assert again.examples == whole.examples
        third = pass_until(
            model, task, max_samples=CAP, method=method, study=study, progress=after(1)
        )
        assert same(third, whole), "nothing is left to draw"
        rows = read_table(study)
        assert rows["samples"].sum() == whole.samples.sum()
        assert rows.filter(rows["instance"].is_null())["value"][0] == pytest.approx(whole.mean)


def test_other_settings_are_another_measurement(tmp_path: Path) -> None:
    task, model = words(), TableModel()
    for settings in ({}, {"temperature": 0.5}, {"seed": 1}, {"r": 3}):
        pass_until(model, task, max_samples=200, study=tmp_path, **settings)  # type: ignore[arg-type]
    other = Task("words", (Instance("0", "b", ("bb",)), *task.instances[1:]), 0.0, "exact", 5)
    pass_until(model, other, max_samples=200, study=tmp_path)
    assert len(list(tmp_path.glob("measurements/*/journal.jsonl"))) == 5


def journal_of(study: Path) -> Path:
    (path,) = study.glob("measurements/*/journal.jsonl")
    return path


def test_torn_and_damaged_records(tmp_path: Path) -> None:
    task, model = words(), TableModel()
    whole = pass_until(model, task, max_samples=CAP, study=tmp_path)
    path = journal_of(tmp_path)
    data = path.read_bytes()
    for cut in (1, 2, 30, len(data.splitlines(keepends=True)[-1])):
        path.write_bytes(data[:-cut])
        again = pass_until(model, task, max_samples=CAP, study=tmp_path)
        assert same(again, whole)
        torn = cut != len(data.splitlines(keepends=True)[-1])
        assert bool(again.notes) is torn, again.notes
        assert path.read_bytes() == data
    damaged = bytearray(data)
    damaged[20] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(DataError, match=r"journal.jsonl, row 1: does not match its checksum"):
        pass_until(model, task, max_samples=CAP, study=tmp_path)
    assert path.read_bytes() == damaged, "a damaged file is left as it is"


def test_two_processes_at_one_measurement_refuse(tmp_path: Path) -> None:
    task, model = words(), TableModel()
    pass_until(model, task, max_samples=200, study=tmp_path)
    with (
        Journal(journal_of(tmp_path)),
        pytest.raises(UsageError, match="is in use: another process is running this measurement"),
    ):
        pass_until(model, task, max_samples=200, study=tmp_path)
    pass_until(model, task, max_samples=200, study=tmp_path)


# Children of a clean server that has imported everything and started no thread cost 20 ms. A run
# imports scipy.stats when it needs it: a child that does so itself is killed before it is done.
CHILDREN = multiprocessing.get_context("forkserver")
CHILDREN.set_forkserver_preload(["tests.evaluate.test_passuntil", "scipy.stats"])


def run_in_full_disk(study: Path, size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    with pytest.raises(DataError, match="be written to: File too large; nothing is lost"):
        pass_until(TableModel(), words(), max_samples=CAP, study=study)
    os._exit(3)


def test_a_full_disk_is_reported_and_nothing_is_lost(tmp_path: Path) -> None:
    task, model = words(), TableModel()
    whole = pass_until(model, task, max_samples=CAP, study=tmp_path / "whole")
    data = journal_of(tmp_path / "whole").read_bytes()
    child = CHILDREN.Process(target=run_in_full_disk, args=(tmp_path / "full", len(data) - 20))
    child.start()
    child.join()
    assert child.exitcode == 3
    left = journal_of(tmp_path / "full").read_bytes()
    assert left
    assert left == data[: len(left)]
    assert same(pass_until(model, task, max_samples=CAP, study=tmp_path / "full"), whole)


def test_a_disk_that_is_full_at_the_end_costs_no_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise pl.exceptions.ComputeError("no space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(pl.DataFrame, "write_parquet", full)
        with pytest.raises(DataError, match=r"rows.parquet.* could not be written: no space left"):
            pass_until(TableModel(), words(), max_samples=CAP, study=tmp_path)
    left = journal_of(tmp_path).read_bytes()
    pass_until(TableModel(), words(), max_samples=CAP, study=tmp_path)
    assert journal_of(tmp_path).read_bytes() == left


# Samples of a run that is killed: a tree counts more in the same time.
MOST: dict[Method, int] = {"tree": 30_000, "independent": 3_000}


def run(study: Path, method: Method, dies_writing: int) -> PassCounts:
    """A run that, if requested, kills itself in the middle of its n-th write to the journal."""
    if dies_writing:
        write, left = os.write, [dies_writing]

        def half(file: int, line: Any) -> int:
            left[0] -= 1
            if left[0]:
                return write(file, line)
            write(file, line[: len(line) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
            return 0

        os.write = half
    return pass_until(TableModel(), words(8), max_samples=MOST[method], method=method, study=study)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["tree", "independent"])
def test_killed_at_a_hundred_random_moments(tmp_path: Path, method: Method) -> None:
    """SIGKILL at random times, every fourth time in the middle of a journal write.

    A fast machine finishes a study before it can be killed in a write, so the fourth attempt finds
    nothing to do. Therefore every fourth study dies in its first write instead.
    """
    rng = np.random.default_rng(5)
    whole = run(tmp_path / "whole", method, 0)
    data = journal_of(tmp_path / "whole").read_bytes()
    start = time.perf_counter()
    pass_until(TableModel(), words(8), max_samples=MOST[method], method=method)
    takes = time.perf_counter() - start + 0.05  # plus the start
    kills = torn = studies = attempt = 0
    while kills < 100:
        study = tmp_path / str(studies)
        studies += 1
        exit_code = None
        while exit_code != 0:
            attempt += 1
            fresh = not study.exists()
            middle = attempt % 4 == 0 or (fresh and studies % 4 == 0)
            child = CHILDREN.Process(target=run, args=(study, method, int(middle)))
            child.start()
            if not middle:
                child.join(takes * rng.random())
                child.kill()
            child.join()
            exit_code = child.exitcode
            assert exit_code in (0, -signal.SIGKILL)
            kills += exit_code != 0
            torn += middle and exit_code != 0
        assert journal_of(study).read_bytes() == data
        assert same(run(study, method, 0), whole)
    assert torn >= 3
