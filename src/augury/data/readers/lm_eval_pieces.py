"""A result file of lm-evaluation-harness in pieces, one a key of the file: most need no parsing.

The harness writes JSON indented by two: a line break, two spaces and a quote begin a key of the
file itself and nothing else. Checkpoints of a run share all pieces but results, config and dates,
above all the settings of every task, which are most of a file. A piece that is the same bytes as
one that was parsed before is not parsed again. Whatever is not written that way (None) is for the
careful parser.
"""

from __future__ import annotations

from typing import Any

from pydantic_core import from_json

from augury.data.readers.files import count_keys, has_keys_once

# Looked at in every file; everything else only has to be JSON.
OBJECTS = ("results", "groups", "config")
SINGLE = (
    "model_name", "chat_template_sha", "system_instruction_sha", "fewshot_as_multiturn", "date",
    "lm_eval_version", "git_hash", "transformers_version",
)  # fmt: skip
BEFORE = b'\n  "'
_READ = {name.encode() for name in (*OBJECTS, *SINGLE)}
# Pieces that were parsed, by their key, and the keys of the last file in their order: what follows
# is most likely the same again.
_sound: dict[bytes, bytes] = {}
_order: list[bytes] = []
LONGEST = 2**20  # bytes of a piece that is kept to be compared


def pieces_of(data: bytes) -> tuple[dict[str, Any], dict[bytes, bytes]] | None:
    """What is read of a file, parsed, and all its pieces as they are written."""
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
                if len(made) != 1:  # a key more than was thought
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
    """The file's keys, each with its text: `key": value`, without the comma behind it."""
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
    """The same, cut where the keys of the last file are, if this one has them in the same order.

    Pieces that are known are not even copied. A piece that holds a key more than was thought has
    more than one when it is parsed.
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
    """Whether there are as many keys as colons; quickly for two levels, as most results are."""
    if type(part) is not dict:
        return type(part) is not list and has_keys_once(piece, 1)
    inside = [x for x in part.values() if type(x) is dict]
    deeper = [e["sample_count"] for e in inside if "sample_count" in e]
    count = 1 + len(part) + sum(map(len, inside)) + sum(map(count_keys, deeper))
    return has_keys_once(piece, count)
