"""Commands that measure: read, passuntil."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from augury.cli import startup
from augury.cli.application import MEASURE, app
from augury.cli.arguments import parse_extra, parse_stops
from augury.cli.options import AsJson, Level, Seed
from augury.cli.printing import print_json
from augury.errors import UsageError


@app.command(rich_help_panel=MEASURE)
def read(
    kind: Annotated[
        str, typer.Argument(help="lm-eval, inspect, lighteval, loss ...: see the docs.")
    ],
    paths: Annotated[list[Path], typer.Argument(help="Files, or folders that are searched.")],
    out: Annotated[Path, typer.Option(help="Table to write: .parquet, .csv, .tsv or .jsonl.")],
    models: Annotated[
        Path | None, typer.Option(help="Table: model, and any of step, params, tokens, loss ...")
    ] = None,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Read the rest when a file is wrong.")
    ] = False,
    newest: Annotated[
        bool, typer.Option("--newest", help="Of one measurement in two files, keep the latest.")
    ] = False,
    variant: Annotated[
        list[str] | None,
        typer.Option(
            help="Keep both of two measurements that differ in this: date, lm_eval_version, "
            "batch_size, folder, file. Repeatable."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Read result files of other tools into one table."""
    from augury.data.readers import read_results, write_results

    found = read_results(
        kind, paths, models=models, keep_going=keep_going, newest=newest, variant=variant or ()
    )
    write_results(found, out)
    if as_json:
        print_json(found.to_dict() | {"out": str(out)})
        return
    print(f"{found}\nTable: {out}")


@app.command(rich_help_panel=MEASURE)
def passuntil(
    model: Annotated[
        str,
        typer.Option(help="lab:DIR, hf:PATH, hf:FILE.gguf, hf:ID@REVISION, http:URL#MODEL."),
    ],
    task: Annotated[
        str, typer.Option(help="A JSONL file, a task of the lab by name, or lm-eval:NAME.")
    ],
    out: Annotated[Path, typer.Option(help="The study's folder: journal and rows.")],
    checker: Annotated[
        str | None,
        typer.Option(
            help="exact, any-of, prefix, regex, numeric:TOL, last-number, choice, unit-tests, or "
            "your own MODULE:FUNCTION. Default: exact. The lab's and lm-eval's tasks have theirs."
        ),
    ] = None,
    r: Annotated[int | None, typer.Option(help="Passes that end an instance (2).")] = None,
    max_samples: Annotated[
        int | None,
        typer.Option(help="Cap of samples per instance (100,000; 2,000 with --proposal)."),
    ] = None,
    relative_error: Annotated[
        float | None, typer.Option(help="Instead of --r: relative standard error of each rate.")
    ] = None,
    budget: Annotated[
        int | None, typer.Option(help="Samples in all, spent where least is known.")
    ] = None,
    temperature: Annotated[float, typer.Option(help="Temperature of the sampling.")] = 1.0,
    method: Annotated[
        str | None, typer.Option(help="exact, tree or independent. Default: the cheapest.")
    ] = None,
    proposal: Annotated[
        list[str] | None,
        typer.Option(
            help="Rare passes with fewer samples: draw from 'hint' (the solved question before the "
            "prompt) or from another model with the same tokenizer, and weigh. Repeatable."
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
        typer.Option(help="hf: models: tokens of a batch at most; less needs less memory."),
    ] = None,
    tokens: Annotated[int, typer.Option(help="Tokens to sample, for tasks from a file.")] = 256,
    stop: Annotated[
        list[str] | None,
        typer.Option(help=r"End a sample before this text; \n is a newline. Repeatable."),
    ] = None,
    chat: Annotated[
        bool, typer.Option("--chat", help="hf:, vllm:, http: models: ask in their chat template.")
    ] = False,
    system: Annotated[str | None, typer.Option(help="With --chat: the system prompt.")] = None,
    chat_prompt: Annotated[
        str | None,
        typer.Option(
            help="With --chat: the user's message, {prompt} in it. Default: the prompt; "
            "with unit-tests, a request for the function."
        ),
    ] = None,
    extract: Annotated[
        str | None,
        typer.Option(help="Judge a part of an answer: fence, last-line or a regular expression."),
    ] = None,
    extra: Annotated[
        list[str] | None,
        typer.Option(help='http: models: more fields of a request, KEY=VALUE: "top_k=-1".'),
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
    level: Level = 0.9,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Measure a pass rate by sampling until something passes. Run it again to go on."""
    if not 0 < level < 1:
        raise UsageError(f"--level lies between 0 and 1, not {level}")
    from augury.data import read_table
    from augury.evaluate import checkers, pass_until, read_task
    from augury.evaluate.chat import ASK_FOR_CODE, PLACE, Chat
    from augury.evaluate.checkers import extracting, validate_task
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
    if asked.checker != "choice":
        validate_task(asked)
    if not chat and (system is not None or chat_prompt is not None):
        raise UsageError("--system and --chat-prompt are for --chat")
    for_code = asked.checker.startswith("unit-tests")
    ask = chat_prompt or (ASK_FOR_CODE if for_code else PLACE)
    conversation = Chat(system, ask) if chat else None
    loading = Loading(device, dtype, batch_tokens, parse_extra(extra), conversation)
    backend = open_model(model, loading)
    startup.keep_compiled()
    if asked.checker == "choice":
        from augury.evaluate.choices import save_choices

        rows = read_table(save_choices(backend, asked, out), where="instance IS NULL")
        found = rows.select("task", "metric", "value", "stderr", "n", "chance").to_dicts()
        if as_json:
            print_json(found)
        else:
            print("\n".join(f"{x['task']}: {x['metric']} {x['value']:.4g}" for x in found))
        return
    from augury.cli.progress import show_samples

    with show_samples() as seen:
        result = pass_until(
            backend,
            asked,
            r=r,
            max_samples=max_samples,
            temperature=temperature,
            method=method,  # type: ignore[arg-type] # checked there
            relative_error=relative_error,
            budget=budget,
            seed=seed,
            study=out,
            progress=seen,
            proposal=tuple(proposal or ()),
            own_share=own_share,
            keep=keep,
            check=None if extract is None else extracting(checkers.checker(asked.checker), extract),
        )
    if as_json:
        print_json({**result.to_dict(level), "study": str(out)})
        return
    print(result)
    for note in result.notes:
        print(f"  {note}")
    if not result.exact and not result.passes.any():
        for sample in result.kept[:2]:
            print(f"  {sample.instance}: {sample.text[:300]!r} failed {sample.reason}".rstrip())
    print(f"  rows: {out} (a study's folder is a table: augury passrate {out})")
