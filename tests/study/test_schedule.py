"""What is next, what is retried, and what can no longer be done."""

from __future__ import annotations

from augury.study.run.schedule import Schedule
from augury.study.units.unit import Cost, StudyUnit


def _chain() -> dict[str, StudyUnit]:
    """a <- b <- d, a <- c; e alone; c only after d."""
    a = StudyUnit("train", "a", {"n": 1})
    b = StudyUnit("measure", "b", {"n": 2}, (a.key,))
    d = StudyUnit("forecast", "d", {"n": 4}, (b.key,))
    c = StudyUnit("measure", "c", {"n": 3}, (a.key,), (d.key,))
    e = StudyUnit("train", "e", {"n": 5})
    return {u.key: u for u in (a, b, d, c, e)}


def _labels(schedule: Schedule) -> list[str]:
    found = []
    while unit := schedule.next():
        found.append(unit.label)
    return sorted(found)


def test_nothing_begins_before_what_it_waits_for() -> None:
    units = _chain()
    by = {u.label: u.key for u in units.values()}
    schedule = Schedule(units, (), 1)
    assert _labels(schedule) == ["a", "e"]
    schedule.finish(by["a"])
    assert _labels(schedule) == ["b"]  # c waits for the forecast, although it does not read it
    schedule.finish(by["b"])
    assert _labels(schedule) == ["d"]
    schedule.finish(by["d"])
    assert _labels(schedule) == ["c"]
    schedule.finish(by["c"])
    assert not schedule.finished
    schedule.finish(by["e"])
    assert schedule.finished


def test_what_is_done_is_not_done_again_though_it_would_wait() -> None:
    """c was measured; the forecast it waits for is new, and c stays unchanged."""
    units = _chain()
    by = {u.label: u.key for u in units.values()}
    schedule = Schedule(units, {by["a"], by["b"], by["c"], by["e"]}, 1)
    assert _labels(schedule) == ["d"]
    schedule.finish(by["d"])
    assert _labels(schedule) == []
    assert schedule.finished


def test_a_failure_is_tried_again_then_blocks_what_waits_for_it() -> None:
    units = _chain()
    by = {u.label: u.key for u in units.values()}
    schedule = Schedule(units, (), 1)
    assert _labels(schedule) == ["a", "e"]
    assert schedule.fail(by["a"], "once")
    assert _labels(schedule) == ["a"]
    assert not schedule.fail(by["a"], "twice")
    assert schedule.failed == {by["a"]: "twice"}
    assert {units[k].label for k in schedule.blocked} == {"b", "c", "d"}
    schedule.finish(by["e"])
    assert schedule.finished


def test_units_go_where_their_program_is_compiled() -> None:
    def unit(name: str, seconds: float, program: str) -> StudyUnit:
        return StudyUnit("train", name, {"name": name}, cost=Cost(seconds=seconds), program=program)

    units = [unit("a", 9, "wide"), unit("b", 8, "wide"), unit("c", 2, "thin"), unit("d", 1, "")]
    schedule = Schedule({u.key: u for u in units}, (), 0)
    labels = []
    # Nothing is compiled: the longest first. Then another process avoids what is being compiled.
    for here, begun in (((), ()), ((), {"wide"}), ({"thin"}, {"thin", "wide"}), ((), {"wide"})):
        found = schedule.next(here, begun)
        assert found is not None
        labels.append(found.label)
    assert labels == ["a", "c", "d", "b"]
    assert schedule.next({"wide"}, {"wide"}) is None
