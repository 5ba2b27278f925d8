"""Result files written by an installed lm-evaluation-harness, by its command line.

Run by the interpreter that has it (`benchmarks.field` starts it). It imports nothing of Augury. The
model is a hash of its prompt, better with every step; tasks are of every output type, with filters,
repeats, groups and their own metrics. Slow parts that change no file are cached between runs: the
index of the tool's tasks, data sets, the inspection of the machine.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import json
import logging
import random
import sys
import traceback
import types
from pathlib import Path
from typing import Any

from toy_tasks import GROUPS, HEAD, METRICS, PART, TASKS

SETS = (
    ("toy_mc",), ("toy_mc", "toy_cloze", "toy_rolling"), ("toy_mc_many", "toy_brier"), ("toy_gsm",),
    ("toy_repeats", "toy_mc"), ("toy_translate",), ("toy_judged", "toy_cloze"), ("toy_ruler",),
    ("toy_odd", "toy_mc"), ("toy-name+sign.v2", "toy_rolling"), ("toy_group",), ("toy_outer",),
    ("toy_loose", "toy_brier"), ("toy_filters",), ("toy_tag",), ("toy_group", "toy_part_law"),
    ("toy_part_*",), ("toy_gsm", "toy_judged", "toy_translate", "toy_repeats", "toy_mc_many"),
)  # fmt: skip
# Options that people change between two evaluations of one model, each alone.
ALONE: tuple[dict[str, Any], ...] = (
    {}, {"apply_chat_template": True}, {"system_instruction": "Be brief."}, {"num_fewshot": 3},
    {"limit": 5}, {"gen_kwargs": "temperature=0.5,do_sample=True"},
    {"apply_chat_template": True, "num_fewshot": 4, "fewshot_as_multiturn": True},
    {"more": "load_in_8bit=True"}, {"more": "load_in_4bit=True"}, {"more": "peft=acme/lora-a"},
    {"more": "peft=acme/lora-b"}, {"more": "steer_path=v1.pt"}, {"more": "steer_path=v2.pt"},
    {"more": "max_length=512"}, {"more": "dtype=bfloat16"}, {"more": "delta=acme/delta"},
    {"more": "prefix_token_id=2"}, {"more": "add_bos_token=True"},
)  # fmt: skip


def write_tasks(folder: Path, version: tuple[int, ...]) -> None:
    """Tasks, their data and their metrics."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(0)
    rows = []
    for i in range(12):
        a, b = rng.randrange(10, 99), rng.randrange(10, 99)
        choices = [str(a + b + d) for d in (0, 1, -1, 10)]
        rng.shuffle(choices)
        rows.append(
            {
                "id": i, "question": f"What is {a} + {b}?", "choices": choices,
                "gold": choices.index(str(a + b)), "answer": str(a + b), "word": rng.choice("abc"),
                "text": f"The sum of {a} and {b}: is it {a + b} “or” more?",
            }
        )  # fmt: skip
    data = folder / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    objects = version >= (0, 4, 4)  # tags used to be groups, and scores were never objects
    metrics = METRICS if objects else METRICS.replace('"by_kind": right, ', "")
    (folder / "toy_metrics.py").write_text(metrics)
    parts = {f"toy_part_{name}": PART.format(name) for name in ("law", "art", "sums")}
    for name, body in {**TASKS, **parts}.items():
        text = HEAD.format(name=name, data=data) + body
        if not objects:
            text = text.replace("tag: toy_tag", "group: toy_tag")
            text = "\n".join(x for x in text.splitlines() if "metric: by_kind" not in x)
        (folder / f"{name}.yaml").write_text(text)
    for name, body in GROUPS.items():
        if not objects:  # groups had only names and tasks, and all metrics were averaged
            body = "\n".join(x for x in body.splitlines() if x.startswith(("group:", "task:")))
        (folder / f"{name}.yaml").write_text(body)


def draw(*told: Any) -> float:
    """A number from 0 to 1 determined by these words."""
    return int(hashlib.sha256(repr(told).encode()).hexdigest()[:12], 16) / 16**12


