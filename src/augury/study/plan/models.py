"""The models of a study, with what is known about each before it is measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from augury.data.compute import params_for_flops, tokens_for_flops, training_flops
from augury.errors import UsageError
from augury.evaluate.models import SERVERS
from augury.lab.config import RunConfig
from augury.lab.model import ModelConfig
from augury.study.plan.sections import ASKING, KNOWN_COLUMNS
from augury.study.plan.study_file import StudyFile


@dataclass(frozen=True)
class StudyModel:
    """A model at a checkpoint.

    Attributes:
        name: for people.
        about: params, tokens, flops, step, seed ... as far as known.
        held_out: whether it is hidden from forecasts.
        run: the lab's run that produces it, or None.
        step: its checkpoint.
        path: the model as `open_model` takes it, if it exists already.
        given: columns that the study file states for it.
        asking: chat, system, chat_prompt and extra, as far as the file gives them.
    """

    name: str
    about: Mapping[str, Any]
    held_out: bool
    run: RunConfig | None = None
    step: int = 0
    path: str | None = None
    given: Mapping[str, Any] | None = None
    asking: Mapping[str, Any] = field(default_factory=dict)


def lab_models(study: StudyFile) -> Iterator[StudyModel]:
    """Yield checkpoints that the study trains."""
    if study.lab is None:
        return
    lab = study.lab
    for width in lab.widths:
        for seed in lab.seeds:
            run = RunConfig(
                ModelConfig(width), lab.steps, seed, lab.shares, tuple(lab.checkpoints), lab.family
            )
            for step in run.saves:
                about = {
                    "model": run.name,
                    "family": lab.family,
                    "params": float(run.model.params),
                    "tokens": run.tokens(step),
                    "flops": run.flops(step),
                    "step": step,
                    "seed": seed,
                    "width": width,
                }
                name = run.run + (f" at step {step}" if len(run.saves) > 1 else "")
                yield StudyModel(name, about, _held_out(study, about), run, step)


def named_models(study: StudyFile, folder: Path) -> Iterator[StudyModel]:
    """Yield existing models."""
    for entry in study.checkpoints:
        given = entry.model_dump(exclude={"model", "name", *ASKING}, exclude_none=True)
        if entry.name:
            given["model"] = entry.name
        about = {"model": entry.model, **given}
        if entry.params and entry.tokens:
            about["flops"] = training_flops(entry.params, entry.tokens)
        kind, _, rest = entry.model.partition(":")
        here = folder / rest.partition("@")[0]
        local = kind not in SERVERS and here.exists()
        path = f"{kind}:{here}" if local else entry.model
        if kind == "lab" and not here.exists():
            raise UsageError(f"no such model: {here}")
        if kind == "lab":
            about = {**_lab_about(here), **given}
        yield StudyModel(
            entry.name or entry.model,
            about,
            _held_out(study, about),
            path=path,
            given=given,
            asking=entry.asking,
        )


def _lab_about(folder: Path) -> dict[str, Any]:
    """Return what a checkpoint of the lab states about itself."""
    from augury.evaluate.models import open_model

    return dict(open_model(f"lab:{folder}").about)


def split_table(path: Path, asked: Mapping[str, Any]) -> tuple[int, int, list[dict[str, Any]]]:
    """Count what a table has on either side of the split.

    Returns:
        Rows that may be used; rows held out; params, tokens and flops of the latter, each point
        once.
    """
    from augury.study.units.rows import read_rows

    held = read_rows(path, {**asked, "side": "held"})
    names = [n for n in ("params", "tokens", "flops") if n in held.columns]
    seen = read_rows(path, {**asked, "side": "seen"}).height
    places = held.select(names).unique(maintain_order=True).to_dicts() if names else []
    return seen, held.height, places


def complete_target(study: StudyFile) -> dict[str, float]:
    """Return the target, with the third of params, tokens and flops derived."""
    if study.target is None:
        return {}
    about = study.target.model_dump(exclude_none=True)
    if len(about) == 2:
        if "flops" not in about:
            about["flops"] = training_flops(about["params"], about["tokens"])
        elif "params" not in about:
            about["params"] = params_for_flops(about["flops"], about["tokens"])
        else:
            about["tokens"] = tokens_for_flops(about["flops"], about["params"])
    return about


def _held_out(study: StudyFile, about: Mapping[str, Any]) -> bool:
    held = study.held_out
    if held is None:
        return False
    if about.get("width") in held.widths:
        return True
    if held.where is None:
        return False
    import polars as pl

    row = pl.DataFrame({name: [about.get(name)] for name in KNOWN_COLUMNS})
    try:
        answer = row.select(pl.sql_expr(held.where)).item()
    except (pl.exceptions.PolarsError, TypeError) as error:
        raise UsageError(
            f"held_out.where: '{held.where}' cannot be evaluated for {about['model']}: "
            f"{str(error).splitlines()[0]}; what is known of models: {', '.join(KNOWN_COLUMNS)}"
        ) from error
    if answer is None:
        raise UsageError(
            f"held_out.where: '{held.where}' is undefined for {about['model']}: give its "
            "params and tokens in [[checkpoints]]"
        )
    return bool(answer)
