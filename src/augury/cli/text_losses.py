"""The command that measures a validation loss on a text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from augury.cli import startup
from augury.cli.application import MEASURE, app
from augury.cli.options import AsJson
from augury.cli.printing import print_json
from augury.errors import UsageError


@app.command(rich_help_panel=MEASURE)
def loss(
    model: Annotated[
        list[str], typer.Option(help="hf:PATH, hf:ID@REVISION or hf:FILE.gguf. Repeatable.")
    ],
    text: Annotated[
        Path, typer.Option(help='UTF-8 text, or JSON lines with "text": a document a line.')
    ],
    window: Annotated[
        int | None, typer.Option(help="Tokens per window. Default: the model's context.")
    ] = None,
    stride: Annotated[
        int | None, typer.Option(help="Tokens between window starts. Default: half a window.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help=("Table with one row per model: .csv, .tsv, .parquet, .jsonl.")),
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda or auto (several GPUs).")] = None,
    dtype: Annotated[str | None, typer.Option(help="Precision, such as bfloat16.")] = None,
    batch_tokens: Annotated[
        int | None, typer.Option(help="Maximum tokens per batch: memory against speed.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure the validation loss of checkpoints on a text: nats per token, bits per byte."""
    from augury.evaluate.hf import TransformersBackend
    from augury.evaluate.models import Loading, open_model
    from augury.evaluate.text_loss import read_documents, text_loss

    if out is not None:
        from augury.data.table import check_table_path

        check_table_path(out)
    documents = read_documents(text)
    rows: list[dict[str, Any]] = []
    for name in model:
        if not name.startswith("hf:"):
            raise UsageError(f"--model '{name}': loss takes checkpoints named hf:PATH")
        backend = open_model(name, Loading(device, dtype, batch_tokens))
        assert isinstance(backend, TransformersBackend)
        with startup.computing(f"reading {text.name}"):
            found = text_loss(backend, documents, window=window, stride=stride)
        rows.append({**backend.about, "loss_set": text.stem, **found.to_dict()})
        if not as_json:
            print(f"{backend.about['model']}: {found}")
    if out is not None:
        import polars as pl

        from augury.data.table import write_table

        kept = [{k: v for k, v in row.items() if k not in LEFT_OUT} for row in rows]
        write_table(pl.DataFrame(kept, infer_schema_length=None), out)
    if as_json:
        print_json(rows)


# In the JSON but not in the table, whose tokens are those of pretraining and whose stderr and bpb
# belong to scores.
LEFT_OUT = frozenset({"tokens", "bytes", "documents", "stderr", "bpb", "window", "stride"})
