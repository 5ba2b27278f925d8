"""The table in docs/index.md and docs/gallery.md, from the record of `benchmarks.questions`.

python -m benchmarks.questions   # runs the commands: ten minutes
python -m benchmarks.gallery     # makes the pages, in no time
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from augury.runtime.atomic import atomic_file
from benchmarks.questions import QUESTIONS, RECORD, Question

DOCS = Path(__file__).parent.parent / "docs"
HOME, GALLERY = DOCS / "index.md", DOCS / "gallery.md"
BEGIN = "<!-- made by `python -m benchmarks.gallery` -->"
END = "<!-- end of what is made -->"
# Where each question is explained.
PAGES = {
    "loss": "quick-start.md",
    "optimum": "questions.md",
    "epochs": "questions.md",
    "mixture": "questions.md",
    "law": "laws.md",
    "twice": "questions.md",
    "olmo": "compare.md",
    "trends": "trends.md",
    "pass-rate": "passuntil.md",
    "emergence": "emergence.md",
    "track": "curves.md",
    "versus": "questions.md",
}
# The source of the data, in a sentence.
SOURCES = {
    "loss": "245 runs that Besiroglu et al. 2024 read off the figures of Hoffmann et al. 2022.",
    "optimum": "The same runs.",
    "epochs": "182 runs of Muennighoff et al. 2023, many of which repeat their tokens.",
    "mixture": "RegMix, Liu et al. 2024: 512 models of 1M parameters, each on its own mixture.",
    "law": "The Chinchilla runs again.",
    "twice": "OLMo 2's ladder, Bhagia et al. 2024: sixteen runs, 190M to 1.3B parameters.",
    "olmo": "The same ladder; the 7B model was trained on 3.9T tokens.",
    "trends": "Twelve tasks, eight sizes of Pythia, eight checkpoints: Michaelov & Bergen 2023.",
    "pass-rate": "A tiny model of the lab, trained in seconds.",
    "emergence": "Tiny models of the lab, finetuned on growing amounts (docs/experiments).",
    "track": "A 100M run of Luo et al. 2025, up to the start of its learning-rate decay.",
    "versus": "C4 and RedPajama runs of Gadre et al. 2024, loss on C4.",
}
# Cases that also exist as executed notebooks (`benchmarks.notebooks`).
NOTEBOOKS = {
    "loss": "chinchilla",
    "optimum": "chinchilla",
    "epochs": "repeats",
    "mixture": "mixtures",
    "olmo": "olmo-ladder",
    "trends": "pythia-trends",
    "track": "running-curve",
}


def answered(record: Mapping[str, Any]) -> list[Question]:
    """The questions in the record, in order."""
    return [question for question in QUESTIONS if question.key in record]


def home_table(record: Mapping[str, Any]) -> str:
    """One row per question: command, seconds, answer."""
    lines = ["| you ask | Augury answers | seconds | |", "|---|---|---|---|"]
    for question in answered(record):
        made = record[question.key]
        lines.append(
            f"| **{question.ask}**<br>`{_cell(question.command)}` | {_cell(made['answer'])}"
            f"{_truth(question)} | {made['cpu_seconds']:.0f} | "
            f"[more](gallery.md#{question.key}), [how]({PAGES[question.key]}) |"
        )
    return "\n".join(lines)


def _truth(question: Question) -> str:
    return f" ({_cell(question.truth)})" if question.truth else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def home_page(page: str, record: Mapping[str, Any]) -> str:
    """The home page with its table replaced."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n\n{home_table(record)}\n\n{END}{after}"


def gallery_page(record: Mapping[str, Any]) -> str:
    """Every question with its data, command, output and picture."""
    lines = [
        "# Gallery: real cases",
        "",
        "Each case uses public data and one command, and shows its unedited output and figure.",
        "`python -m benchmarks.questions` and `python -m benchmarks.gallery` make this page. Six",
        "cases are also executed notebooks, made by `python -m benchmarks.notebooks`: "
        + ", ".join(f"[{n}](notebooks/{n}.ipynb)" for n in dict.fromkeys(NOTEBOOKS.values()))
        + ".",
    ]
    for question in answered(record):
        made = record[question.key]
        lines += ["", f'<a id="{question.key}"></a>', "", f"## {question.ask}", ""]
        lines += [SOURCES[question.key], "", "```sh", question.command, "```", ""]
        lines += ["```text", made["shown"].rstrip().replace("  \n", "\n"), "```"]
        if question.truth:
            lines += ["", f"**Check.** {question.truth[0].upper()}{question.truth[1:]}."]
        if question.picture is not None:
            lines += ["", f"![{question.ask}](images/gallery/{question.key}.svg)"]
        if name := NOTEBOOKS.get(question.key):
            lines += ["", f"In Python: [a notebook](notebooks/{name}.ipynb)."]
    return "\n".join(line.rstrip() for line in "\n".join(lines).splitlines()) + "\n"


def main() -> None:
    """Write both pages."""
    record = json.loads(RECORD.read_text())
    home = home_page(HOME.read_text(encoding="utf-8"), record)
    for path, text in ((HOME, home), (GALLERY, gallery_page(record))):
        with atomic_file(path) as fresh:
            fresh.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
