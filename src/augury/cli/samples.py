"""The command that shows model outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from augury.cli.application import MEASURE, app
from augury.cli.options import AsJson
from augury.cli.printing import print_json
from augury.errors import UsageError


@app.command(rich_help_panel=MEASURE)
def samples(
    study: Annotated[Path, typer.Argument(help="A study's folder.")],
    task: Annotated[str | None, typer.Option(help="Only this task.")] = None,
    instance: Annotated[str | None, typer.Option(help="Only this instance.")] = None,
    passed: Annotated[
        bool | None, typer.Option("--passed/--failed", help="Only those that passed, or failed.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Read model outputs: the first passes and failures of each instance, with reasons."""
    from augury.evaluate.kept_samples import study_samples

    if not study.is_dir():
        raise UsageError(f"{study} is not a study's folder")
    found = [
        sample
        for sample in study_samples(study)
        if task in (None, sample["task"])
        and instance in (None, sample["instance"])
        and passed in (None, sample["passed"])
    ]
    if as_json:
        print_json(found)
        return
    for sample in found:
        verdict = "passed" if sample["passed"] else "failed"
        print(f"{sample['model']}, {sample['task']}, {sample['instance']}: {verdict}")
        if sample["reason"]:
            print(f"  {sample['reason']}")
        for line in sample["text"].split("\n"):
            print(f"  | {line}")
    if not found:
        print("No matching samples are kept. Computed pass rates need no samples.")
