"""Six real cases as executed notebooks: `python -m benchmarks.notebooks [NAME ...]`.

The cells below run in order in one namespace, and are written with their output to
docs/notebooks/NAME.ipynb, in the notebook format 4.5. `--tables FOLDER` writes the tables they
read, made from the public data, for anyone who wants to run a notebook.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import io
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from augury.runtime.atomic import atomic_file
from benchmarks.questions import prepare

FOLDER = Path(__file__).parent.parent / "docs" / "notebooks"


@dataclass(frozen=True)
class Case:
    """A notebook.

    Attributes:
        title: its heading.
        about: what the data are.
        source: where they come from.
        cells: pairs of text and code; either may be empty.
    """

    title: str
    about: str
    source: str
    cells: tuple[tuple[str, str], ...]


CASES: Mapping[str, Case] = {
    "chinchilla": Case(
        "Chinchilla: the loss at 70B parameters, and the best model for a budget",
        "245 training runs, read off the figures of Hoffmann et al. 2022.",
        "Besiroglu et al. 2024, github.com/epoch-research/analyzing-chinchilla, "
        "data/svg_extracted_data.csv.",
        (
            ("The five runs with the highest loss are left out, as in the paper.",
             'import augury\n\ncolumns = {"params": "Model Size", "flops": "Training FLOP"}\n'
             'table = augury.read_table("chinchilla.csv", columns=columns, where="loss < 3.43")\n'
             'fitted = augury.fit("chinchilla", table)\nprint(fitted)'),
            ("Each dot is a run, moved to one number of tokens by the law.", "fitted.chart()"),
            ("Chinchilla itself had 70B parameters and 1.4T tokens. Besiroglu et al.'s fit says "
             "1.973.",
             '(forecast,) = augury.predict(fitted, {"params": 70e9, "tokens": 1.4e12})\n'
             "print(forecast)"),
            ("Which model for 1e24 FLOPs? The loss is flat around its minimum, so the interval of "
             "the size is wide.",
             "print(augury.find_optimum(fitted, flops=1e24))"),
        ),
    ),
    "olmo-ladder": Case(
        "OLMo 2's ladder: a 7B model's scores from models of up to 1.3B",
        "Sixteen runs of 190M to 1.3B parameters; bits per byte and accuracy on eight tasks along "
        "the way.",
        "Bhagia et al. 2024, github.com/allenai/OLMo-ladder (Apache-2.0).",
        (
            ("Two steps in one call: from size and tokens to the bits per byte of the right "
             "answer, and from these to accuracy.",
             'import augury\nfrom augury.forecast.questions import ladder_outlook\n\n'
             'table = augury.read_table("ladder.csv")\n'
             'found = ladder_outlook(table, {"params": 6.89e9, "tokens": 3.945e12})\nprint(found)'),
            ("The 7B model scored arc_easy 85 %, piqa 82 %, hellaswag 81 %, csqa 73 %, "
             "arc_challenge 62 %, socialiqa 60 %, mmlu 49 %, openbookqa 49 %: seven of the eight "
             "90 % intervals hold, csqa's does not.",
             "found.chart()"),
        ),
    ),
    "pythia-trends": Case(
        "Pythia: which abilities get worse over training",
        "Twelve scores of eight sizes of Pythia at eight checkpoints.",
        "Michaelov & Bergen 2023, github.com/jmichaelov/emergent-inabilities (MIT).",
        (
            ("Each score is tested over training and over size, with p values that serially "
             "dependent checkpoints do not fool, at a false-discovery rate of 10 %.",
             'import augury\n\nfound = augury.trends(augury.read_table("pythia.csv"))\n'
             "for trend in found.trends:\n"
             '    if trend.axis == "tokens" and trend.shape != "flat":\n'
             "        print(trend.task, trend.shape, f\"{trend.effect:+.3f}\")"),
            ("", "found.chart()"),
        ),
    ),
    "mixtures": Case(
        "RegMix: the best mixture for web text, code and papers",
        "512 models of 1M parameters, each trained on its own mixture of 17 parts of the Pile.",
        "Liu et al. 2024, github.com/sail-sg/regmix (MIT).",
        (
            ("The mean of three validation losses is minimised, with caps on two parts. The best "
             "of the 512 runs has a mean of 4.62.",
             'import augury\n\ntable = augury.read_table("mixtures.csv")\n'
             "found = augury.find_mixture(\n    table,\n"
             '    minimise=["pile_cc_loss", "github_loss", "arxiv_loss"],\n'
             '    caps={"pile_cc": 0.6, "github": 0.4},\n)\nprint(found)'),
            ("", "found.chart()"),
        ),
    ),
    "repeats": Case(
        "Repeated data: how many epochs are worth it",
        "182 runs, many of which repeat their tokens.",
        "Muennighoff et al. 2023, github.com/huggingface/datablations (Apache-2.0).",
        (
            ("A law in which a repeated token is worth less each time. With the paper's constants "
             "four epochs are worth 3.73 fresh ones.",
             'import augury\n\ncolumns = {"loss": "val_loss"}\n'
             'table = augury.read_table("repeats.csv", columns=columns)\n'
             'fitted = augury.fit("data-constrained", table)\n'
             "found = augury.value_repeats(fitted, unique_tokens=4e9, params=2.8e9)\nprint(found)"),
            ("", "found.chart()"),
        ),
    ),
    "running-curve": Case(
        "A run under way: where it ends once its learning rate decays",
        "A run of 100M parameters, seen for 20,000 of its 24,000 steps: its learning rate has not "
        "begun to decay.",
        "Luo et al. 2025, github.com/thu-yao-01-luo/MultiPowerLaw (MIT).",
        (
            ("The loss that the decay will release has not been seen, so the interval says how "
             "much it was in other runs. This run ended at 2.951.",
             'import augury\n\nlog = augury.read_table("log.csv")\n'
             'plan = augury.read_table("schedule.csv")\n'
             "found = augury.forecast_run(log, plan, target=2.9)\nprint(found)"),
            ("", "found.chart()"),
        ),
    ),
}  # fmt: skip


def notebook_of(name: str, case: Case, folder: Path) -> dict[str, Any]:
    """The notebook, with its cells run in a folder with the tables."""
    made = "python -m benchmarks.notebooks --tables FOLDER` in a checkout of Augury writes the"
    cells = [
        _text(
            f"# {case.title}\n\n{case.about}\n\nData: {case.source} `{made} table that is read "
            "here; no number is changed. Run this notebook in that folder."
        )
    ]
    space: dict[str, Any] = {"__name__": "__main__"}
    count = 0
    here = Path.cwd()
    os.chdir(folder)
    try:
        for text, code in case.cells:
            if text:
                cells.append(_text(text))
            count += 1
            cells.append(_code(code, count, run_cell(code, count, space)))
    finally:
        os.chdir(here)
    for i, cell in enumerate(cells):
        cell["id"] = f"{name}-{i}"
    return {
        "cells": cells,
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def run_cell(code: str, count: int, space: dict[str, Any]) -> list[dict[str, Any]]:
    """What a cell prints, and the value of a last expression, as in Jupyter."""
    tree = ast.parse(code)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    printed, shown = io.StringIO(), None
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, f"cell {count}", "exec"), space)
        if isinstance(last, ast.Expr):
            shown = eval(compile(ast.Expression(last.value), f"cell {count}", "eval"), space)
    outputs: list[dict[str, Any]] = []
    if printed.getvalue():
        outputs.append(
            {"output_type": "stream", "name": "stdout", "text": _lines(printed.getvalue())}
        )
    if shown is not None:
        outputs.append(
            {"output_type": "execute_result", "execution_count": count, "metadata": {},
             "data": _pictured(shown)}
        )  # fmt: skip
    return outputs


def _pictured(shown: Any) -> dict[str, Any]:
    """A chart as the smaller of SVG and PNG; anything else as text."""
    import vl_convert

    if not hasattr(shown, "to_json"):
        return {"text/plain": _lines(repr(shown))}
    spec, said = shown.to_json(), {"text/plain": ["alt.Chart(...)"]}
    svg = vl_convert.vegalite_to_svg(spec)
    png = base64.b64encode(vl_convert.vegalite_to_png(spec)).decode()
    return {"image/svg+xml": [svg], **said} if len(svg) < len(png) else {"image/png": png, **said}


def _text(text: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "id": "", "metadata": {}, "source": _lines(text)}


def _code(code: str, count: int, outputs: list[dict[str, Any]]) -> dict[str, Any]:
    return {"cell_type": "code", "execution_count": count, "id": "", "metadata": {},
            "outputs": outputs, "source": _lines(code)}  # fmt: skip


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def main(words: list[str]) -> None:
    """Run all cases, or those named, and write their notebooks."""
    if words[:1] == ["--tables"]:
        prepare(Path(words[1]))
        return
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder))
        for name in words or CASES:
            made = notebook_of(name, CASES[name], Path(folder))
            with atomic_file(FOLDER / f"{name}.ipynb") as fresh:
                fresh.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n")
            print(name)


if __name__ == "__main__":
    main(sys.argv[1:])
