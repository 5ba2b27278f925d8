"""Tasks of lm-evaluation-harness, prompted and judged as in the harness.

    task = lm_eval_task("gsm8k", num_fewshot=5, limit=100)
    pass_until(backend, task)

Prompts, references, stops and lengths are the harness's own; a sample passes if the harness's
filter and metric give it 1. Written to lm-eval 0.4.13.

Not covered: chat templates, groups of tasks, several prompts for one answer (as in Winogrande),
rolling log-likelihood, images and audio, votes among several samples, and tasks whose metric runs
model-written code in this process (use the checker `unit-tests`).
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Mapping
from contextlib import redirect_stderr
from dataclasses import dataclass
from difflib import get_close_matches
from io import StringIO
from itertools import groupby
from pathlib import Path
from typing import Any

from augury.errors import DataError, UsageError
from augury.evaluate.tasks import Instance, Task

# Pass/fail metrics, in order of preference.
PASSING = ("exact_match", "acc")


def lm_eval_task(
    name: str,
    *,
    include_path: str | Path | None = None,
    num_fewshot: int | None = None,
    limit: int | None = None,
    filter_name: str | None = None,
    metric: str | None = None,
) -> Task:
    """Load a task of lm-evaluation-harness.

    Tasks that generate text are judged by their own filter and metric. Multiple choice becomes the
    checker `choice`, with the continuations that the harness scores. A task that scores one
    continuation (LAMBADA) passes if a sample begins with it: the harness's `acc` says this of
    greedy decoding.

    Args:
        name: its name in the harness.
        include_path: a folder of more tasks; they override the harness's own of the same name.
        num_fewshot: examples before each question. Default: the task's own number, else none.
        limit: take this many first documents. Default: all.
        filter_name: the filter pipeline of the task that counts. Default: its first.
        metric: passes if this one is 1. Default: `exact_match`, else `acc`.

    Raises:
        UsageError: the extra is missing, the task, filter or metric does not exist, a number is out
            of range, or this kind of task is not covered.
        DataError: the harness cannot load the task or build its prompts.
    """
    for what, number, least in (("num_fewshot", num_fewshot, 0), ("limit", limit, 1)):
        if number is not None and number < least:
            raise UsageError(f"{what} must be at least {least}, not {number}")
    harness = _load(name, include_path)
    kind = _covered(name, harness)
    documents = _documents(name, harness, num_fewshot, limit)
    if kind == "multiple_choice":
        instances = [_choice(name, harness, at, requests) for at, requests in documents]
        return Task(name, tuple(instances), 0.0, "choice")
    if kind == "loglikelihood":
        instances = [
            Instance(str(at), requests[0].args[0], (requests[0].args[1],), {"doc": requests[0].doc})
            for at, requests in documents
        ]
        return Task(name, tuple(instances), 0.0, "prefix")
    judge = _Judge(harness, _filter(name, harness, filter_name), _metric(name, harness, metric))
    instances = [
        Instance(
            str(at),
            requests[0].args[0],
            _references(harness, requests[0].doc),
            {"doc": requests[0].doc, "harness": judge},
        )
        for at, requests in documents
    ]
    settings = documents[0][1][0].args[1]
    until = settings.get("until") or []
    return Task(
        name,
        tuple(instances),
        0.0,
        f"{__name__}:passes",
        _length(settings),
        tuple(s for s in ([until] if isinstance(until, str) else until) if s),
    )


def passes(instance: Instance, text: str) -> bool:
    """Return whether the harness gives the sample 1: the check of these tasks."""
    judge = instance.data.get("harness")
    if not isinstance(judge, _Judge):
        raise DataError(
            f"instance '{instance.id}' is not from lm-evaluation-harness",
            expected="a task made by lm_eval_task",
        )
    return judge.passes(instance, text)


@dataclass(frozen=True, eq=False)
class _Judge:
    """The harness's task, and the deciding filter and metric."""

    harness: Any
    filter: Any
    metric: str

    def passes(self, instance: Instance, text: str) -> bool:
        """Filter the text, and score the result."""
        from lm_eval.api.instance import Instance as Request

        doc: Mapping[str, Any] = instance.data["doc"]
        request = Request("generate_until", doc, (instance.prompt, {}), 0, resps=[text])
        self.filter.apply([request])
        scores = self.harness.process_results(doc, [request.filtered_resps[self.filter.name]])
        score = scores.get(self.metric)
        try:
            return float(score) == 1.0
        except (TypeError, ValueError) as error:
            raise DataError(
                f"the metric '{self.metric}' of instance '{instance.id}' is not a number",
                value=score,
                expected=f"one of {', '.join(scores)} that is 0 or 1",
            ) from error

    def __str__(self) -> str:
        """Return what distinguishes this judge from any other, wherever the task's folder is."""
        config = self.harness.config
        rules = [config.filter_list, config.metric_list, config.process_results]
        text = json.dumps(rules, sort_keys=True, default=_source)
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        return f"{self.harness.VERSION} {self.filter.name} {self.metric} {digest}"


def _source(value: object) -> str:
    """Represent a function by its source: its address would differ each time."""
    try:
        return inspect.getsource(value)  # type: ignore[arg-type] # anything else is caught
    except (TypeError, OSError):
        return type(value).__name__


def first_documents(name: str, limit: int) -> Task:
    """Return the first documents of a task of the harness, for `lm-eval:NAME`."""
    return lm_eval_task(name, limit=limit)


