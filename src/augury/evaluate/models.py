"""A model by the name a user gives it: lab:DIR, hf:PATH or http:URL."""

from __future__ import annotations

from pathlib import Path

from augury.errors import UsageError
from augury.evaluate.backend import Backend
from augury.evaluate.lab import LabBackend


def open_model(spec: str) -> Backend:
    """The model called `spec`.

    Args:
        spec: "lab:DIR" (a checkpoint's folder, or a run's, of which the last one is taken),
            "hf:PATH_OR_ID" or "hf:ID@REVISION", "http:URL#MODEL" (or https:URL#MODEL) as a server
            at that address calls it.

    Raises:
        UsageError: the kind is unknown, or an extra is missing.
        DataError: there is no such model.
    """
    kind, _, rest = spec.partition(":")
    if kind == "lab" and rest:
        return LabBackend(_last(Path(rest)))
    if kind == "hf" and rest:
        from augury.evaluate.hf import TransformersBackend

        name, _, revision = rest.partition("@")
        return TransformersBackend(name, revision or None)
    if kind in ("http", "https") and rest:
        from augury.evaluate.http import HTTPBackend

        url, _, model = rest.partition("#")
        if not model:
            raise UsageError(
                f"--model {spec}: which model of the server? expected {kind}:URL#MODEL"
            )
        return HTTPBackend(url if "://" in url else f"{kind}:{url}", model)
    raise UsageError(
        f"--model '{spec}': expected lab:DIR, hf:PATH, hf:ID@REVISION or http:URL#MODEL"
    )


def _last(folder: Path) -> Path:
    """The checkpoint itself, or the last one of a run's folder."""
    steps = [p for p in folder.glob("step-*") if p.name[5:].isdigit()]
    if (folder / "config.json").exists() or not steps:
        return folder
    return max(steps, key=lambda p: int(p.name[5:]))
