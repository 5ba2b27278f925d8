"""The page of a study: its answers, what backs them, and every forecast it put on record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from augury.errors import UsageError
from augury.notes import Note
from augury.report.page.backtest import backtest_section
from augury.report.page.curves import curve_section, notes_of
from augury.report.page.emergence import emergence_section
from augury.report.page.gather import measurement_story, named, trends_of, versions
from augury.report.page.story import Outlook, Section, Story, Table, distance, number, rate
from augury.runtime.json_files import read_json
from augury.study.results.ledger import Ledger
from augury.study.results.recording import scoreboard

UNKNOWN = float("nan")
# Inputs and methods as sentences have them.
NAMES = {"params": "parameters", "tokens": "tokens", "flops": "FLOPs"}
METHODS = {
    "laws": "the laws",
    "counts-ours": "counts of every instance",
    "counts-ipu": "a line for every instance",
    "counts-line": "the published line",
}


def answers_of(folder: str | Path) -> list[str]:
    """The answers of a study, as its page has them: those that are there.

    Args:
        folder: of the study.
    """
    plan, units = _done(Path(folder))
    scores = _scores(Path(folder), units)
    target = plan.get("target") or {}
    return [
        said
        for unit in units
        if unit["kind"] == "forecast"
        for said in _answers(_forecast(Path(folder), unit), scores.get(unit["key"]), target)
    ]


def story_of(path: str | Path, *, at: Mapping[str, float] | None = None) -> Story:
    """What lies at a path, told: a study, a folder of measurements, or a table.

    Args:
        path: folder of a study (`augury run`), of measurements (`augury passuntil --out`), or a
            table.
        at: where to forecast measurements, such as {"params": 1e10}; a study has its own target.
            By default twice the largest model.

    Raises:
        DataError: it holds nothing that was measured, or its record of forecasts was changed.
        UsageError: `at` was given for a study.
    """
    if (Path(path) / "plan.json").exists():
        if at is not None:
            raise UsageError("a study has its target in study.toml: --at is for measurements alone")
        return study_story(Path(path))
    return measurement_story(path, at=at)


def study_story(folder: Path) -> Story:
    """What the folder of a study tells, run to its end or not."""
    plan, units = _done(folder)
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
    scores = _scores(folder, units)
    for i, unit in enumerate(u for u in units if u["kind"] == "forecast"):
        result = folder / "units" / unit["key"]
        record = _forecast(folder, unit)
        score = scores.get(unit["key"])
        own = notes_of([*record["notes"], *record.get("counts_notes", [])])
        if record.get("remedy"):
            own = (Note("status", "warning", f"{record['status']}. {record['remedy']}"), *own)
        answers += _answers(record, score, plan.get("target") or {})
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
        sections += trends_of(pl.read_parquet(folder / "table.parquet"), missing)
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
            **versions(),
        },
    )


def _done(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The plan of a study, and its units whose results are there."""
    plan = read_json(folder / "plan.json")
    units = folder / "units"
    return plan, [u for u in plan["units"] if (units / u["key"] / "unit.json").exists()]


def _forecast(folder: Path, unit: Mapping[str, Any]) -> dict[str, Any]:
    record: dict[str, Any] = read_json(folder / "units" / unit["key"] / "forecast.json")
    return record


