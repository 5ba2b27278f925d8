"""A result file of lm-evaluation-harness in pieces, one per key: most need no parsing.

The harness writes JSON with an indent of two: a line break, two spaces and a quote always begin a
top-level key. Checkpoints of a run share all pieces except results, config and dates, above all the
settings of every task, which make up most of a file. A piece with the same bytes as one parsed
before is not parsed again. A file written in any other way (None) is left to the careful parser.
"""

from __future__ import annotations

from typing import Any

from pydantic_core import from_json

from augury.data.readers.files import count_keys, has_keys_once

# Read from every file; everything else only has to be valid JSON.
OBJECTS = ("results", "groups", "config")
SINGLE = (
    "model_name", "chat_template_sha", "system_instruction_sha", "fewshot_as_multiturn", "date",
    "lm_eval_version", "git_hash", "transformers_version",
)  # fmt: skip
BEFORE = b'\n  "'
_READ = {name.encode() for name in (*OBJECTS, *SINGLE)}
# Parsed pieces by key, and the keys of the last file in order: the next file most likely has the
# same.
_sound: dict[bytes, bytes] = {}
_order: list[bytes] = []
LONGEST = 2**20  # maximum bytes of a piece kept for comparison


def pieces_of(data: bytes) -> tuple[dict[str, Any], dict[bytes, bytes]] | None:
    """Return the relevant pieces of a file, parsed, and all its pieces as written."""
    body = data if data.endswith(b"\n}") else data.rstrip()
    if not (body.startswith(b"{" + BEFORE) and body.endswith(b"\n}")):
        return None
    parts = _split_as_before(body) or _split(body)
    if parts is None or b"results" not in parts:
        return None
    value: dict[str, Any] = {}
    try:
        for key, piece in parts.items():
            if key in _READ:
                made = from_json(b'{"%b}' % piece)
                if len(made) != 1:  # one key more than expected
                    return None
                ((name, part),) = made.items()
                if not _is_once(piece, part):
                    return None
                value[name] = part
            elif _sound.get(key) is not piece:
                if len(from_json(b'{"%b}' % piece)) != 1:
                    return None
                if len(piece) <= LONGEST:
                    _sound[key] = piece
    except ValueError:
        return None
    _order[:] = parts
    return value, parts


def _split(body: bytes) -> dict[bytes, bytes] | None:
    """Split a file into its keys, each with its text: `key": value`, without the comma after it."""
    found = body[5:-2].split(BEFORE)
    parts: dict[bytes, bytes] = {}
    for i, piece in enumerate(found):
        if i < len(found) - 1:
            if not piece.endswith(b","):
                return None
            piece = piece[:-1]
        key, quote, _ = piece.partition(b'"')
        if not quote or key in parts or b"\\" in key:
            return None
        parts[key] = piece
    return parts


def _split_as_before(body: bytes) -> dict[bytes, bytes] | None:
    """Do the same, cutting at the keys of the last file if this one has them in the same order.

    Known pieces are not even copied. A piece that holds more keys than expected is detected when it
    is parsed.
    """
    parts: dict[bytes, bytes] = {}
    at = len(b"{" + BEFORE)
    if not _order or not body.startswith(_order[0] + b'"', at):
        return None
    for key, following in zip(_order, [*_order[1:], None], strict=True):
        tail = b"\n}" if following is None else b"," + BEFORE + following + b'"'
        known = _sound.get(key)
        end = at + len(known or b"")
        whole = following is not None or end + len(tail) == len(body)
        if known and whole and body.startswith(known, at) and body.startswith(tail, end):
            parts[key] = known
        else:
            end = len(body) - len(tail) if following is None else body.find(tail, at)
            if end < at:
                return None
            parts[key] = body[at:end]
        at = end + len(b"," + BEFORE)
    return parts


def _is_once(piece: bytes, part: Any) -> bool:
    """Return whether there are as many keys as colons; fast for the usual two levels."""
    if type(part) is not dict:
        return type(part) is not list and has_keys_once(piece, 1)
    inside = [x for x in part.values() if type(x) is dict]
    deeper = [e["sample_count"] for e in inside if "sample_count" in e]
    count = 1 + len(part) + sum(map(len, inside)) + sum(map(count_keys, deeper))
    return has_keys_once(piece, count)
