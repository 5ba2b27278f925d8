"""Keys contain everything that decides a result, and nothing else."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from augury.study import make_plan, read_study
from augury.study.units import unit as units
from augury.study.units.unit import Cost, StudyUnit, digest, ranks
from tests.study.helpers import table_study

UNIT = StudyUnit("fit", "fit a law", {"law": "power", "level": 0.9}, ("a", "b"))


def test_a_key_is_the_same_tomorrow() -> None:
    """Results of earlier versions are still found: how keys are made is a file format."""
    text = rb'{"a":"\u00fc","b":[1,2.5,null]}'
    assert digest({"b": [1, 2.5, None], "a": "ü"}) == hashlib.sha256(text).hexdigest()[:20]
    assert digest({"a": "ü", "b": [1, 2.5, None]}) == digest({"b": [1, 2.5, None], "a": "ü"})


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "forecast"},
        {"parameters": {"law": "power", "level": 0.8}},
        {"parameters": {"law": "power"}},
        {"needs": ("a",)},
        {"needs": ("b", "a")},
    ],
)
def test_what_decides_the_result_changes_the_key(change: dict) -> None:  # type: ignore[type-arg]
    assert replace(UNIT, **change).key != UNIT.key


@pytest.mark.parametrize(
    "change",
    [
        {"label": "another name"},
        {"after": ("c",)},
        {"places": {"table": "/elsewhere.csv"}},
        {"cost": Cost(1, 2, 3)},
        {"cpus": 4.0, "gpus": 1.0},
    ],
)
def test_what_does_not_leaves_it(change: dict) -> None:  # type: ignore[type-arg]
    assert replace(UNIT, **change).key == UNIT.key


def test_another_version_of_the_code_is_another_result(monkeypatch: pytest.MonkeyPatch) -> None:
    before = UNIT.key
    monkeypatch.setattr(units, "CODE", {**units.CODE, "fit": units.CODE["fit"] + 1})
    assert StudyUnit("fit", "fit a law", {"law": "power", "level": 0.9}, ("a", "b")).key != before


def test_a_study_that_is_moved_keeps_its_keys(tmp_path: Path) -> None:
    plans = []
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        plans.append(make_plan(*read_study(table_study(tmp_path / name))))
    assert list(plans[0].units) == list(plans[1].units)
    assert plans[0].digest == plans[1].digest


def test_the_longest_way_to_the_end_comes_first() -> None:
    def unit(name: str, seconds: float, *needs: StudyUnit) -> StudyUnit:
        keys = tuple(n.key for n in needs)
        return StudyUnit("fit", name, {"name": name}, keys, cost=Cost(seconds=seconds))

    a, b = unit("a", 1), unit("b", 5)
    c = unit("c", 10, a)
    d = unit("d", 2, b, c)
    found = ranks({u.key: u for u in (a, b, c, d)})
    assert [found[u.key] for u in (a, b, c, d)] == [13, 7, 12, 2]


LAB = """
name = "lab"
[lab]
widths = [4, 6, 8, 10]
seeds = {seeds}
[[tasks]]
name = "rule"
[forecast]
laws = {laws}
[held_out]
widths = [10]
"""


def _new(folder: Path, **change: object) -> list[str]:
    """Kinds of units that an edit of a ladder adds, once each."""
    plans = []
    for settings in ({"seeds": 1, "laws": ["pass-rate"]}, {"seeds": 1, "laws": ["pass-rate"]}
                     | change):  # fmt: skip
        (folder / "study.toml").write_text(LAB.format(**settings))
        plans.append(make_plan(*read_study(folder)))
    before, after = plans
    return [unit.label for key, unit in after.units.items() if key not in before.units]


def test_another_law_trains_and_measures_nothing(tmp_path: Path) -> None:
    assert _new(tmp_path, laws=["pass-rate", "curved-pass-rate:x0=8000"]) == [
        "fit curved-pass-rate:x0=8000 to rule",
        "forecast rule",
        "score the forecast of rule",
    ]


def test_another_seed_trains_that_seed_alone(tmp_path: Path) -> None:
    new = _new(tmp_path, seeds=2)
    assert [label for label in new if label.startswith("train")] == [
        f"train lab-w{width}-seed-1" for width in (4, 6, 8, 10)
    ]
    assert [label.split()[0] for label in new if not label.startswith("train")] == [
        *["measure"] * 3, "fit", "forecast", "measure", "score"
    ]  # fmt: skip


def test_what_is_held_out_waits_for_the_forecast_and_depends_on_nothing_of_it(
    tmp_path: Path,
) -> None:
    (tmp_path / "study.toml").write_text(LAB.format(seeds=1, laws=["pass-rate"]))
    plan = make_plan(*read_study(tmp_path))
    (forecast,) = plan.of("forecast")
    for key in plan.truth:
        unit = plan.units[key]
        assert forecast.key in unit.after
        (train,) = unit.needs
        assert forecast.key in plan.units[train].after
        assert forecast.key not in unit.needs