def _scores(folder: Path, units: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """How forecasts fared, by the key of their unit."""
    return {
        u["needs"][0]: read_json(folder / "units" / u["key"] / "score.json")
        for u in units
        if u["kind"] == "score"
    }


def _question(plan: Mapping[str, Any]) -> str:
    target = plan.get("target")
    asked = {
        "pass-rate": f"what will pass at {_place(target)}"
        if target
        else "what will a larger model pass",
        "emergence": "where does the ability emerge",
    }
    found = [u["parameters"]["question"] for u in plan["units"] if u["kind"] == "forecast"]
    return ", and ".join(asked[name] for name in dict.fromkeys(found or [plan["question"]])) + "?"


def _answers(
    record: Mapping[str, Any], score: Mapping[str, Any] | None, target: Mapping[str, float]
) -> list[str]:
    if record["question"] == "emergence":
        return _emergence_answers(record, score)
    said = []
    made = [f for f in record["forecasts"] if f["method"] == "laws"]
    # What was asked comes first; places that were held out come after it.
    for one in sorted(made, key=lambda f: not f["inputs"].items() <= target.items()):
        low, high = one["run_interval"]
        told = [
            s["held"]
            for s in (score["scores"] if score else ())
            if s["method"] == "laws" and s["inputs"] == one["inputs"]
        ]
        said.append(
            f"At {_place(one['inputs'])}, a new model will score {rate(one['value'])} on "
            f"{_called(record)} ({one['level']:.0%} interval: {rate(low)} to {rate(high)}), "
            f"{distance(one['extrapolation'])}."
            + (
                f" Of {len(told)} measured there afterwards, {sum(told)} lay inside the interval."
                if told
                else ""
            )
        )
    return said


def _emergence_answers(record: Mapping[str, Any], score: Mapping[str, Any] | None) -> list[str]:
    name, point = _called(record), record["above"]["point"]
    if point["value"] is None:
        said = [f"Where {name} emerges cannot be said: {record['status']}."]
        return said + [_came(s) for s in (score["scores"] if score else ())]
    low, high = _ends(point["interval"])
    said = [
        f"{name[:1].upper()}{name[1:]} emerges without finetuning at a pretraining loss of "
        f"{number(point['value'])} ({record['level']:.0%} interval: {number(low)} to "
        f"{number(high)})."
    ]
    beyond = record["forecasts"][0]["extrapolation"]
    if beyond is not None:
        said.append(
            "That is inside the range of losses measured."
            if beyond <= 0
            else f"That is {beyond:.2g} times the range of losses measured beyond it."
        )
    bend = record["elbow"]["point"]
    if bend["value"] is not None:
        low, high = _ends(bend["interval"])
        said.append(
            f"Emerged means {record['distance']:g} above chance; the elbow, where scores begin to "
            f"rise, is at {number(bend['value'])} ({number(low)} to {number(high)})."
        )
    for made in record["forecasts"][1:]:
        of = made["method"].removeprefix("emergence-in-")
        at = (
            f" on {_place(made['inputs'])}"
            if "tokens" in made["inputs"]
            else (f" with {_place(made['inputs'])}" if made["inputs"] else "")
        )
        said.append(f"Trained{at}, {_reached(made, NAMES.get(of, of))}.")
    if score is not None:
        (own,) = [s for s in score["scores"] if s["method"] == "emergence"]
        said.append(_came(own))
    return said


def _reached(made: Mapping[str, Any], of: str) -> str:
    """What it takes; null is what no draw of the loss law reaches."""
    if made["value"] is None:
        return f"no number of {of} gets there (probability {made['never']:.0%})"
    low, high = (float("inf") if x is None else x for x in made["run_interval"])
    return (
        f"that takes {number(made['value'])} {of} ({made['level']:.0%} interval: {number(low)} "
        f"to {number(high)})"
    )


def _came(score: Mapping[str, Any]) -> str:
    """What the held-out models say: where the ability came, as far as they show it."""
    low, high = score["bracket"]  # null: no held-out model has it, or none lacks it
    if low is None:
        told = f"it had not come at a loss of {number(high)}"
    elif high is None:
        told = f"it had come by a loss of {number(low)}"
    else:
        told = f"it came between losses of {number(high)} and {number(low)}"
    inside = {True: "as forecast", False: "outside the interval", None: "nothing was forecast"}
    return f"Measured afterwards, {told}: {inside[score['held']]}."


def _pass_rates(
    result: Path,
    record: Mapping[str, Any],
    score: Mapping[str, Any] | None,
    notes: tuple[Note, ...],
    index: int,
) -> list[Section]:
    task = _called(record)
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
            f"How {task} grows" + (f": {kind} growth" if kind else ""),
            x,
            named(observed).select("run", x, "value"),
            curve.select(x, "value", low="run_low", high="run_high"),
            level=record["level"],
            what=f"pass rate of {task}" if is_rate else f"score on {task}",
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
    text = [
        f"Laws, weighed by how they predict held-out checkpoints: {_weights(record['weights'])}."
    ]
    truth = None
    if score is not None:
        told = pl.DataFrame(score["models"], infer_schema_length=None)
        truth = told.select(
            "loss", value="score", run=pl.col("model").fill_null("model").cast(pl.String)
        )
    return [
        emergence_section(
            record["task"] or "the task",
            pl.read_parquet(result / "observed.parquet"),
            elbows=elbows.filter(finite),
            point=(whole[0], whole[1], whole[2]) if len(whole) == 3 else None,
            truth=truth,
            level=record["level"],
            text=text,
            notes=[*notes, *notes_of(record.get("reach_notes", []))],
            name=f"emergence-{index}",
        )
    ]


def _losses(folder: Path, units: Sequence[Mapping[str, Any]]) -> list[Section]:
    sections = []
    for i, unit in enumerate(units):
        result = folder / "units" / unit["key"]
        record = read_json(result / "fit.json")
        if record["output"] != "loss":
            continue
        curve = pl.read_parquet(result / "curve.parquet")
        x = "params" if "params" in curve.columns else curve.columns[0]
        observed = named(pl.read_parquet(result / "observed.parquet"))
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


def _record(folder: Path, missing: list[str]) -> tuple[Outlook, ...]:
    """The forecasts on record, newest first; every one with all that was measured after it."""
    lines: dict[int, list[dict[str, Any]]] = {}
    for row in scoreboard([folder]):
        lines.setdefault(row["line"], []).append(row)
    if not lines:
        missing.append("No forecast is on record.")
    far = {line["line"]: line.get("extrapolation") for line in Ledger(folder).lines}
    found = []
    # The newest first; those of one time in the order they were made.
    for at, rows in sorted(lines.items(), key=lambda pair: pair[1][0]["time"], reverse=True):
        row = rows[0]
        found.append(
            Outlook(
                _about(row),
                _known(row["value"]),
                _ends(row["interval"]),
                row["level"],
                _known(far[at]),
                tuple(float(r["truth"]) for r in rows if r["truth"] is not None),
                row["time"].replace("T", " ").replace("Z", " UTC")
                + ("" if row["blind"] else ", when the truth was known"),
                is_rate=row["question"] == "pass-rate",
            )
        )
    return tuple(found)


def _about(row: Mapping[str, Any]) -> str:
    """Which quantity a line of the record forecasts, in words."""
    name, method = row["task"] or "the task", row["method"]
    if row["question"] == "emergence":
        of = method.removeprefix("emergence").removeprefix("-in-")
        what = f"{NAMES.get(of, 'loss')} at which {name} emerges"
        return what + (f", at {_place(row['inputs'])}" if row["inputs"] else "")
    return f"{name} at {_place(row['inputs'])}, by {METHODS.get(method, method)}"


def _called(record: Mapping[str, Any]) -> str:
    other = "the ability" if record["question"] == "emergence" else "the task"
    return f"“{record['task']}”" if record["task"] else other


def _place(inputs: Mapping[str, float]) -> str:
    return " and ".join(f"{number(v)} {NAMES.get(k, k)}" for k, v in inputs.items())


def _ends(interval: Sequence[float | None]) -> tuple[float, float]:
    low, high = interval
    return _known(low), _known(high)


def _known(x: float | None) -> float:
    """JSON has no NaN and no infinity: what is null is not known."""
    return UNKNOWN if x is None else float(x)


def _record_head(folder: Path) -> dict[str, str]:

    ledger = Ledger(folder)
    return {"record of forecasts, SHA-256 of its head": ledger.head} if ledger.lines else {}


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
