"""What distinguishes models: a digest of their files."""

from __future__ import annotations

import hashlib
from pathlib import Path

from augury.evaluate.models import SERVERS

# A weight file is identified by its size and this much of either end: reading 100 GB takes minutes.
END_BYTES = 2**20


def model_digest(place: str) -> str:
    """Return a hash of a model's files, or its name if it is not on this machine.

    For files beyond 2 MB, size and both ends are hashed.
    """
    kind, _, rest = place.partition(":")
    path = Path(rest)
    if kind in SERVERS or not path.exists():
        return place
    whole = hashlib.sha256()
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    for file in files:
        size = file.stat().st_size
        whole.update(f"{file.relative_to(path)} {size} ".encode())
        with file.open("rb") as opened:
            whole.update(opened.read(END_BYTES))
            if size > END_BYTES:
                opened.seek(max(size - END_BYTES, END_BYTES))
                whole.update(opened.read())
    return whole.hexdigest()
