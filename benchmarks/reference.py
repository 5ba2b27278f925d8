"""Pages of docs/reference that are made from the code: `python -m benchmarks.reference`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import augury
from augury.notes import NOTES

FOLDER = Path(__file__).parent.parent / "docs" / "reference"
ROOMS = {
    "fitting": "Fits",
    "forecast": "Forecasts, emergence and trends",
    "evaluate": "Evaluating",
    "data": "Data",
    "study": "Studies",
    "report": "Pages",
}
# Public names by purpose; a test checks that each is in one list.
TASKS: dict[str, tuple[str, tuple[str, ...]]] = {
    "tables": ("Read tables and results", ("read_table", "read", "AuguryError")),
    "fits": (
        "Fit laws",
        ("law", "all_laws", "Law", "fit", "Fit", "fit_many", "Chain", "fit_chain", "Gaussian"),
    ),
    "forecasts": (
        "Forecast and backtest",
        (
            "forecast_ahead",
            "predict",
            "Forecast",
            "backtest",
            "compare",
            "choose",
            "combine",
            "forecast_curve",
            "forecast_ladder",
        ),
    ),
    "questions": (
        "Answer questions",
        (
            "find_optimum",
            "value_repeats",
            "find_mixture",
            "rank_mixtures",
            "forecast_run",
            "compare_series",
            "measure_size",
        ),
    ),
    "abilities": (
        "Pass rates, emergence, trends",
        (
            "pass_until",
            "forecast_pass_rate",
            "emergence_data",
            "fit_emergence",
            "emergence_point",
            "trends",
        ),
    ),
    "keeping": ("Save, load, run studies", ("save", "load", "save_fit", "load_fit", "Study")),
}


def notes_page() -> str:
    """docs/reference/notes.md: every note code with its meaning and remedy."""
    lines = [
        "# Notes",
        "",
        "A result carries notes: what to know before you believe it. Each has a code that stays",
        "the same between versions, a severity (`info`, `warning`: read it first, `serious`: do",
        "not use the result), a sentence and the figures behind it (`--json` prints them). This",
        "page is made from `augury.notes.NOTES` by `python -m benchmarks.reference`.",
    ]
    for room, title in ROOMS.items():
        kinds = {code: kind for code, kind in NOTES.items() if kind.room == room}
        if kinds:
            lines += [
                "",
                f"## {title}",
                "",
                "| code | what it means | what to do |",
                "|---|---|---|",
            ]
            lines += [f"| `{code}` | {k.meaning} | {k.remedy} |" for code, k in kinds.items()]
    return "\n".join(lines) + "\n"


def commands_page() -> str:
    """docs/reference/commands.md: every command with its arguments and options."""
    from typer.main import get_command

    from augury.cli import app
    from augury.cli.application import GROUPS

    group: Any = get_command(app)
    lines = [
        "# Commands",
        "",
        "`augury COMMAND --help` says the same in a terminal. `--json` prints one line of JSON on",
        "standard output; notes and progress go to standard error; a mistake prints one line and",
        "exits with 2. This page is made by `python -m benchmarks.reference`.",
    ]
    for title in GROUPS:
        lines += ["", f"## {title}"]
        for name, command in group.commands.items():
            if command.rich_help_panel == title:
                lines += ["", *_command_lines(name, command)]
    return "\n".join(lines) + "\n"


def _command_lines(name: str, command: Any) -> list[str]:
    shown = [p for p in command.params if not getattr(p, "hidden", False)]
    arguments = [p for p in shown if p.param_type_name == "argument"]
    words = [(p.metavar or p.name).upper() for p in arguments]
    words = [w if p.required else f"[{w}]" for w, p in zip(words, arguments, strict=True)]
    lines = [f"### {name}", "", command.help.strip(), "", f"    augury {' '.join([name, *words])}"]
    rows = [(f"`{word}`", p) for word, p in zip(words, arguments, strict=True)]
    rows += [
        (", ".join(f"`{text}`" for text in p.opts + p.secondary_opts), p)
        for p in shown
        if p.param_type_name == "option" and p.name != "help"
    ]
    if rows:
        lines += ["", "| | | default |", "|---|---|---|"]
        lines += [f"| {names} | {_cell(p.help or '')} | {_default(p)} |" for names, p in rows]
    return lines


def _default(parameter: Any) -> str:
    value = parameter.default
    if parameter.required:
        return "required"
    return f"`{value}`" if isinstance(value, str | int | float) and value is not False else ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def python_page(task: str) -> str:
    """docs/reference/python-TASK.md: the public names for one task, from their docstrings."""
    title, names = TASKS[task]
    lines = [
        f"# Python: {title[0].lower()}{title[1:]}",
        "",
        "`import augury` takes milliseconds and loads the rest when it is asked for. Results show",
        "themselves in a notebook, give their rows by `.to_pandas()` and a picture by `.chart()`.",
        "",
        *(f"::: augury.{name}" for name in names),
    ]
    return "\n".join(lines) + "\n"


def pages() -> dict[str, str]:
    """The text of every page by its file name."""
    return {
        "notes.md": notes_page(),
        "commands.md": commands_page(),
        **{f"python-{task}.md": python_page(task) for task in TASKS},
    }


def unlisted() -> list[str]:
    """Public names on no page, and names on several."""
    listed = [name for _, names in TASKS.values() for name in names]
    return sorted(
        {*augury.__all__} ^ {*listed} | {name for name in listed if listed.count(name) > 1}
    )


def main() -> None:
    """Write the pages."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
        print(f"wrote {FOLDER / name}")


if __name__ == "__main__":
    main()
