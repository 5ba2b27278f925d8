"""Loading a checkpoint of transformers: completely, without running its code, or not at all."""

from __future__ import annotations

import importlib
import json
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from augury.data.model_names import family_of, step_of
from augury.errors import DataError, UsageError
from augury.evaluate.names import model_name

WANTED = "a checkpoint of a causal language model and its tokenizer"


def needs_models(name: str) -> Any:
    """Import a module of the extra `models`, or `gguf` of the extra of that name.

    Raises:
        UsageError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        extra = "gguf" if name == "gguf" else "models"
        raise UsageError(
            f'this needs {name}, which is not installed: pip install "augury[{extra}]"'
        ) from error


@contextmanager
def without_bars(transformers: Any) -> Iterator[None]:
    """Disable progress bars of transformers inside the block."""
    bars = transformers.utils.logging
    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            bars.enable_progress_bar()


@dataclass(frozen=True)
class Place:
    """Where a checkpoint is.

    Attributes:
        folder: its folder, or an id on the hub.
        gguf: name of the GGUF file in the folder; None for a checkpoint of transformers.
        adapter: folder of a PEFT adapter to merge; None without.
    """

    folder: str
    gguf: str | None = None
    adapter: str | None = None

    @property
    def local(self) -> bool:
        """Whether it is on this machine."""
        return Path(self.folder).is_dir()


def place(path_or_id: str | Path) -> Place:
    """Resolve a path or an id.

    Args:
        path_or_id: a folder, a GGUF file, the folder of a PEFT adapter, an id on the hub, or
            OWNER/REPOSITORY/FILE.gguf there.

    Raises:
        DataError: an adapter does not name its model.
    """
    path = Path(path_or_id)
    if path.suffix.lower() == ".gguf":
        needs_models("gguf")
        parts = str(path_or_id).split("/")
        if path.is_file() or len(parts) < 3:
            return Place(str(path.parent), path.name)
        return Place("/".join(parts[:2]), "/".join(parts[2:]))
    told = path / "adapter_config.json"
    if told.is_file() and not (path / "config.json").exists():
        try:
            base = json.loads(told.read_text(encoding="utf-8"))["base_model_name_or_path"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                "does not name the model that the adapter belongs to",
                source=str(told),
                column="base_model_name_or_path",
                expected="a PEFT adapter's configuration",
            ) from error
        return Place(str(base), adapter=str(path))
    return Place(str(path_or_id))


def load(
    path_or_id: str | Path, revision: str | None, precision: str, spread: bool
) -> tuple[Any, Any]:
    """Load tokenizer and model.

    Args:
        path_or_id: as in `place`.
        revision: on the hub.
        precision: of torch, or "auto" for the checkpoint's own.
        spread: over all available GPUs.

    Raises:
        DataError: the checkpoint does not exist, cannot be read, or lacks weights (which
            transformers would initialise at random).
        UsageError: the extra `models` is missing.
    """
    transformers, safetensors = needs_models("transformers"), needs_models("safetensors")
    source = f"{path_or_id} at {revision}" if revision else str(path_or_id)
    at = place(path_or_id)
    _check_place(at, source)
    local = {"local_files_only": True} if at.local else {}
    options: dict[str, Any] = {"revision": revision or "main", "trust_remote_code": False, **local}
    if at.gguf:
        options["gguf_file"] = at.gguf
    over = {"device_map": "auto"} if spread else {}
    words = at.adapter if at.adapter and _has_tokenizer(at.adapter) else None
    try:
        with without_bars(transformers), _quiet_dequantising() if at.gguf else nullcontext():
            tokenizer = transformers.AutoTokenizer.from_pretrained(
                words or at.folder, **({"local_files_only": True} if words else options)
            )
            model, report = transformers.AutoModelForCausalLM.from_pretrained(
                at.folder, dtype=precision, output_loading_info=True, **over, **options
            )
            if at.adapter:
                model = _merge_adapter(model, at.adapter)
    except (OSError, ValueError, KeyError, RuntimeError, safetensors.SafetensorError) as error:
        text = " ".join(str(error).split())[:200]
        if not at.local and "connect to 'https://" in text:
            text = "no such folder, and huggingface.co does not answer"
        raise DataError(f"cannot be read: {text}", source=source, expected=WANTED) from error
    if report["missing_keys"]:
        lacking = sorted(report["missing_keys"])
        raise DataError(
            f"lacks {len(lacking)} of the weights", source=source, value=lacking[0], expected=WANTED
        )
    return tokenizer, model


def check_device(device: str) -> None:
    """Check that this machine has a device, before a checkpoint is read for it.

    Raises:
        UsageError: torch does not know it, or cannot use it here.
    """
    torch = needs_models("torch")
    if device == "auto":
        return
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        known = "unknown" if "device string" in str(error) else "not usable here"
        raise UsageError(
            f"device '{device}' is {known}; expected cpu, cuda, cuda:1, mps or auto"
        ) from error


def _check_place(at: Place, source: str) -> None:
    """Find what is wrong with a path on this machine; transformers takes it for an id."""
    path = Path(at.folder)
    problem = None
    if at.gguf:
        a_path = path.exists() or "/" not in at.folder or not _is_id(at.folder)
        problem = "there is no such file" if a_path and not (path / at.gguf).is_file() else None
    elif path.is_file():
        problem = "is a file, and not a GGUF file"
    elif path.is_dir():
        problem = None if (path / "config.json").is_file() else "has no config.json"
    elif not _is_id(at.folder):
        problem = f"there is no folder {path}" if at.adapter else "there is no such folder"
    if problem:
        raise DataError(problem, source=source, expected=WANTED)


def _is_id(name: str) -> bool:
    """Return whether this can be an id on the hub, NAME or OWNER/NAME."""
    return re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", name) is not None


def _merge_adapter(model: Any, folder: str) -> Any:
    """Merge a PEFT adapter into the model's weights: it reads as fast as without."""
    peft = needs_models("peft")
    with warnings.catch_warnings():
        # peft 0.21 asks transformers 5.23 for an attribute by its old name.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        return peft.PeftModel.from_pretrained(model, folder).merge_and_unload()


def _has_tokenizer(folder: str) -> bool:
    return (Path(folder) / "tokenizer_config.json").is_file()


@contextmanager
def _quiet_dequantising() -> Iterator[None]:
    """Disable tqdm while a GGUF file is read: transformers' switch does not reach it."""
    gguf: Any = importlib.import_module("transformers.modeling_gguf_pytorch_utils")
    bar = gguf.tqdm
    gguf.tqdm = lambda rows, *_, **__: rows
    try:
        yield
    finally:
        gguf.tqdm = bar


def about(model: Any, path_or_id: str | Path, revision: str | None) -> dict[str, Any]:
    """Return columns of the observation table that identify this model, as far as it tells."""
    told = getattr(model.config, "augury", None)
    if isinstance(told, dict):
        return dict(told)
    torch = needs_models("torch")
    at = place(path_or_id)
    name = model_name(path_or_id)
    if at.gguf:
        name = Path(at.gguf).stem
    tables = [m.weight for m in model.modules() if isinstance(m, torch.nn.Embedding)]
    tables.append(model.get_output_embeddings().weight)
    left_out = {id(table) for table in tables}
    columns = {
        "model": name,
        "family": family_of(name),
        "revision": revision,
        "step": step_of(revision, name),
        "params": float(sum(p.numel() for p in model.parameters() if id(p) not in left_out)),
        "params_total": float(sum(p.numel() for p in model.parameters())),
        "adapter_of": model_name(at.folder) if at.adapter else None,
    }
    return {column: value for column, value in columns.items() if value is not None}