def _load(name: str, include_path: str | Path | None) -> Any:
    try:
        from lm_eval.tasks import TaskManager
    except ImportError as error:
        raise UsageError(
            f'tasks of lm-evaluation-harness need an extra: pip install "augury[lm-eval]" ({error})'
        ) from error
    if include_path is not None and not Path(include_path).is_dir():
        raise UsageError(f"{include_path}: no such folder; expected one of lm-eval tasks")
    manager = None
    if include_path is not None:  # listing its thousands of own tasks takes seconds
        manager = TaskManager(include_path=str(include_path), include_defaults=False)
    if manager is None or name not in manager.task_index:
        manager = TaskManager(include_path=None if include_path is None else str(include_path))
    if name not in manager.task_index:
        near = get_close_matches(name, manager.all_tasks, 3)
        hint = f"; near: {', '.join(near)}" if near else ""
        raise UsageError(f"lm-evaluation-harness has no task '{name}'{hint}")
    try:
        tasks = manager.load(name)["tasks"]
    except Exception as error:  # hub, files, templates and functions of the task: any may fail
        raise _broken(name, "cannot be loaded", error) from error
    if list(tasks) != [name]:
        some = ", ".join(list(tasks)[:4])
        raise UsageError(
            f"'{name}' is a group of {len(tasks)} tasks ({some} ...): name one of them"
        )
    return tasks[name]


def _broken(name: str, problem: str, error: Exception) -> DataError:
    lines = str(error).strip().splitlines()
    return DataError(f"{problem}: {type(error).__name__}: {lines[0] if lines else ''}", source=name)


def _covered(name: str, harness: Any) -> str:
    """Return the kind of task, if it can be measured."""
    kind = str(harness.OUTPUT_TYPE)
    problem = None
    if kind not in ("generate_until", "multiple_choice", "loglikelihood"):
        problem = f"its output type is {kind}"
    elif getattr(harness, "UNSAFE_CODE", False):
        problem = "its metric runs model-written code without walls; take the checker unit-tests"
    elif getattr(harness, "MULTIMODAL", False):
        problem = "it uses images or audio"
    elif getattr(harness, "multiple_input", 0):
        problem = "it scores one answer behind several prompts"
    elif kind == "generate_until" and harness.config.repeats > 1:
        problem = f"it judges {harness.config.repeats} samples at once"
    if problem is not None:
        raise UsageError(f"task '{name}' of lm-evaluation-harness is not covered: {problem}")
    return kind


def _documents(
    name: str, harness: Any, num_fewshot: int | None, limit: int | None
) -> list[tuple[int, list[Any]]]:
    """Return number and requests of each document, few-shot examples as in the harness."""
    from lm_eval.defaults import DEFAULT_OTHER_SEED

    own = harness.get_config("num_fewshot")
    if own == 0 and num_fewshot:
        raise UsageError(
            f"task '{name}' allows no examples (num_fewshot 0) in the harness; {num_fewshot} were "
            "requested"
        )
    harness.set_config("num_fewshot", num_fewshot if num_fewshot is not None else own or 0)
    harness.set_fewshot_seed(DEFAULT_OTHER_SEED)
    try:
        with redirect_stderr(StringIO()):  # a progress bar
            harness.build_all_requests(limit=limit)
    except Exception as error:  # templates and functions of the task: any may fail
        raise _broken(name, "its prompts cannot be built", error) from error
    return [(at, list(own)) for at, own in groupby(harness.instances, lambda r: r.doc_id)]


def _filter(name: str, harness: Any, wanted: str | None) -> Any:
    known = {f.name: f for f in harness._filters}
    if wanted is None:
        return next(iter(known.values()))
    if wanted not in known:
        raise UsageError(f"task '{name}' has the filters {', '.join(known)}, not '{wanted}'")
    return known[wanted]


def _metric(name: str, harness: Any, wanted: str | None) -> str:
    known = list(harness.aggregation())
    for metric in PASSING if wanted is None else (wanted,):
        if metric in known:
            return metric
    looked = " or ".join(PASSING) if wanted is None else wanted
    raise UsageError(
        f"task '{name}' is measured by {', '.join(known)}, not by {looked}; choose with metric="
    )


def _length(settings: Mapping[str, Any]) -> int:
    from lm_eval.defaults import DEFAULT_MAX_GEN_TOKS

    for key in ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens"):
        if key in settings:
            return int(settings[key])
    return int(DEFAULT_MAX_GEN_TOKS)


def _references(harness: Any, doc: Mapping[str, Any]) -> tuple[str, ...]:
    gold = harness.doc_to_target(doc)
    if harness.config.doc_to_choice is not None:
        gold = harness.doc_to_choice(doc)[gold]
    return tuple(str(g) for g in gold) if isinstance(gold, list) else (str(gold),)


def _choice(name: str, harness: Any, at: int, requests: list[Any]) -> Instance:
    """Return its options as the harness scores them, with the delimiter before each."""
    doc = requests[0].doc
    options = harness.doc_to_choice(doc)
    gold = harness.doc_to_target(doc)
    if isinstance(gold, list) and len(gold) == 1:
        gold = gold[0]
    if isinstance(gold, str) and gold in options:
        gold = options.index(gold)
    if not isinstance(gold, int) or not 0 <= gold < len(options):
        raise DataError(
            f"document {at} does not give the correct option",
            source=name,
            column="doc_to_target",
            value=gold,
            expected=f"one of {len(options)} options, or its index",
        )
    # More requests than options: use only the options; the others are for mutual information.
    scored = [request.args[1] for request in requests[: len(options)]]
    return Instance(
        str(at), requests[0].args[0], (scored[gold],), {"choices": scored, "answer": gold}
    )
