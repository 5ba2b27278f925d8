"""A page from what lies in a folder: a study under way or done, or just measurements.

Every part is told if its results are there; what is not there is said in the last section.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from augury.data import read_table
from augury.errors import AuguryError, UsageError
from augury.fitting.result import Note
from augury.report.page.backtest import backtest_section
from augury.report.page.curves import curve_section, loss_section, notes_of
from augury.report.page.emergence import emergence_section
from augury.report.page.passrate import (
    pass_rate_answer,
    pass_rate_outlook,
    pass_rate_section,
)
from augury.report.page.story import Outlook, Section, Story, Table, distance, number, rate
from augury.report.page.trends import trends_section

# Places at which a band is drawn: its edges are draws, and more places show their noise.
GRID = 24
# Checkpoints of a run below which a trend over training is not asked for: a curve that may turn
# has more parameters than they have points.
FEWEST = 5
# Packages that the numbers depend on.
PACKAGES = ("augury", "jax", "numpy", "scipy", "polars", "altair", "vl-convert-python")
UNKNOWN = float("nan")


def story_of(folder: str | Path, *, at: Mapping[str, float] | None = None) -> Story:
    """What a folder tells.

    Args:
        folder: of a study (`augury run`), of measurements (`augury passuntil --out`), or a table.
        at: where to forecast measurements, such as {"params": 1e10}; a study has its own target.
            By default twice the largest model.

    Raises:
        DataError: it holds nothing that was measured, or its record of forecasts was changed.
        UsageError: `at` was given for a study.
    """
    path = Path(folder)
    if (path / "plan.json").exists():
        if at is not None:
            raise UsageError("a study has its target in study.toml: --at is for measurements alone")
        return _study(path)
    return _measurements(path, at)


def _study(folder: Path) -> Story:
    from augury.study.store import read_json

    plan = read_json(folder / "plan.json")
    units = [u for u in plan["units"] if (folder / "units" / u["key"] / "unit.json").exists()]
    sections: list[Section] = []
    missing: list[str] = []
    answers: list[str] = []
    notes: list[Note] = []
    if len(units) < len(plan["units"]):
        notes.append(
            Note(
                "unfinished",
                "warning",
                f"{len(units)} of {len(plan['units'])} units are done: this page will change",
            )
        )
    scores = {
        u["needs"][0]: read_json(folder / "units" / u["key"] / "score.json")
        for u in units
        if u["kind"] == "score"
    }
    for i, unit in enumerate(u for u in units if u["kind"] == "forecast"):
        result = folder / "units" / unit["key"]
        record = read_json(result / "forecast.json")
        score = scores.get(unit["key"])
        own = notes_of([*record["notes"], *record.get("counts_notes", [])])
        if record.get("remedy"):
            own = (Note("status", "warning", f"{record['status']}. {record['remedy']}"), *own)
        answers += _answers(record, score)
        notes += [n for n in own if n.severity != "info"]
        build = _emergence if record["question"] == "emergence" else _pass_rates
        sections += build(result, record, score, own, i)
    if not any(u["kind"] == "forecast" for u in units):
        missing.append("No forecast was made yet.")
    losses = [u for u in units if u["kind"] == "fit" and (folder / "units" / u["key"]).exists()]
    sections += _losses(folder, losses) or []
    if not any("loss" in s.heading for s in sections):
        missing.append("No law of the loss was fitted.")
    if (folder / "table.parquet").exists():
        sections += _trends(pl.read_parquet(folder / "table.parquet"), missing)
    outlooks = _record(folder, missing)
    if missing:
        sections.append(Section("What this page does not have", tuple(missing)))
    return Story(
        f"{plan['name']}: {_question(plan)}",
        tuple(answers) or ("There is no answer yet: the study has not come to its forecast.",),
        tuple(sections),
        outlooks,
        tuple(notes),
        {
            "study": plan["name"],
            "digest of the study's plan": str(plan["digest"]),
            "units done": f"{len(units)} of {len(plan['units'])}",
            "seeds": ", ".join(sorted(_seeds(units))) or "none",
            **_record_head(folder),
            **_versions(),
        },
    )


def _question(plan: Mapping[str, Any]) -> str:
    target = plan.get("target") or {}
    where = " and ".join(f"{number(v)} {k}" for k, v in target.items())
    if plan["question"] == "emergence":
        return "where does the ability emerge?"
    return f"what will pass at {where}?" if where else "what will a larger model pass?"


def _answers(record: Mapping[str, Any], score: Mapping[str, Any] | None) -> list[str]:
    task = record["task"] or "the task"
    if record["question"] == "emergence":
        point = record["above"]["point"]
        if point["value"] is None:
            said = [f"Where “{task}” emerges cannot be said: {record['status']}."]
        else:
            low, high = (UNKNOWN if x is None else x for x in point["interval"])
            said = [
                f"“{task}” emerges without finetuning at a pretraining loss of "
                f"{number(point['value'])} ({record['level']:.0%} interval: {number(low)} to "
                f"{number(high)})."
            ]
            beyond = record["forecasts"][0]["extrapolation"]
            if beyond is not None:
                said.append(f"That is {distance(beyond)}.")
    else:
        said = []
        for made in record["forecasts"]:
            if made["method"] != "laws":
                continue
            where = " and ".join(f"{number(v)} {k}" for k, v in made["inputs"].items())
            low, high = made["run_interval"]
            said.append(
                f"At {where}, a new model will score {rate(made['value'])} on “{task}” "
                f"({made['level']:.0%} interval: {rate(low)} to {rate(high)}), "
                f"{distance(made['extrapolation'])}."
            )
    if score is not None:
        told = [s for s in score["scores"] if s["method"] in ("laws", "emergence")]
        held = sum(bool(s["held"]) for s in told)
        said.append(f"Measured afterwards, {held} of {len(told)} lay inside the interval.")
    return said


def _pass_rates(
    result: Path,
    record: Mapping[str, Any],
    score: Mapping[str, Any] | None,
    notes: tuple[Note, ...],
    index: int,
) -> list[Section]:
    task = record["task"]
    curve = pl.read_parquet(result / "curve.parquet")
    observed = pl.read_parquet(result / "observed.parquet")
    x = "params" if "params" in curve.columns else curve.columns[0]
    is_rate = bool((observed["value"] > 0).all() and (observed["value"] <= 1).all())
    truth = None
    if score is not None:
        told = [s for s in score["scores"] if s["method"] == "laws" and x in s["inputs"]]
        truth = pl.DataFrame(
            {
                "run": [_name(s.get("model"), s.get("seed")) for s in told],
                x: [s["inputs"][x] for s in told],
                "value": [s["truth"] for s in told],
            }
        )
    text = [f"Laws, weighed by their backtest: {_weights(record['weights'])}."]
    growth = record.get("growth")
    if growth:
        low, high = (UNKNOWN if v is None else v for v in growth["interval"])
        text.append(
            f"Growth class: {growth['class']} (curvature in log(-log) "
            f"{number(UNKNOWN if growth['curvature'] is None else growth['curvature'])}, "
            f"{growth['level']:.0%} interval {number(low)} to {number(high)})."
        )
    kind = growth["class"] if growth else None
    sections = [
        curve_section(
            f"How “{task}” grows" + (f": {kind} growth" if kind else ""),
            x,
            _named(observed).select("run", x, "value"),
            curve.select(x, "value", low="run_low", high="run_high"),
            level=record["level"],
            what=f"pass rate of “{task}”" if is_rate else f"score on “{task}”",
            truth=truth if truth is not None and truth.height else None,
            text=text,
            notes=notes,
            is_rate=is_rate,
            name=f"forecast-{index}",
        )
    ]
    rows = pl.DataFrame(record["backtest"], infer_schema_length=None)
    if rows.height:
        sections.append(
            backtest_section(
                rows.with_columns(pl.col("law").cast(pl.String)),
                level=record["level"],
                what="pass rate" if is_rate else "score",
                name=f"backtest-{index}",
            )
        )
    return sections


def _emergence(
    result: Path,
    record: Mapping[str, Any],
    score: Mapping[str, Any] | None,
    notes: tuple[Note, ...],
    index: int,
) -> list[Section]:
    point = record["above"]["point"]
    ends = [point["value"], *point["interval"]]
    whole = [float(v) for v in ends if v is not None]
    elbows = pl.read_parquet(result / "elbows.parquet")
    finite = pl.all_horizontal(pl.col("loss", "low", "high").is_finite())
    return [
        emergence_section(
            record["task"] or "the task",
            pl.read_parquet(result / "observed.parquet"),
            elbows=elbows.filter(finite),
            point=(whole[0], whole[1], whole[2]) if len(whole) == 3 else None,
            level=record["level"],
            text=[f"Law: {record['law']}. {record['status'][:1].upper()}{record['status'][1:]}."],
            notes=[*notes, *notes_of(record.get("reach_notes", []))],
            name=f"emergence-{index}",
        )
    ]


def _losses(folder: Path, units: Sequence[Mapping[str, Any]]) -> list[Section]:
    from augury.study.store import read_json

    sections = []
    for i, unit in enumerate(units):
        result = folder / "units" / unit["key"]
        record = read_json(result / "fit.json")
        if record["output"] != "loss":
            continue
        curve = pl.read_parquet(result / "curve.parquet")
        x = "params" if "params" in curve.columns else curve.columns[0]
        observed = _named(pl.read_parquet(result / "observed.parquet"))
        parameters = pl.DataFrame(
            {"parameter": list(record["parameters"]), "value": list(record["parameters"].values())}
        )
        own = notes_of(record["notes"])
        if record["remedy"]:
            own = (Note("status", "serious", f"{record['status']}. {record['remedy']}"), *own)
        sections.append(
            curve_section(
                f"The law of the loss: {record['law']}",
                x,
                observed.select("run", x, value="loss"),
                curve.select(x, "value", low="run_low", high="run_high"),
                level=record["level"],
                what="pretraining loss",
                text=(f"{record['law']} on {observed.height} points: {record['status']}.",),
                tables=(Table(f"Parameters of {record['law']}", parameters),),
                notes=own,
                name=f"loss-law-{i}",
            )
        )
    return sections


def _trends(table: pl.DataFrame, missing: list[str]) -> list[Section]:
    from augury.forecast.trends import trends

    rows = table
    if "instance" in rows.columns:
        rows = rows.filter(pl.col("instance").is_null())
    if "finetune_examples" in rows.columns:
        rows = rows.filter(pl.col("finetune_examples").fill_null(0) == 0)
    axis = next((a for a in ("tokens", "step") if a in rows.columns), None)
    runs = [c for c in ("family", "model", "params", "seed", "task", "metric") if c in rows.columns]
    most = 0
    if axis is not None and rows.height:
        most = int(rows.group_by(runs).agg(pl.col(axis).n_unique())[axis].max())  # type: ignore[arg-type]
    if most < FEWEST:
        missing.append(
            f"No trends over training: no run was measured at more than {most} "
            f"checkpoint{'' if most == 1 else 's'}; {FEWEST} are the least."
        )
        return []
    try:
        return [trends_section(trends(rows))]
    except AuguryError as error:
        missing.append(f"No trends over training: {error}.")
        return []


def _record(folder: Path, missing: list[str]) -> tuple[Outlook, ...]:
    """The forecasts on record, newest first; every one with all that was measured after it."""
    from augury.study.record import scoreboard

    lines: dict[int, list[dict[str, Any]]] = {}
    for row in scoreboard([folder]):
        lines.setdefault(row["line"], []).append(row)
    if not lines:
        missing.append("No forecast is on record.")
    found = []
    for rows in reversed(lines.values()):
        row = rows[0]
        where = " and ".join(f"{number(v)} {k}" for k, v in row["inputs"].items())
        low, high = (UNKNOWN if v is None else float(v) for v in row["interval"])
        found.append(
            Outlook(
                f"{row['task'] or 'the task'}{f' at {where}' if where else ''}, {row['method']}",
                UNKNOWN if row["value"] is None else float(row["value"]),
                (low, high),
                row["level"],
                UNKNOWN,
                tuple(float(r["truth"]) for r in rows if r["truth"] is not None),
                f"{row['time']}{'' if row['blind'] else ', truth known'}",
                is_rate=row["question"] == "pass-rate",
            )
        )
    return tuple(found)


def _record_head(folder: Path) -> dict[str, str]:
    from augury.study.ledger import Ledger

    ledger = Ledger(folder)
    return {"record of forecasts, SHA-256 of its head": ledger.head} if ledger.lines else {}


def _measurements(path: Path, at: Mapping[str, float] | None) -> Story:
    from augury.forecast.passrate import forecast_pass_rate, growth, series

    table = _labelled(read_table(path))
    digest = hashlib.sha256(
        table.write_csv().encode()  # the values, whatever files they lie in
    ).hexdigest()
    scale = next(iter(at)) if at else "params"
    sections: list[Section] = []
    missing: list[str] = []
    answers: list[str] = []
    outlooks: list[Outlook] = []
    notes: list[Note] = []
    for i, task in enumerate(table["task"].unique().sort() if "task" in table else []):
        rows = table.filter(pl.col("task") == task)
        if "metric" in rows.columns and (rows["metric"] == "pass").any():
            rows = rows.filter(pl.col("metric") == "pass")
        try:
            seen = series(rows, [scale])
            place = dict(at) if at else {scale: 2 * float(seen.x[:, 0].max())}
            ends = [float(seen.x[:, 0].min()), float(seen.x[:, 0].max()), place[scale]]
            grid = [{scale: float(v)} for v in np.geomspace(min(ends), max(ends) * 1.1, GRID)]
            found = forecast_pass_rate(rows, [*grid, place], scale=[scale])
        except AuguryError as error:
            missing.append(f"No forecast of “{task}”: {error}.")
            continue
        names = rows.select(scale, "model").unique().sort([scale, "model"])["model"].to_list()
        sections.append(
            pass_rate_section(
                task,
                seen,
                growth(seen),
                found[:-1],
                target=found[-1],
                runs=names if len(names) == len(seen.x) else None,
                name=f"pass-rate-{i}",
            )
        )
        answers += pass_rate_answer(task, found[-1])
        notes += [n for n in found[-1].notes if n.severity != "info"]
        outlooks.append(pass_rate_outlook(task, found[-1], made=f"from {len(seen.x)} models"))
    sections += _loss_of(table, missing)
    sections += _trends(table, missing)
    if missing:
        sections.append(Section("What this page does not have", tuple(missing)))
    return Story(
        f"What was measured in {path.name}, and what follows",
        tuple(answers) or ("Nothing can be forecast from these measurements yet.",),
        tuple(sections),
        tuple(outlooks),
        tuple(notes),
        {
            "measurements": path.name,
            "rows": f"{table.height:,}",
            "SHA-256 of the rows": digest,
            "seed of the draws": "0",
            **_versions(),
        },
    )


def _loss_of(table: pl.DataFrame, missing: list[str]) -> list[Section]:
    from augury.fitting.fit import fit
    from augury.laws import parse_law

    keys = [c for c in ("model", "params", "loss", "step", "seed") if c in table.columns]
    if not {"params", "loss"} <= set(keys):
        missing.append("No law of the loss: there is no column loss, or none of params.")
        return []
    own = table.filter(pl.col("loss").is_not_null()).select(keys).unique(maintain_order=True)
    try:
        return [loss_section(fit(parse_law("power"), own), task="pretraining loss")]
    except AuguryError as error:
        missing.append(f"No law of the loss: {error}.")
        return []


def _labelled(table: pl.DataFrame) -> pl.DataFrame:
    """With one name a run: models that differ in step or seed alone are told apart."""
    if "model" not in table.columns:
        return table
    return table.with_columns(model=_label(table))


def _named(table: pl.DataFrame) -> pl.DataFrame:
    return table.with_columns(run=_label(table))


def _label(table: pl.DataFrame) -> pl.Expr:
    parts = [pl.col("model")] if "model" in table.columns else [pl.lit("run")]
    differing = [n for n in ("step", "seed") if n in table.columns and table[n].n_unique() > 1]
    parts += [pl.format(name + " {}", pl.col(name)) for name in differing]
    return pl.concat_str(parts, separator=" · ", ignore_nulls=True)


def _name(model: str | None, seed: int | None) -> str:
    return f"{model or 'run'}" + ("" if seed is None else f" · seed {seed}")


def _weights(weights: Mapping[str, float]) -> str:
    return ", ".join(f"{law} {w:.0%}" for law, w in sorted(weights.items(), key=lambda p: -p[1]))


def _seeds(units: Sequence[Mapping[str, Any]]) -> set[str]:
    return {
        f"{u['kind']} {u['parameters']['seed']}"
        for u in units
        if isinstance(u.get("parameters"), Mapping) and "seed" in u["parameters"]
    }


def _versions() -> dict[str, str]:
    return {f"version of {name}": version(name) for name in PACKAGES}
