"""From a study file to a plan: every unit, after all its dependencies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from augury.errors import DataError, UsageError
from augury.study.plan import costs
from augury.study.plan.content import model_digest
from augury.study.plan.models import (
    StudyModel,
    complete_target,
    lab_models,
    named_models,
    split_table,
)
from augury.study.plan.study_file import StudyFile
from augury.study.plan.study_plan import Plan
from augury.study.plan.table_checks import check_laws, tasks_in
from augury.study.plan.value_types import Question
from augury.study.results.store import file_digest
from augury.study.units.finetuning import STOPPING
from augury.study.units.unit import StudyUnit

# Draws of a fit that is shown: smooth bands.
FIT_DRAWS = 1000
# Fields of a task from a file that do not affect its measurement.
UNMEASURED = {"file", "name", "question"}


def make_plan(study: StudyFile, folder: str | Path) -> Plan:
    """Plan a study.

    Args:
        study: from `read_study`.
        folder: of the study; paths in the file are relative to it.

    Raises:
        UsageError, DataError: a table cannot be read, or nothing is left to learn from.
    """
    return _Planner(study, Path(folder)).plan()


class _Planner:
    def __init__(self, study: StudyFile, folder: Path) -> None:
        self.study, self.folder = study, folder
        self.units: dict[str, StudyUnit] = {}
        self.truth: set[str] = set()
        # Rows that may be used, and those held out: keys of units by task; "" is any task.
        self.seen: dict[str, list[str]] = {}
        self.held: dict[str, list[str]] = {}
        self.tuned: dict[str, list[str]] = {}
        # Points to forecast.
        self.points: dict[tuple[tuple[str, float], ...], dict[str, float]] = {}

    def plan(self) -> Plan:
        places = [*lab_models(self.study), *named_models(self.study, self.folder)]
        first = [place for place in places if not place.held_out]
        later = [place for place in places if place.held_out]
        for place in first:
            self._plan_measuring(place, after=())
        held_tables = self._plan_tables()
        self._plan_finetuning(first)
        for place in later:
            if self._can_be_forecast(place):
                self._add_place(place.about)
        target = complete_target(self.study)
        if target:
            self._add_place(target)
        forecasts = self._plan_forecasts()
        after = tuple(unit.key for unit in forecasts)
        for place in later:
            self._plan_measuring(place, after)
        for path, asked in held_tables:
            unit = self._add_table(path, {**asked, "side": "held"}, after)
            self.held.setdefault("", []).append(unit.key)
            self.truth.add(unit.key)
        self._plan_scores(forecasts)
        return Plan(self.study, self.units, frozenset(self.truth), bool(held_tables))

    def _add(self, unit: StudyUnit) -> StudyUnit:
        self.units.setdefault(unit.key, unit)
        return unit

    def _plan_finetuning(self, places: Sequence[StudyModel]) -> None:
        """Finetune every visible model on every amount, for every task.

        Without a given learning rate, the model in the middle searches for one first.
        """
        how = self.study.finetune
        if how is None:
            return
        if how.checkpoints:
            places = [p for p in places if p.run is None or p.step in how.checkpoints]
        middle = sorted(places, key=lambda p: (p.about.get("params") or 0, p.step))
        # An unset option is not part of a key, so that a unit of an earlier version is found again.
        unsaid = {name for name in STOPPING if getattr(how, name) is None}
        for task in self.study.finetuned if middle else ():
            common: dict[str, Any] = {
                "task": {"name": task.called, "instances": how.instances},
                "finetune": how.model_dump(exclude={"amounts", "checkpoints", "gpus", *unsaid}),
                "width": self._middle_width(places) if how.learning_rate else None,
                "searched": False,
            }
            found: tuple[str, ...] = ()
            if how.learning_rate is None:
                at = middle[(len(middle) - 1) // 2]
                ends = sorted({min(how.amounts), max(how.amounts)})
                found = (
                    self._add_finetuning(at, task.called, {**common, "amounts": ends}, ()).key,
                )
                common["searched"] = True
            for place in places:
                for amount in sorted(how.amounts):
                    self._add_finetuning(place, task.called, {**common, "amounts": [amount]}, found)

    def _add_finetuning(
        self, place: StudyModel, task: str, asked: dict[str, Any], found: tuple[str, ...]
    ) -> StudyUnit:
        how = self.study.finetune
        assert how is not None
        model, needs, places = self._describe_model(place, ())
        amounts = ", ".join(map(str, asked["amounts"]))
        search = (
            (" (searches for a learning rate)") if not found and how.learning_rate is None else ""
        )
        unit = self._add(
            StudyUnit(
                "finetune",
                f"finetune {place.name} on {amounts} of {task}{search}",
                {**asked, "model": model},
                (*needs, *found),
                (),
                places,
                costs.finetuning_cost(place, asked["amounts"], how, bool(search)),
                gpus=how.gpus,
                program=_program(place),
            )
        )
        if unit.key not in self.tuned.setdefault(task, []):
            self.tuned[task].append(unit.key)
        return unit

    @staticmethod
    def _middle_width(places: Sequence[StudyModel]) -> int | None:
        """Return the middle one of the lab's widths, at which a learning rate is given."""
        widths = sorted({p.about["width"] for p in places if "width" in p.about})
        return widths[(len(widths) - 1) // 2] if widths else None

    def _plan_measuring(self, place: StudyModel, after: tuple[str, ...]) -> None:
        """Train a model if it is the lab's, and measure it on every task."""
        study = self.study
        model, needs, known = self._describe_model(place, after)
        for task in study.tasks:
            named = task.called if task.is_lab else task.name
            asked: dict[str, Any] = {"name": named, "instances": task.instances}
            places = dict(known)
            count = task.instances
            if task.file is not None:
                path = self.folder / task.file
                asked = {"content": file_digest(path), **task.model_dump(exclude=UNMEASURED)}
                asked["checker"] = task.checker or "exact"
                if task.extract is None:
                    del asked["extract"]
                places["task"] = str(path)
                count = path.read_text(encoding="utf-8").count("\n") + 1
            unit = self._add(
                StudyUnit(
                    "measure",
                    f"measure {place.name} on {task.called}",
                    {
                        "model": model,
                        "task": asked,
                        "measure": study.measure.deciding,
                    },
                    needs,
                    after,
                    places,
                    costs.measuring_cost(place, task, study.measure, count),
                    gpus=study.measure.gpus,
                    program=_program(place),
                )
            )
            if place.held_out:
                self.truth.add(unit.key)
            (self.held if place.held_out else self.seen).setdefault(task.called, []).append(
                unit.key
            )

    def _describe_model(
        self, place: StudyModel, after: tuple[str, ...]
    ) -> tuple[dict[str, Any], tuple[str, ...], dict[str, str]]:
        """Return a unit's settings for its model, the units it needs, and the model's path."""
        if place.run is None:
            assert place.path is not None
            told = {"content": model_digest(place.path), "about": place.given}
            if place.asking:  # included only if given: other measurements keep their keys
                told["asking"] = dict(place.asking)
            return told, (), {"model": place.path}
        train = self._add(
            StudyUnit(
                "train",
                f"train {place.run.run}",
                {"run": place.run.to_json()},
                after=after,
                cost=costs.training_cost(place.run),
                program=_program(place),
            )
        )
        return {"step": place.step}, (train.key,), {}

    def _plan_tables(self) -> list[tuple[str, dict[str, Any]]]:
        """Plan the readable tables, and return those with held-out rows."""
        where = self.study.held_out.where if self.study.held_out else None
        held = []
        for table in self.study.tables:
            path = self.folder / table.path
            asked = {
                "content": file_digest(path),
                "columns": table.columns,
                "where": table.where,
                "held_out": where,
            }
            rows, out, places = (1, 0, []) if where is None else split_table(path, asked)
            if out:
                held.append((table.path, asked))
            else:
                asked["held_out"] = None  # so that a new expression changes nothing here
            if rows:
                unit = self._add_table(table.path, {**asked, "side": "seen"})
                self.seen.setdefault("", []).append(unit.key)
            for about in places:
                self._add_place(about)
        return held

    def _add_table(
        self, path: str, asked: Mapping[str, Any], after: tuple[str, ...] = ()
    ) -> StudyUnit:
        return self._add(
            StudyUnit(
                "table",
                f"read {path}" + (", held out" if asked["side"] == "held" else ""),
                asked,
                after=after,
                places={"table": str(self.folder / path)},
                cost=costs.TABLE,
            )
        )

    def _add_place(self, about: Mapping[str, Any]) -> None:
        """Add a point to forecast pass rates at, once, without its model's prompting."""
        if not (self._asks("pass-rate") or self._asks("loss")):
            return  # emergence is a single point, whatever the models' sizes
        named = {n: about[n] for n in ("params", "tokens", "flops") if about.get(n) is not None}
        if {"params", "tokens"} <= named.keys():
            named.pop("flops", None)
        if not named:
            raise UsageError(
                f"{about.get('model', 'a held-out model')}: give its params and tokens in "
                "[[checkpoints]], so that it can be forecast"
            )
        self.points.setdefault(tuple(named.items()), named)

    def _can_be_forecast(self, place: StudyModel) -> bool:
        """Return whether laws of size apply: for a lab model only at its last step."""
        return place.run is None or place.step == place.run.steps or self._takes_tokens

    def _asks(self, question: Question) -> bool:
        """Return whether this is asked about any task."""
        return any(self.study.question_of(task) == question for task in self._task_names())

    def _task_names(self) -> list[str | None]:
        """Return the tasks to forecast; None is the loss, or an unnamed task of tables."""
        named = [task.called for task in self.study.tasks]
        if self.study.question == "loss":
            return [None, *(t for t in named if self.study.question_of(t) != "loss")]
        return [*named] or ([*self._table_tasks] if len(self._table_tasks) > 1 else [None])

    @cached_property
    def _table_tasks(self) -> list[str]:
        """Return the tasks in the tables.

        Raises:
            UsageError: one of them has several metrics, of which a forecast takes one.
        """
        found: dict[str, set[str]] = {}
        for table in self.study.tables if not self.study.tasks else ():
            for task, metric in tasks_in(self.folder / table.path, table.columns, table.where):
                found.setdefault(task, set()).add(metric)
        for task, metrics in found.items():
            if len(metrics) > 1 and self.study.question == "pass-rate":
                raise UsageError(
                    f"[[tables]] hold {len(metrics)} metrics of {task} "
                    f"({', '.join(sorted(metrics)[:4])}); keep one: "
                    f"where = \"metric = '{min(metrics)}'\""
                )
        return sorted(found)

    def _inputs_of(self, keys: Mapping[str, list[str]], task: str | None) -> tuple[str, ...]:
        if task is None and self.study.question == "loss":  # every measurement has it
            return tuple(dict.fromkeys(key for own in keys.values() for key in own))
        return (*keys.get("", ()), *(keys.get(task, ()) if task is not None else ()))

    def _plan_forecasts(self) -> list[StudyUnit]:
        """Plan fits and forecasts of every task from all visible results."""
        study, made = self.study, []
        check_laws(study, self.folder)
        if (self._asks("pass-rate") or self._asks("loss")) and not self.points:
            raise DataError("no row is held out and there is no [target]: nothing to forecast")
        tasks = self._task_names()
        # One law of the loss serves all tasks; those of pass rates depend on the question.
        rates = [task for task in tasks if study.question_of(task) == "pass-rate"]
        for task in tasks:
            question = study.question_of(task)
            needs = self._inputs_of(self.seen, task)
            if question == "emergence":
                needs = (*needs, *self.tuned.get(task or "", ()))
            if not needs:
                raise UsageError(f"every model is held out: nothing to learn {task} from")
            of_rates = question == "pass-rate"
            at_places = question != "emergence"
            common: dict[str, Any] = {
                "task": task,
                "metric": self._metric(task),
                "points": [self.points[place] for place in sorted(self.points)] * at_places,
                "level": study.forecast.level,
                "seed": study.forecast.seed,
                "last_step": at_places and not self._takes_tokens,
            }
            laws = list(study.forecast.laws) if of_rates else []
            if question == "loss":
                laws = self._loss_laws
            loss = [study.forecast.loss_law] if study.forecast.loss_law else []
            if question == "loss":
                loss = [law for law in loss if law not in laws]
            for law in [*laws, *(loss if task == (rates or tasks)[0] else [])]:
                self._add(
                    StudyUnit(
                        "fit",
                        f"fit {law}" + (f" to {task}" if task and law not in loss else ""),
                        {**common, "law": law, "draws": FIT_DRAWS},
                        needs,
                        cost=costs.FIT,
                    )
                )
            made.append(
                self._add(
                    StudyUnit(
                        "forecast",
                        f"forecast {task or self._untold}",
                        {
                            **common,
                            "question": question,
                            "laws": laws,
                            "by": study.forecast.by,
                            "loss_law": study.forecast.loss_law,
                            "target": self._target(),
                        },
                        needs,
                        cost=costs.FORECAST,
                    )
                )
            )
        return made

    @property
    def _untold(self) -> str:
        """Describe what is forecast if no task is named."""
        return "the loss" if self.study.question == "loss" else "the scores"

    @cached_property
    def _loss_laws(self) -> list[str]:
        """Return the laws of the loss to try: from [forecast], or what the points allow."""
        from augury.laws import parse_law

        said = self.study.forecast
        named = [law for law in said.laws if parse_law(law).output == "loss"]
        if named or said.loss_law:
            return list(dict.fromkeys([*named, *([said.loss_law] if said.loss_law else [])]))
        tokens = all({"tokens", "flops"} & set(place) for place in self.points.values())
        return ["chinchilla", "power"] if tokens else ["power"]

    def _metric(self, task: str | None) -> str | None:
        for entry in self.study.tasks:
            if entry.called == task:
                return "acc" if entry.checker == "choice" else "pass"
        return None

    @cached_property
    def _takes_tokens(self) -> bool:
        from augury.laws import Chain, parse_law

        told = list(self.study.forecast.laws)
        if self.study.question == "loss":
            said = self.study.forecast
            told = [law for law in told if parse_law(law).output == "loss"]
            told += [said.loss_law] if said.loss_law else [] if told else ["chinchilla"]
        laws = [parse_law(text) for text in told]
        firsts = [law.loss if isinstance(law, Chain) else law for law in laws]
        return any({"tokens", "flops"} & set(law.inputs) for law in firsts)

    def _target(self) -> dict[str, float] | None:
        target = self.study.target
        return None if target is None else target.model_dump(exclude_none=True)

    def _plan_scores(self, forecasts: Iterable[StudyUnit]) -> None:
        for unit in forecasts:
            task = unit.parameters["task"]
            truth = self._inputs_of(self.held, task)
            if truth:
                asked = ("task", "metric", "level", "last_step")
                self._add(
                    StudyUnit(
                        "score",
                        f"score the forecast of {task or self._untold}",
                        {name: unit.parameters[name] for name in asked},
                        (unit.key, *truth),
                        cost=costs.SCORE,
                    )
                )


def _program(place: StudyModel) -> str:
    """Return the program key: lab models of one width share compiled programs."""
    width = place.about.get("width")
    return "" if width is None else f"width {width}"
