"""The command that samples until something passes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from augury.cli import startup
from augury.cli.application import MEASURE, app
from augury.cli.arguments import parse_extra, parse_stops
from augury.cli.options import AsJson, Level, Seed
from augury.cli.printing import print_json
from augury.errors import UsageError

if TYPE_CHECKING:
    from augury.evaluate import Backend, PassCounts, Task
    from augury.evaluate.pass_counts import Method


@app.command(rich_help_panel=MEASURE)
def passuntil(
    model: Annotated[
        str,
        typer.Option(help="lab:DIR, hf:PATH, hf:FILE.gguf, hf:ID@REVISION, http:URL#MODEL."),
    ],
    task: Annotated[
        str, typer.Option(help="A JSONL file, a task of the lab by name, or lm-eval:NAME.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="The study's folder: journal and rows. Without it, nothing is kept."),
    ] = None,
    checker: Annotated[
        str | None,
        typer.Option(
            help="exact, any-of, prefix, regex, numeric:TOL, last-number, choice, unit-tests, or "
            "your own MODULE:FUNCTION. Default: exact. The lab's and lm-eval's tasks have theirs."
        ),
    ] = None,
    r: Annotated[int | None, typer.Option(help="Passes after which an instance ends (2).")] = None,
    max_samples: Annotated[
        int | None,
        typer.Option(help="Maximum samples per instance (100,000; 2,000 with --proposal)."),
    ] = None,
    relative_error: Annotated[
        float | None, typer.Option(help="Instead of --r: relative standard error of each rate.")
    ] = None,
    budget: Annotated[
        int | None, typer.Option(help="Total samples, spent where least is known.")
    ] = None,
    max_tokens_total: Annotated[
        int | None,
        typer.Option(help="Maximum total tokens: drawn and, on a server, read. It ends the run."),
    ] = None,
    temperature: Annotated[float, typer.Option(help="Temperature of the sampling.")] = 1.0,
    method: Annotated[
        str | None, typer.Option(help="exact, tree or independent. Default: the cheapest.")
    ] = None,
    proposal: Annotated[
        list[str] | None,
        typer.Option(
            help=(
                "Rare passes with fewer samples: draw from 'hint' (the solved question before "
                "the prompt) or from another model with the same tokenizer, and reweight. "
                "Repeatable."
            )
        ),
    ] = None,
    own_share: Annotated[
        float, typer.Option(help="With --proposal: share of draws from the model itself.")
    ] = 0.2,
    device: Annotated[
        str | None, typer.Option(help="hf: models: cpu, cuda, or auto to spread over several GPUs.")
    ] = None,
    dtype: Annotated[
        str | None, typer.Option(help="hf: models: precision, such as bfloat16.")
    ] = None,
    batch_tokens: Annotated[
        int | None,
        typer.Option(help="hf: models: maximum tokens per batch; less needs less memory."),
    ] = None,
    tokens: Annotated[int, typer.Option(help="Tokens to sample, for tasks from a file.")] = 256,
    stop: Annotated[
        list[str] | None,
        typer.Option(help=r"End a sample before this text; \n is a newline. Repeatable."),
    ] = None,
    chat: Annotated[
        bool,
        typer.Option("--chat", help="hf:, vllm:, http:, inspect: models: use the chat template."),
    ] = False,
    system: Annotated[str | None, typer.Option(help="With --chat: the system prompt.")] = None,
    chat_prompt: Annotated[
        str | None,
        typer.Option(
            help=(
                "With --chat: the user's message, containing {prompt}. Default: the prompt; "
                "with unit-tests, a request for the function."
            )
        ),
    ] = None,
    extract: Annotated[
        str | None,
        typer.Option(help="Judge a part of an answer: fence, last-line or a regular expression."),
    ] = None,
    extra: Annotated[
        list[str] | None,
        typer.Option(help='http:, inspect: models: more fields of a request: "top_k=-1".'),
    ] = None,
    keep: Annotated[
        int, typer.Option(min=0, help="Passes and failures per instance kept for augury samples.")
    ] = 3,
    instances: Annotated[
        int | None,
        typer.Option(help="Instances of a task of the lab (256); the first ones of lm-eval's."),
    ] = None,
    lm_eval_path: Annotated[
        Path | None, typer.Option(help="Folder of more lm-evaluation-harness tasks.")
    ] = None,
    plan: Annotated[
        bool,
        typer.Option("--plan", help="Draw a few samples, estimate the cost of the run, and stop."),
    ] = False,
    price_in: Annotated[
        float | None, typer.Option(help="With --plan: price per million tokens read.")
    ] = None,
    price_out: Annotated[
        float | None, typer.Option(help="With --plan: price per million tokens drawn.")
    ] = None,
    level: Level = 0.9,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Measure a pass rate by sampling until something passes. Run it again to resume."""
    if not 0 < level < 1:
        raise UsageError(f"--level must lie between 0 and 1, not {level}")
    if not plan and (price_in is not None or price_out is not None):
        raise UsageError("--price-in and --price-out are for --plan")
    if out is not None and out.is_file():
        raise UsageError(f"--out {out} is a file; expected a study's folder")
    from augury.evaluate import checkers, pass_until, read_task
    from augury.evaluate.chat import chat_for
    from augury.evaluate.checkers import extracting, validate_task
    from augury.evaluate.choices import validate_choices
    from augury.evaluate.models import Loading, open_model
    from augury.lab import lab_instances

    if Path(task).suffix in (".jsonl", ".ndjson"):
        check = checker or "exact"
        asked = read_task(task, checker=check, length=tokens, stop=parse_stops(stop))
    elif task.startswith("lm-eval:"):
        from augury.evaluate.lm_eval_tasks import lm_eval_task

        name = task.removeprefix("lm-eval:")
        if checker is not None:
            raise UsageError(f"tasks of lm-eval have their own checker, not '{checker}'")
        asked = lm_eval_task(name, include_path=lm_eval_path, limit=instances)
    elif checker not in (None, "prefix"):
        raise UsageError(f"the lab's tasks have the checker prefix, not '{checker}'")
    else:
        asked = lab_instances(task, 256 if instances is None else instances)
    if asked.checker == "choice":
        validate_choices(asked)
    else:
        validate_task(asked)
    from augury.evaluate.run_cost import check_prices, plan_run
    from augury.evaluate.run_plan import RunOptions, check_options

    check_prices(price_in, price_out)
    options = RunOptions(
        r, max_samples, temperature, cast("Method | None", method), relative_error, budget,
        max_tokens_total, seed, tuple(proposal or ()), own_share,
    )  # fmt: skip
    judge = None
    if asked.checker != "choice":
        named = checkers.checker(asked.checker)
        if extract is not None:
            judge = extracting(named, extract)
        check_options(asked, judge or named, options)
    elif plan:
        raise UsageError("multiple choice is scored in one pass per option: nothing to plan")
    conversation = chat_for(chat, system, chat_prompt, asked)
    loading = Loading(device, dtype, batch_tokens, parse_extra(extra), conversation)
    backend = open_model(model, loading)
    startup.keep_compiled()
    if asked.checker == "choice":
        _print_choices(backend, asked, out, as_json)
        return
    if plan:
        cost = plan_run(
            backend, asked, options, check=judge, price_in=price_in, price_out=price_out
        )
        if as_json:
            print_json(cost.to_dict())
        else:
            print(cost)
        return
    from augury.cli.progress import show_samples

    with show_samples() as seen:
        result = pass_until(
            backend, asked, check=judge, study=out, progress=seen, keep=keep, **vars(options)
        )
    if as_json:
        print_json({**result.to_dict(level), "study": None if out is None else str(out)})
        return
    _print_result(result, out)


def _print_choices(backend: Backend, asked: Task, out: Path | None, as_json: bool) -> None:
    import polars as pl

    from augury.data import read_table
    from augury.evaluate.choices import measure_choices, save_choices

    if out is None:
        rows = measure_choices(backend, asked).filter(pl.col("instance").is_null())
    else:
        rows = read_table(save_choices(backend, asked, out), where="instance IS NULL")
    found = rows.select("task", "metric", "value", "stderr", "n", "chance").to_dicts()
    if as_json:
        print_json(found)
        return
    print("\n".join(f"{x['task']}: {x['metric']} {x['value']:.4g}" for x in found))


def _print_result(result: PassCounts, out: Path | None) -> None:
    print(result)
    for told in result.notes:
        print(f"  {told}")
    if not result.exact and not result.passes.any():
        shown = {(s.instance, s.text): s.reason or "failed" for s in result.kept}
        for (instance, text), reason in [*shown.items()][:2]:
            print(f"  {instance}: {text[:300]!r} {reason}")
    if out is None:
        print("  nothing was kept: --out FOLDER keeps rows and samples")
    else:
        print(f"  rows: {out} (a study's folder is a table: augury passrate {out})")
