"""Loading a checkpoint of transformers: whole, without running its code, or not at all."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from augury.data.model_names import family_of, step_of
from augury.errors import DataError, UsageError
from augury.evaluate.names import model_name


def needs_models(name: str) -> Any:
    """Import a module of the extra `models`.

    Raises:
        UsageError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise UsageError(
            f'this needs {name}, which is not installed: pip install "augury[models]"'
        ) from error


@contextmanager
def without_bars(transformers: Any) -> Iterator[None]:
    """No progress bars of transformers inside the block."""
    bars = transformers.utils.logging
    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            bars.enable_progress_bar()


def load(
    path_or_id: str | Path, revision: str | None, precision: str, spread: bool
) -> tuple[Any, Any]:
    """Tokenizer and model.

    Args:
        path_or_id: a folder, or an id on the hub.
        revision: on the hub.
        precision: of torch, or "auto" for the checkpoint's own.
        spread: over all GPUs there are.

    Raises:
        DataError: there is no such checkpoint, it cannot be read, or it lacks weights (which
            transformers would make up).
        UsageError: the extra `models` is missing.
    """
    transformers, safetensors = needs_models("transformers"), needs_models("safetensors")
    source = f"{path_or_id} at {revision}" if revision else str(path_or_id)
    local = {"local_files_only": True} if Path(path_or_id).is_dir() else {}
    options = {"revision": revision or "main", "trust_remote_code": False, **local}
    over = {"device_map": "auto"} if spread else {}
    wanted = "a checkpoint of a causal language model and its tokenizer"
    try:
        with without_bars(transformers):
            tokenizer = transformers.AutoTokenizer.from_pretrained(str(path_or_id), **options)
            model, report = transformers.AutoModelForCausalLM.from_pretrained(
                str(path_or_id), dtype=precision, output_loading_info=True, **over, **options
            )
    except (OSError, ValueError, KeyError, RuntimeError, safetensors.SafetensorError) as error:
        text = " ".join(str(error).split())[:200]
        raise DataError(f"cannot be read: {text}", source=source, expected=wanted) from error
    if report["missing_keys"]:
        lacking = sorted(report["missing_keys"])
        raise DataError(
            f"lacks {len(lacking)} of the weights", source=source, value=lacking[0], expected=wanted
        )
    return tokenizer, model


def about(model: Any, path_or_id: str | Path, revision: str | None) -> dict[str, Any]:
    """Columns of the observation table that say which model this is, as far as it tells them."""
    told = getattr(model.config, "augury", None)
    if isinstance(told, dict):
        return dict(told)
    torch = needs_models("torch")
    name = model_name(path_or_id)
    tables = [m.weight for m in model.modules() if isinstance(m, torch.nn.Embedding)]
    tables.append(model.get_output_embeddings().weight)
    left_out = {id(table) for table in tables}
    columns = {
        "model": name,
        "family": family_of(name),
        "revision": revision,
        "step": step_of(revision, name),
        "params": float(sum(p.numel() for p in model.parameters() if id(p) not in left_out)),
    }
    return {column: value for column, value in columns.items() if value is not None}