def toy_model(version: tuple[int, ...]) -> type:
    """A language model of hashes, registered under the name toy."""
    from lm_eval.api.model import LM
    from lm_eval.api.registry import register_model

    class Toy(LM):  # type: ignore[misc]
        def __init__(self, pretrained: str = "toy", revision: str = "main", **_: Any) -> None:
            super().__init__()
            self.name = f"{pretrained}@{revision}"
            self.skill = min(0.9, 0.1 + 0.01 * (sum(map(ord, self.name)) % 80))

        @classmethod
        def create_from_arg_string(cls, arg_string: str, additional_config: Any = None) -> Toy:
            pairs = (pair.partition("=") for pair in arg_string.split(",") if pair)
            return cls(**{key: value for key, _, value in pairs})

        @classmethod
        def create_from_arg_obj(cls, arg_dict: Any, additional_config: Any = None) -> Toy:
            return cls(**arg_dict)

        def _one(self, context: str, continuation: str) -> tuple[float, bool]:
            return -9 * draw(self.name, context, continuation) - len(continuation), (
                draw(context, self.name) < self.skill
            )

        def loglikelihood(self, requests: Any, **_: Any) -> list[tuple[float, bool]]:
            return [self._one(*map(str, r.args)) for r in requests]

        def loglikelihood_rolling(self, requests: Any, **_: Any) -> Any:
            return [self._one("", str(r.args[0]))[0] for r in requests]

        def generate_until(self, requests: Any, **_: Any) -> list[str]:
            return [self._text(str(r.args[0]), i) for i, r in enumerate(requests)]

        def _text(self, context: str, i: int) -> str:
            asked = context.rsplit("What is ", 1)[-1].split("?")[0].split(" + ")
            numbers = [int(x) for x in asked if x.strip().isdigit()]
            wrong = draw(self.name, context, i) > self.skill
            return f"Well, the answer is {sum(numbers) + wrong}."

        def apply_chat_template(self, history: Any, add_generation_prompt: bool = True) -> str:
            return "".join(f"<{m['role']}>{m['content']}" for m in history)

        @property
        def tokenizer_name(self) -> str:
            return "toy-tokenizer"

    if version >= (0, 4, 5):
        Toy.chat_template = lambda self, asked=False: "{{ toy }}" if asked else None
    else:
        Toy.chat_template = "{{ toy }}"
    made: type = register_model("toy")(Toy)
    return made


def keep_what_costs(version: tuple[int, ...]) -> None:
    """Patch parts that take seconds per run and do not affect scores."""
    import datasets
    import torch.utils.collect_env

    told = functools.cache(torch.utils.collect_env.get_pretty_env_info)
    torch.utils.collect_env.get_pretty_env_info = told
    load, kept = datasets.load_dataset, {}

    def load_once(*args: Any, **kwargs: Any) -> Any:
        key = repr((args, sorted(kwargs.items(), key=str)))
        if key not in kept:
            kept[key] = load(*args, **kwargs)
        return kept[key]

    datasets.load_dataset = load_once
    from lm_eval.tasks import TaskManager

    whole = TaskManager.__init__
    fast = functools.partialmethod(whole, include_defaults=False)
    TaskManager.__init__ = fast
    import lm_eval.loggers.utils as utils

    if hasattr(utils, "get_pretty_env_info"):
        utils.get_pretty_env_info = told
    if hasattr(utils, "get_git_commit_hash"):
        utils.get_git_commit_hash = functools.cache(utils.get_git_commit_hash)


def few_bootstraps(iterations: int) -> None:
    """Standard errors of some metrics are bootstrapped, 100,000 times by default."""
    import lm_eval
    import lm_eval.evaluator as evaluator

    whole = getattr(evaluator.simple_evaluate, "func", evaluator.simple_evaluate)
    evaluator.simple_evaluate = functools.partial(whole, bootstrap_iters=iterations)
    if hasattr(lm_eval, "simple_evaluate"):
        lm_eval.simple_evaluate = evaluator.simple_evaluate


