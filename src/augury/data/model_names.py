"""What a model's name tells: size, step, tokens, series. The only parser of such names.

A size read from a name is nominal: "pythia-1.4b" has 1.21e9 parameters without embeddings and
1.41e9 with them. Whatever a name does not state clearly is None, with the reason in `unclear`: two
sizes ("draft-1b-of-7b"), a mixture of experts ("8x7b", "17B-16E"), a size that no model has.

Numbers with K or T are not sizes: "-8k" is a context length and "-1T" are tokens. "A3B" and "a400m"
are the active parameters of a mixture of experts, "E2B" the effective ones; neither is N.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

# "410m", "1.4b", BLOOM's "7b1" (7.1 billion) and OpenELM's "1_1B" (1.1 billion, where the
# underscore is not what separates words), with nothing beside it.
SIZE = re.compile(
    r"(?<![a-z0-9.])(?:"
    r"(?<![_a-z0-9.])(?P<whole>\d{1,2})_(?P<part>\d{1,2})(?P<scale>[mb])"
    r"|(?P<number>\d+(?:\.\d+)?)(?P<unit>[mb])"
    r"|(?P<billions>\d+)b(?P<tenths>\d)"
    r")(?![a-z0-9])",
    re.IGNORECASE,
)
SCALE = {"m": 1e6, "b": 1e9, "t": 1e12}
SMALLEST, LARGEST = 1e3, 2e13  # larger than any model: the number means something else
CONTEXTS = {1e6, 2e6, 4e6, 1e7}  # "-7B-Instruct-1M": a window of a million tokens
# "llama_2_7b": 7 billion of a second version, or 2.7 billion.
_UNDERSCORES = re.compile(r"_\d{1,2}_\d{1,2}[mb](?![a-z0-9])", re.IGNORECASE)
# "8x7b" and "17B-16E": neither number is the total size.
_EXPERTS = re.compile(
    r"(?<![a-z0-9.])\d+x\d+(?:[._]\d+)?[mb](?![a-z0-9])|(?<=[mb][-_])\d+e(?![a-z0-9])",
    re.IGNORECASE,
)
# "350bt", "300BT": billions of tokens. "tokens5B", "5Btokens", "105B-tok".
_TOKENS = re.compile(
    r"tokens?[-_=]?(?P<after>\d+(?:\.\d+)?)(?P<unit_after>[mbt])(?![a-z0-9])"
    r"|(?<![a-z0-9.])(?P<before>\d+(?:\.\d+)?)(?P<unit_before>[mbt])(?:t|[-_]?tok(?:en)?s?)(?![a-z0-9])",
    re.IGNORECASE,
)
# "step64k" is not 64 (nor exactly 64,000), and "step0.5" is not a step.
STEP = re.compile(
    r"(?<![a-z])(?:global[-_]?steps?|steps?|checkpoint|ckpt|iter(?:ation)?)[-_=]?"
    r"(?P<step>\d{1,15})(?!\d|\.\d|[kmb](?![a-z]))",
    re.IGNORECASE,
)
_ROUNDED_STEP = re.compile(
    r"(?<![a-z])(?:global[-_]?steps?|steps?|checkpoint|ckpt|iter(?:ation)?)[-_=]?\d+(?:\.\d+)?[kmb]"
    r"(?![a-z])",
    re.IGNORECASE,
)
_TWO_COUNTERS = re.compile(r"(?<![a-z])checkpoint_\d+_\d+", re.IGNORECASE)  # epoch and update
_DATE = re.compile(r"(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])")
LAST_STEP = 10**9
_SECOND = re.compile(r" #\d+$")  # the second run of the same name
# Number formats do not tell which series a model belongs to.
_STORED = re.compile(r"^(bf16|fp16|fp32|f16|f32|bfloat16|float16|float32|hf)$", re.IGNORECASE)
# Names that tools give to files and folders; the remainder may name the model.
GENERIC = re.compile(
    r"^(results?|samples?|eval|evals|output|outputs|out|logs?|details|zero-shot|\d+-shot|main)$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class ModelName:
    """What a name, together with its revision, tells.

    Attributes:
        model: the name without the parts that identify the checkpoint.
        family: the series: the model's name without its owner and its size.
        params: nominal size.
        step: checkpoint.
        tokens: tokens seen, rounded as in the name.
        unclear: why params or step are None although the name contains something like them.
    """

    model: str | None = None
    family: str | None = None
    params: float | None = None
    step: int | None = None
    tokens: float | None = None
    unclear: tuple[str, ...] = ()


@lru_cache(4096)
def parse_model_name(name: str | None, revision: str | None = None) -> ModelName:
    """Parse everything that a model's name and its revision tell.

    Args:
        name: hub id, path or folder.
        revision: branch or checkpoint, such as "step1000" or "stage1-step1000-tokens5B".
    """
    model = model_of(name)
    texts = (revision, name)
    step = step_of(*texts)
    size, unclear = read_size(name)
    reasons = [unclear] if unclear else []
    if step is None and any(t and _ROUNDED_STEP.search(t) for t in texts):
        reasons.append("the step is rounded")
    return ModelName(
        model,
        None if model is None else family_of(model),
        size,
        step,
        tokens_of(*texts),
        tuple(reasons),
    )


@lru_cache(4096)
def read_size(text: str | None) -> tuple[float | None, str | None]:
    """Return the nominal size in a name, or None, and the reason if it is unclear."""
    if text is None:
        return None, None
    if _UNDERSCORES.search(text):
        return None, "an underscore in the size separates words or is the decimal point"
    if _EXPERTS.search(text):
        return None, "a mixture of experts, whose name does not say its size"
    found = set()
    for match in SIZE.finditer(_TOKENS.sub(" ", text)):
        if match["whole"]:
            number, unit = f"{match['whole']}.{match['part']}", match["scale"]
        elif match["number"]:
            number, unit = match["number"], match["unit"]
        else:
            number, unit = f"{match['billions']}.{match['tenths']}", "b"
        found.add(float(number) * SCALE[unit.lower()])
    possible = {size for size in found if SMALLEST <= size <= LARGEST}
    if max(possible, default=0) >= 1e8:
        possible -= CONTEXTS
    if len(possible) == 1:
        return possible.pop(), None
    if possible:
        return None, f"{len(possible)} sizes in the name"
    return None, f"no model has {max(found):g} parameters" if found else None


def size_of(text: str | None) -> float | None:
    """Return the nominal size in a name, or None."""
    return read_size(text)[0]


def step_of(*texts: str | None) -> int | None:
    """Return the checkpoint from the first of these texts that has one, or None."""
    return next((step for step in map(_step, texts) if step is not None), None)


@lru_cache(4096)
def _step(text: str | None) -> int | None:
    if text is None or _TWO_COUNTERS.search(text):
        return None
    found = {m["step"] for m in STEP.finditer(text)}
    steps = {int(digits) for digits in found if not _DATE.fullmatch(digits)}
    return steps.pop() if len(steps) == 1 and max(steps) <= LAST_STEP else None


def tokens_of(*texts: str | None) -> float | None:
    """Return the tokens seen from the first of these texts that has them, or None."""
    for text in texts:
        found = set()
        for match in _TOKENS.finditer(text or ""):
            number, unit = match["after"] or match["before"], match["unit_after"]
            found.add(float(number) * SCALE[(unit or match["unit_before"]).lower()])
        if len(found) == 1:
            return found.pop()
    return None


@lru_cache(4096)
def model_of(name: str | None) -> str | None:
    """Return the name without checkpoint parts; of a long path, its last part."""
    if name is None:
        return None
    parts = [p for p in name.replace("\\", "/").split("/") if p not in ("", ".", "..")]
    kept = [p for p in parts if not STEP.fullmatch(p) and not GENERIC.match(p)] or parts
    if not kept:
        return None
    if len(kept) > 2 or name.startswith(("/", ".", "~")):
        kept = kept[-1:]
    last = STEP.sub("", kept[-1]).strip("-_. ")
    return "/".join([*kept[:-1], last]) if last else "/".join(kept)


@lru_cache(4096)
def family_of(model: str) -> str | None:
    """Drop owner and size: "EleutherAI/pythia-1.4b-deduped" becomes "pythia-deduped"."""
    last = _SECOND.sub("", model.rsplit("/", 1)[-1])
    if not SIZE.search(last):
        return last
    words = re.split(r"[-_ ]+", SIZE.sub("", last))
    return "-".join(w for w in words if w and not _STORED.match(w)) or None
