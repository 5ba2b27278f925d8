"""Pages of docs/reference that are made from the code: `python -m benchmarks.reference`."""

from __future__ import annotations

from pathlib import Path

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


def main() -> None:
    """Write the pages."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "notes.md").write_text(notes_page(), encoding="utf-8")
    print(f"wrote {FOLDER / 'notes.md'}")


if __name__ == "__main__":
    main()