def options(rng: random.Random, version: tuple[int, ...], i: int) -> dict[str, Any]:
    """One way people call it."""
    size = rng.choice(("70m", "410m", "1.4b", "6.9b"))
    more = rng.choice(("", "dtype=float16", "trust_remote_code=True", "parallelize=True",
                       "load_in_8bit=True", "peft=acme/lora-r8", "add_bos_token=True"))  # fmt: skip
    sets = [s for s in SETS if s != ("toy_group", "toy_part_law") or version < (0, 4, 9)]
    told: dict[str, Any] = {
        "tasks": ",".join(rng.choice(sets)),
        "name": f"org/toy-{size}",
        "revision": f"step{1000 * (i + 1)}",
        "more": more,
        "batch_size": rng.choice(("1", "8", "auto", "auto:4")),
    }
    for name, share, values in (
        ("num_fewshot", 0.5, (0, 1, 3, 5)), ("limit", 0.3, (4, 7, 0.5)),
        ("log_samples", 0.5, (True,)),
        ("gen_kwargs", 0.2, ("temperature=0.7,top_p=0.9,do_sample=True", "max_gen_toks=64")),
        ("system_instruction", 0.2, ("Be brief.", "Antworte in einem Wort: „ja“ oder „nein“.")),
        ("apply_chat_template", 0.25, (True,)), ("predict_only", 0.06, (True,)),
        ("seed", 0.2, ("7", "1,2,3,4", "None,1234,1234,1234")), ("write_out", 0.05, (True,)),
        ("show_config", 0.05, (True,)),
        ("device", 0.1, ("cpu",)), ("max_batch_size", 0.1, (32,)), ("verbosity", 0.1, ("ERROR",)),
        ("trust_remote_code", 0.05, (True,)),
    ):  # fmt: skip
        if rng.random() < share:
            told[name] = rng.choice(values)
    if told.get("apply_chat_template") and told.get("num_fewshot") and rng.random() < 0.5:
        told["fewshot_as_multiturn"] = True
    if version >= (0, 4, 9) and rng.random() < 0.1:
        told["metadata"] = '{"length": 4096}'
    if version >= (0, 4, 9) and "limit" not in told and rng.random() < 0.1:
        told |= {"tasks": "toy_mc,toy_gsm", "samples": '{"toy_mc": [0, 3, 5], "toy_gsm": [1, 2]}'}
    return told


def command(told: dict[str, Any], out: Path, tasks: Path) -> list[str]:
    """The command line."""
    name, revision = told.pop("name", "org/toy-1.4b"), told.pop("revision", "step1000")
    args = f"pretrained={name},revision={revision}" + (
        f",{m}" if (m := told.pop("more", "")) else ""
    )
    words = ["--model", "toy", "--model_args", args, "--output_path", str(out)]
    words += ["--include_path", str(tasks)]
    for key, value in told.items():
        words += [f"--{key}"] if value is True else [f"--{key}", str(value)]
    return words


def main(out: Path, count: int) -> None:
    """Write the files of this many runs that do not exist yet; failures are reported."""
    # Vision and audio models are not used, and in some versions need an older transformers.
    for name in ("hf_vlms", "hf_audiolm", "vllm_vlms"):
        sys.modules[f"lm_eval.models.{name}"] = types.ModuleType(name)
    import lm_eval

    said = getattr(lm_eval, "__version__", None)
    if said is None:
        from importlib.metadata import version as installed

        said = installed("lm_eval")
    version = tuple(int(x) for x in said.split(".")[:4])
    keep_what_costs(version)
    from lm_eval.__main__ import cli_evaluate

    logging.disable(logging.WARNING)
    toy_model(version)
    tasks = out / "tasks"
    write_tasks(tasks, version)
    plans = [
        (f"run{i:04d}", options(random.Random(f"{said}{i}"), version, i)) for i in range(count)
    ]
    for i, alone in enumerate(ALONE):
        for k, names in enumerate((("toy_mc", "toy_gsm"), ("toy_group", "toy_judged"))):
            plans.append(
                (f"alone/{k}/{i:02d}", {"tasks": ",".join(names), **alone, "log_samples": True})
            )
    failed = 0
    for name, told in plans:
        folder = out / "files" / name
        if (folder / "done").exists():
            continue
        folder.mkdir(parents=True, exist_ok=True)
        heard = io.StringIO()
        few_bootstraps(random.Random(name).choice((0, 50)))
        sys.argv = [
            "lm_eval",
            *(["run"] if version >= (0, 4, 10) else []),
            *command(told, folder, tasks),
        ]
        try:
            with contextlib.redirect_stdout(heard), contextlib.redirect_stderr(heard):
                cli_evaluate()
        except (Exception, SystemExit) as error:
            failed += 1
            print(f"{name}: {type(error).__name__}: {str(error)[:300]}: {' '.join(sys.argv[1:])}")
            if failed < 3:
                traceback.print_exc()
                print(heard.getvalue()[-2000:])
        (folder / "done").write_text(" ".join(sys.argv[1:]))
    print(f"lm-eval {said}: {len(plans)} runs, {failed} failed", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), int(sys.argv[2]))
