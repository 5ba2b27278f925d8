"""A model by the name a user gives it: `lab:DIR`, `hf:PATH`, `vllm:PATH`, `http:URL` ...

A scheme is an entry of `SCHEMES`; its opener is imported on first use, so that evaluation needs
neither the lab nor torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from augury.errors import UsageError
from augury.evaluate.backend import Backend
from augury.evaluate.chat import Chat

# Scheme: "module:function" of a function from what follows the colon to a backend.
SCHEMES: Mapping[str, str] = {
    "lab": "augury.lab.backend:open_lab_model",
    "hf": "augury.evaluate.models:_open_transformers",
    "http": "augury.evaluate.models:_open_http",
    "https": "augury.evaluate.models:_open_https",
    "vllm": "augury.evaluate.models:_open_vllm",
    "inspect": "augury.evaluate.models:_open_inspect",
}
EXPECTED = "lab:DIR, hf:PATH, hf:ID@REVISION, vllm:PATH, http:URL#MODEL or inspect:PROVIDER/MODEL"
# Packages that provide backends name their scheme here: [project.entry-points."augury.backends"].
ENTRY_POINTS = "augury.backends"
# Schemes that name a server: what follows is not a path.
SERVERS = ("http", "https", "inspect")
# Options of `Loading` that a scheme's opener takes; none if it is not listed.
TAKES: Mapping[str, tuple[str, ...]] = {
    "hf": ("device", "dtype", "batch_tokens", "chat"),
    "vllm": ("chat",),
    "http": ("extra", "chat"),
    "https": ("extra", "chat"),
    "inspect": ("extra", "chat"),
}


@dataclass(frozen=True)
class Loading:
    """How to load a checkpoint; None leaves the choice to Augury.

    Attributes:
        device: "cpu", "cuda", or "auto" to spread it over several GPUs.
        dtype: precision, such as "bfloat16".
        batch_tokens: maximum tokens of a batch: memory against speed.
        extra: further fields of every request to a server.
        chat: use the model's chat template.
    """

    device: str | None = None
    dtype: str | None = None
    batch_tokens: int | None = None
    extra: Mapping[str, Any] | None = None
    chat: Chat | None = None

    @property
    def given(self) -> dict[str, Any]:
        """Return the options that were given."""
        return {k: v for k, v in vars(self).items() if v is not None and v != {}}


@cache
def schemes() -> dict[str, str]:
    """Return every scheme, including those of other packages; Augury's own cannot be replaced."""
    return {e.name: e.value for e in entry_points(group=ENTRY_POINTS)} | dict(SCHEMES)


def is_model(spec: str) -> bool:
    """Return whether this names a model of a known scheme; it may still not exist."""
    scheme, _, rest = spec.partition(":")
    return bool(rest) and scheme in schemes()


def options_of(scheme: str) -> tuple[str, ...]:
    """Return the options of `Loading` that models of a scheme take."""
    return TAKES.get(scheme, ())


def open_model(spec: str, loading: Loading | None = None) -> Backend:
    """Open the model called `spec`.

    Args:
        spec: "lab:DIR" (a checkpoint's folder, or a run's, whose last one is taken),
            "hf:PATH_OR_ID", "hf:FILE.gguf" or "hf:ID@REVISION", the same with "vllm:" for vLLM's
            engine, "http:URL#MODEL" (or https:URL#MODEL) with the server's name of the model,
            "inspect:PROVIDER/MODEL" with Inspect's name.
        loading: how, for checkpoints that are loaded in this process ("hf:").

    Raises:
        UsageError: the scheme is unknown, takes no such option, or an extra is missing.
        DataError: the model does not exist.
    """
    scheme, _, rest = spec.partition(":")
    if not is_model(spec):
        raise UsageError(f"--model '{spec}': expected {EXPECTED}")
    module, _, name = schemes()[scheme].partition(":")
    opener: Callable[..., Backend] = getattr(import_module(module), name)
    options = loading.given if loading else {}
    strange = [name for name in options if name not in options_of(scheme)]
    if strange:
        names = " and ".join(f"--{name.replace('_', '-')}" for name in strange)
        takers = " and ".join(f"{s}:" for s, taken in TAKES.items() if strange[0] in taken)
        raise UsageError(f"{names}: only models named {takers} take this, not {scheme}:")
    return opener(rest, **options)


def _open_transformers(rest: str, **options: Any) -> Backend:
    from augury.evaluate.hf import TransformersBackend

    name, _, revision = rest.partition("@")
    return TransformersBackend(name, revision or None, **options)


def _open_vllm(rest: str, **options: Any) -> Backend:
    from augury.evaluate.vllm import VLLMBackend

    name, _, revision = rest.partition("@")
    return VLLMBackend(name, revision or None, **options)


def _open_http(rest: str, scheme: str = "http", **options: Any) -> Backend:
    from augury.evaluate.http import HTTPBackend

    url, _, model = rest.partition("#")
    if not model:
        raise UsageError(
            f"--model {scheme}:{rest}: which model of the server? expected {scheme}:URL#MODEL"
        )
    return HTTPBackend(url if "://" in url else f"{scheme}:{url}", model, **options)


def _open_inspect(rest: str, **options: Any) -> Backend:
    from augury.evaluate.inspect_api import InspectBackend

    if "chat" not in options:
        raise UsageError("models named inspect: are used as a chat: add --chat")
    return InspectBackend(rest, **options)


def _open_https(rest: str, **options: Any) -> Backend:
    return _open_http(rest, "https", **options)
