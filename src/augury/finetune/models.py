"""Which checkpoints a sweep finetunes, identified only by their records."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from augury.data.model_names import step_of
from augury.data.readers.models import Models
from augury.errors import DataError, UsageError
from augury.evaluate.hf_load import needs_models
from augury.evaluate.names import model_name
from augury.lab import LabBackend


@dataclass(frozen=True)
class Model:
    """A checkpoint.

    Attributes:
        kind: "lab" or "hf".
        path: folder, or an id on the hub.
        revision: on the hub.
        width: of its residual stream, which scales the learning rate.
        params: all parameters of a lab model, 0 if unknown before it is loaded.
        run: name of the pretraining run.
        step: of the checkpoint, if known.
        about: what distinguishes it from other checkpoints.
        told: what the user states about it: columns such as loss and tokens.
    """

    kind: str
    path: str
    revision: str | None
    width: int
    params: float
    run: str
    step: int | None
    about: Mapping[str, Any] = field(hash=False)
    told: Mapping[str, Any] = field(hash=False, default_factory=dict)

    @property
    def name(self) -> str:
        """Run and step."""
        return self.run if self.step is None else f"{self.run} step {self.step}"

    @property
    def program(self) -> Hashable:
        """Models with the same value share compiled programs."""
        return self.kind, self.width, self.about.get("params")

    @property
    def digest(self) -> str:
        """Return a short hash of what it is."""
        text = json.dumps(dict(self.about), sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:8]


def find_models(specs: Iterable[str | Path], about: str | Path | None = None) -> list[Model]:
    """Find every checkpoint that these specs name.

    Args:
        specs: "lab:DIR", "hf:PATH", "hf:ID@REVISION"; a path alone is a lab checkpoint. DIR is a
            checkpoint, a run's folder (all its checkpoints) or a ladder's (all checkpoints of all
            its runs).
        about: table of what checkpoints do not state themselves: model, and any of step, params,
            tokens, loss ...; a row without a step applies to all checkpoints of its model.

    Raises:
        UsageError: there is none, two are the same, or a spec is of another kind.
        DataError: one is damaged.
    """
    models: list[Model] = []
    told = Models(None if about is None else Path(about))
    for spec in specs:
        kind, colon, rest = str(spec).partition(":")
        if isinstance(spec, Path) or not colon:
            kind, rest = "lab", str(spec)
        if kind == "lab" and rest:
            models += [_lab(folder) for folder in _checkpoints(Path(rest))]
        elif kind == "hf" and rest:
            models.append(_hf(rest))
        else:
            raise UsageError(f"--model '{spec}': expected lab:DIR, hf:PATH or hf:ID@REVISION")
    if not models:
        raise UsageError("no model to finetune: the list of models is empty")
    seen: dict[str, Model] = {}
    for model in models:
        if model.name in seen:
            raise UsageError(
                f"two models are called '{model.name}': {seen[model.name].path} and {model.path}; "
                "name each once, and give each family its own name"
            )
        seen[model.name] = model
    return [replace(m, told=told.of(str(m.about.get("model")), m.step)) for m in models]


def _checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoint itself, or all of a run or of a ladder, earliest first."""
    if (folder / "config.json").exists():
        return [folder]
    for pattern in ("step-*", "*/step-*"):
        found = [p for p in folder.glob(pattern) if p.name[5:].isdigit()]
        if found:
            return sorted(found, key=lambda p: (str(p.parent), int(p.name[5:])))
    raise DataError(
        "holds no checkpoint",
        source=str(folder),
        expected="a checkpoint of the lab (config.json), a run (step-N) or a ladder (RUN/step-N)",
    )


def _lab(folder: Path) -> Model:
    lab = LabBackend(folder)
    config = lab.checkpoint.config
    about = dict(lab.about)
    return Model(
        "lab",
        str(folder),
        None,
        config.model.width,
        float(config.model.params),
        config.run,
        lab.checkpoint.step,
        about,
    )


def _hf(spec: str) -> Model:
    transformers = needs_models("transformers")
    path, _, revision = spec.partition("@")
    local = {"local_files_only": True} if Path(path).is_dir() else {}
    try:
        config = transformers.AutoConfig.from_pretrained(
            path, revision=revision or "main", trust_remote_code=False, **local
        )
    except (OSError, ValueError, KeyError) as error:
        text = " ".join(str(error).split())[:200]
        raise DataError(
            f"cannot be read: {text}", source=spec, expected="a checkpoint of transformers"
        ) from error
    told = getattr(config, "augury", None)
    name = model_name(path)
    if isinstance(told, dict):  # a model of the lab, exported
        about = dict(told)
        run = f"{about['model']}-seed-{about['seed']}"
        step: int | None = int(about["step"])
    else:
        about = {"model": name, "revision": revision or None}
        run = name.rsplit("/", 1)[-1]
        step = step_of(revision, name)
        if revision and step is None:
            run = f"{run}@{revision}"
    width = int(getattr(config, "hidden_size", 0) or 1)
    params = float(about.get("params") or 0.0)
    return Model("hf", path, revision or None, width, params, run, step, about)
