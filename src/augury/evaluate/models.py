"""A model by the name a user gives it: `lab:DIR`, `hf:PATH` or `http:URL`.

A scheme is a row of `SCHEMES`; what opens it is imported when it is first asked for, so that
evaluating needs neither the lab nor torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module

from augury.errors import UsageError
from augury.evaluate.backend import Backend

# Scheme: "module:function" of a function from what follows the colon to a backend.
SCHEMES: Mapping[str, str] = {
    "lab": "augury.lab.backend:open_lab_model",
    "hf": "augury.evaluate.models:_open_transformers",
    "http": "augury.evaluate.models:_open_http",
    "https": "augury.evaluate.models:_open_https",
}


def open_model(spec: str) -> Backend:
    """The model called `spec`.

    Args:
        spec: "lab:DIR" (a checkpoint's folder, or a run's, of which the last one is taken),
            "hf:PATH_OR_ID" or "hf:ID@REVISION", "http:URL#MODEL" (or https:URL#MODEL) as a server
            at that address calls it.

    Raises:
        UsageError: the scheme is unknown, or an extra is missing.
        DataError: there is no such model.
    """
    scheme, _, rest = spec.partition(":")
    if scheme not in SCHEMES or not rest:
        raise UsageError(
            f"--model '{spec}': expected lab:DIR, hf:PATH, hf:ID@REVISION or http:URL#MODEL"
        )
    module, _, name = SCHEMES[scheme].partition(":")
    opener: Callable[[str], Backend] = getattr(import_module(module), name)
    return opener(rest)


def _open_transformers(rest: str) -> Backend:
    from augury.evaluate.hf import TransformersBackend

    name, _, revision = rest.partition("@")
    return TransformersBackend(name, revision or None)


def _open_http(rest: str, scheme: str = "http") -> Backend:
    from augury.evaluate.http import HTTPBackend

    url, _, model = rest.partition("#")
    if not model:
        raise UsageError(
            f"--model {scheme}:{rest}: which model of the server? expected {scheme}:URL#MODEL"
        )
    return HTTPBackend(url if "://" in url else f"{scheme}:{url}", model)


def _open_https(rest: str) -> Backend:
    return _open_http(rest, "https")
