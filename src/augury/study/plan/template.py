"""What `augury init` writes: a study that runs unchanged, with every section explained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from augury.errors import AuguryError, UsageError
from augury.runtime.atomic import atomic_file

SCHEMA = "study.schema.json"

TEMPLATE = """\
#:schema ./study.schema.json
# A study: what to measure, what to forecast, and what to hold out.
#   augury run --plan .     says what is wrong, by line, and what the study will cost
#   augury run .            runs it; stop it whenever you like, run it again to go on
#   augury status .         how far it is
#   augury scoreboard .     every forecast it wrote down, and how it fared

name = "NAME"

# "pass-rate": of each task at the target. "emergence": where each task emerges (see [finetune]).
# A task can have a question of its own. "loss" asks for the pretraining loss instead.
question = "pass-rate"

# --- The series that is learned from: a ladder of tiny models that the study trains itself, models
# --- that exist, or tables of what was measured. One of the three is enough.

[lab]
widths = [6, 8, 12, 16, 24, 32, 48] # of tiny GPTs, the held-out ones among them
steps = 500                         # of training, a multiple of 50
seeds = 2                           # how many, or which: [0, 7]
shares = { rule = 0.6 }             # of each task in the training text; the rest is filler

# [[checkpoints]]
# model = "hf:EleutherAI/pythia-160m" # or lab:DIR, hf:ID@REVISION, http:URL#MODEL
# params = 85e6                       # non-embedding parameters
# tokens = 300e9                      # pretraining tokens

# [[tables]]
# path = "scores.csv"                # model, task, metric, value, params, tokens ...
# columns = { params = "Model Size" } # our columns from theirs
# where = "step > 0"                 # rows to keep, SQL

# --- What is measured on the models above, and how.

[[tasks]]
name = "rule"    # a task of the lab: rule, sort-letters, sort-digits, facts
instances = 1024
# question = "pass-rate" # asked of this task, whatever is asked of the others

# [[tasks]]
# file = "tasks/sums.jsonl" # JSON lines: id, prompt, reference(s)
# checker = "last-number"   # exact, any-of, prefix, regex, numeric:TOL, last-number, unit-tests ...
# tokens = 64               # to sample

[measure]
# method = "tree"       # exact, tree or independent; default: the cheapest that is possible
# r = 2                 # passes that end an instance
max_samples = 100_000   # cap of samples an instance

# [finetune]            # on tasks whose question is "emergence"
# amounts = [64, 128, 256, 512] # examples, each half of the next
# subsets = 2           # random subsets of each
# every = 50            # steps from one look at the held-out loss to the next
# patience = 4          # looks without a new best after which it ends
# checkpoints = [500]   # steps of [lab] to finetune; default: all that are measured

# --- What is forecast, and for which model.

[forecast]
laws = ["pass-rate", "curved-pass-rate:x0=8000", "power+pass-rate:over=loss"]
level = 0.9             # of the intervals
# loss_law = "chinchilla" # from a loss to parameters and tokens, for emergence

[target]                # two of params, tokens and flops (C = 6 N D)
params = 2e5
tokens = 1.024e6

[held_out]              # measured only after the forecast of it is written down
widths = [48]
# where = "params >= 5e4" # or SQL over the models: params, tokens, flops, step, seed, width ...

[budget]                # a study that would cost more is not begun
# flops = 1e15
# tokens = 1e9
hours = 1

[run]
# workers = 2           # processes; default: one per core
retries = 1             # of a unit that fails
"""


def template(name: str) -> str:
    """Return the file, for a study of this name."""
    return TEMPLATE.replace("NAME", name, 1)


def study_name(folder: Path) -> str:
    """Return a name for the study in a folder: the folder's, without forbidden characters."""
    name = "".join(c if c.isalnum() or c in "-_." else "-" for c in folder.resolve().name)
    return name.lstrip("-_.") or "study"


def write_study(
    folder: Path, *, schema_only: bool = False, text: Callable[[], str] | None = None
) -> list[Path]:
    """Write `study.toml` and `study.schema.json` into a folder.

    Args:
        folder: of the study; created if missing.
        schema_only: do not write the study file.
        text: returns the study file, once the folder exists; the template by default.

    Raises:
        UsageError: a study file exists already, or the folder cannot be created.
    """
    from augury.study.plan.study_file import STUDY_FILE, study_schema

    path = folder / STUDY_FILE
    if path.exists() and not schema_only:
        raise UsageError(f"{path} already exists and is left unchanged")
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder}: cannot be created: {error.strerror}") from error
    content = {folder / SCHEMA: study_schema()}
    if not schema_only:
        try:
            said = template(study_name(folder)) if text is None else text()
        except AuguryError:
            if made:
                folder.rmdir()
            raise
        content = {path: said, **content}
    for file, written_text in content.items():
        with atomic_file(file) as fresh:
            fresh.write_text(written_text)
    return [*content]
