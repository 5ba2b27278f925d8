"""Where a study keeps each measurement: a folder named by a hash of its settings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from augury.errors import UsageError
from augury.evaluate.tasks import Task
from augury.runtime.atomic import atomic_file


def measurement_folder(
    study: Path,
    about: Mapping[str, Any],
    task: Task,
    judge: str,
    settings: Mapping[str, Any],
) -> Path:
    """Return the folder of a measurement with exactly these settings; it also contains them."""
    # The count with embeddings was added later: older measurements continue in their folder.
    whole = {
        "model": {column: x for column, x in about.items() if column != "params_total"},
        "task": task.name,
        "task_digest": task.digest,
        "checker": judge,
        "tokens": task.tokens,
        **settings,
    }
    text = json.dumps(whole, sort_keys=True, default=str)
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    name = f"{task.name}-{about.get('model', 'model')}"
    safe = "".join(c if c.isalnum() or c in "-_." else "_" for c in name)[-80:].lstrip(".")
    folder = study / "measurements" / f"{safe}-{digest}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder}: cannot be created: {error.strerror}") from error
    if not (folder / "settings.json").exists():
        with atomic_file(folder / "settings.json") as fresh:
            fresh.write_text(json.dumps(whole, indent=2, default=str) + "\n")
    return folder
