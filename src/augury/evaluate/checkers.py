"""Checkers: does this text pass this instance?

A checker is a function of (instance, text). Built-in ones are configured by name:

    exact           text is the reference (one of them, if there are several), spaces at the ends
                    aside
    any-of          another name of exact
    prefix          text begins with one of the references
    regex           the pattern of the instance (field `pattern`, else one of the references)
                    matches
    numeric:REL     text is a number within REL (relative; 1e-6) of a reference that is not 0;
                    numeric:REL,ABS allows an absolute difference as well
    last-number     the last number in the text is the reference's (GSM8K style, `#### 42` too)
    unit-tests      the text, put behind the prompt, passes the instance's `test` (HumanEval), in
                    the sandbox; `unit-tests:numpy,pandas` offers installed packages inside, and
                    `unit-tests:no-walls` does without walls, on a machine that may be lost;
                    `unit-tests:inspect-docker` takes a sandbox of Inspect's
    MODULE:NAME     your own function (instance, text) -> bool
"""

from __future__ import annotations

import atexit
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from augury.errors import DataError, UsageError
from augury.evaluate.extract import extractor
from augury.evaluate.numbers_in_text import number_in, numbers_in
from augury.evaluate.tasks import Instance, Task
from augury.evaluate.verdict_tally import VerdictTally

if TYPE_CHECKING:
    from augury.evaluate.inspect_sandbox import InspectSandbox
    from augury.evaluate.sandbox import Sandbox

# Checks that compare a text with what its instance contains.
COMPARING = ("exact", "any-of", "prefix", "regex", "numeric", "last-number")
# What other formats call a reference.
OTHER_KEYS = (
    "answer", "answers", "target", "targets", "expected", "solution", "label", "gold", "output",
    "completion", "canonical_solution",
)  # fmt: skip
# Number of remembered reasons for programs' verdicts: more than a wave has.
MOST_DETAILS = 10_000

Check = Callable[[Instance, str], bool]
EXTRACT = ", extract "  # between a check's name and the part of an answer that it judges
# Used as the absolute tolerance if the reference is 0 and none is given.
AT_ZERO = 1e-3


@dataclass(frozen=True)
class Checker:
    """A named check.

    Attributes:
        name: as the user gave it; part of what identifies a measurement.
        check: the function.
        prefixes: whether it passes exactly the texts that begin with an answer, so that pass
            probabilities can be computed.
        possible: whether any text with this beginning can pass; lets a tree skip what cannot.
        batch: judges many at once, if that is faster; `check` is then not called.
        why: explains in one line why a text was judged as it was, for people who read samples.
        notes: remarks on all verdicts so far, such as how many texts could not be judged.
    """

    name: str
    check: Check
    prefixes: bool = False
    possible: Check | None = None
    batch: Callable[[Sequence[tuple[Instance, str]]], list[bool]] | None = None
    why: Callable[[Instance, str], str] | None = None
    notes: Callable[[], list[str]] = list

    def many(self, pairs: Sequence[tuple[Instance, str]]) -> list[bool]:
        """Return whether each of these passes.

        Raises:
            DataError: the checker raised, or did not return True or False.
        """
        if self.batch is not None:
            return self.batch(pairs)
        return [self(instance, text) for instance, text in pairs]

    def reason(self, instance: Instance, text: str, passed: bool) -> str:
        """Explain why a text passed or failed, as far as this check can."""
        if self.why is not None:
            return self.why(instance, text)
        if passed or not instance.answers:
            return ""
        answers = " or ".join(repr(a[:80]) for a in instance.answers[:3])
        return f"expected {answers}"

    def __call__(self, instance: Instance, text: str) -> bool:
        """Return whether it passes.

        Raises:
            DataError: the checker raised, or did not return True or False.
        """
        try:
            verdict = self.check(instance, text)
        except DataError:
            raise
        except Exception as error:
            raise DataError(
                f"the checker '{self.name}' raised {type(error).__name__}: {error} "
                f"on instance '{instance.id}'",
                value=text[:60],
                expected="True or False",
            ) from error
        if not isinstance(verdict, bool):
            raise DataError(
                f"the checker '{self.name}' returned neither True nor False for '{instance.id}'",
                value=verdict,
                expected="True or False",
            )
        return verdict


def extracting(judge: Checker, rule: str) -> Checker:
    """Apply a check to a part of each answer: "fence", "last-line" or a regular expression.

    Raises:
        UsageError: the rule is none of these.
    """
    part, why = extractor(rule), judge.why

    def many(pairs: Sequence[tuple[Instance, str]]) -> list[bool]:
        return judge.many([(instance, part(text)) for instance, text in pairs])

    return Checker(
        f"{judge.name}{EXTRACT}{rule}",
        lambda i, t: judge(i, part(t)),
        batch=many,
        why=None if why is None else lambda i, t: why(i, part(t)),
        notes=judge.notes,
    )


def checker(name: str) -> Checker:
    """Return the checker called `name`.

    Raises:
        UsageError: it does not exist, or cannot be imported.
    """
    kind, _, rest = name.partition(":")
    if name in ("exact", "any-of"):
        return Checker(
            name,
            lambda i, t: t.strip() in {a.strip() for a in _references(i)},
            possible=lambda i, t: _begins(t, _references(i)),
        )
    if name == "prefix":
        return Checker(
            name,
            lambda i, t: t.startswith(_references(i)),
            prefixes=True,
            possible=lambda i, t: (
                t.startswith(_references(i)) or any(a.startswith(t) for a in _references(i))
            ),
        )
    if name == "regex":
        return Checker(name, _regex)
    if kind == "numeric":
        relative, absolute = _tolerances(rest or "1e-6")
        return Checker(name, lambda i, t: _numeric(i, t, relative, absolute))
    if name == "last-number":
        return Checker(name, _last_number)
    if kind == "unit-tests":
        return _unit_tests(name)
    if rest:
        return Checker(name, _own_check(kind, rest))
    known = (
        "exact, any-of, prefix, regex, numeric:TOLERANCE, last-number, unit-tests, MODULE:FUNCTION"
    )
    raise UsageError(f"no checker is called '{name}'; there are: {known}")


def validate_task(task: Task, judge: Checker | None = None) -> None:
    """Find errors that would stop a check, before a model is loaded or a token is drawn.

    Raises:
        UsageError: the checker does not exist.
        DataError: an instance lacks what its check compares with, or has it in an unreadable form.
            A user's own check is not called.
    """
    judge = judge or checker(task.checker)
    kind = judge.name.partition(":")[0]
    if kind == "unit-tests":
        from augury.evaluate.sandbox.checking import validate_tests

        inside = _inspect_provider(judge.name) is not None
        validate_tests(task.instances, None if inside else offered_packages(judge.name))
    elif kind in COMPARING:
        for instance in task.instances:
            judge(instance, "0")  # any number: an error here is the instance's


def _begins(text: str, answers: Sequence[str]) -> bool:
    """Return whether a text can still become one of the answers, apart from spaces at the ends."""
    begun, whole = text.lstrip(), text.strip()
    return any(a.strip().startswith(begun) or a.strip() == whole for a in answers)


def _tolerances(text: str) -> tuple[float, float | None]:
    """Return the relative tolerance, and the absolute one if given."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) not in (1, 2) or not all(0 <= value < math.inf for value in values):
        raise UsageError(
            "numeric takes a tolerance, as in numeric:1e-6 (relative) or numeric:1e-6,1e-9 "
            f"(relative, absolute), not '{text}'"
        )
    return values[0], values[1] if len(values) == 2 else None


def _references(instance: Instance) -> tuple[str, ...]:
    """Return what the text is compared with: without it everything would silently fail or pass."""
    if not instance.answers:
        other = next((key for key in OTHER_KEYS if key in instance.data), None)
        told = "" if other is None else f"; it has '{other}': call that 'reference'"
        raise DataError(
            f"instance '{instance.id}' has no reference to compare with{told}",
            column="reference",
            expected="a text, or a list of texts in `references`",
        )
    return instance.answers


def _regex(instance: Instance, text: str) -> bool:
    given = instance.data.get("pattern")
    patterns = _references(instance) if given is None else (str(given),)
    found = [_matches(instance, pattern, text) for pattern in patterns]  # validates every one
    return any(found)


def _matches(instance: Instance, pattern: str, text: str) -> bool:
    try:
        return re.search(pattern, text) is not None
    except re.error as error:
        raise DataError(
            f"instance '{instance.id}' has no regular expression: {error}",
            value=pattern,
            expected="a pattern as Python's re takes it",
        ) from error


def _reference_number(instance: Instance, text: str, value: Fraction | None) -> Fraction:
    if value is None:
        raise DataError(
            f"the reference of instance '{instance.id}' is not a number",
            value=text,
            expected="a number",
        )
    return value


def _numeric(instance: Instance, text: str, relative: float, absolute: float | None) -> bool:
    wanted = [float(_reference_number(instance, a, number_in(a))) for a in _references(instance)]
    given = number_in(text)
    if given is None:
        return False
    found = float(given)
    return any(
        math.isclose(
            found,
            w,
            rel_tol=relative,
            abs_tol=absolute if absolute is not None else 0.0 if w else relative * AT_ZERO,
        )
        for w in wanted
    )


def _last_number(instance: Instance, text: str) -> bool:
    answers, numbers = _references(instance), numbers_in(text)
    if not numbers or numbers[-1] is None:
        return False
    wanted = []
    for answer in answers:
        given = numbers_in(answer)  # "... so the answer is #### 42"
        wanted.append(_reference_number(instance, answer, given[-1] if given else None))
    return any(_same_number(numbers[-1], number) for number in wanted)


def _same_number(found: Fraction, wanted: Fraction) -> bool:
    """Compare whole numbers exactly, others as floating-point numbers."""
    if found.denominator == wanted.denominator == 1:
        return found == wanted
    return float(found) == float(wanted)


def offered_packages(name: str) -> tuple[str, ...]:
    """Return the packages that a unit-test check offers to programs and tests.

    Raises:
        UsageError: one is not installed.
    """
    rest = _name_details(name)
    if rest in ("", "no-walls") or _inspect_provider(name) is not None:
        return ()
    from augury.evaluate.sandbox.packages import checked

    return checked(rest.split(","))


def _name_details(name: str) -> str:
    """Return what follows the kind in a check's name."""
    return name.partition(EXTRACT)[0].partition(":")[2]


def _inspect_provider(name: str) -> str | None:
    """Return which of Inspect's sandboxes a unit-test check asks for, if any."""
    from augury.evaluate.inspect_sandbox import PREFIX

    rest = _name_details(name)
    return rest.removeprefix(PREFIX) if rest.startswith(PREFIX) else None


def _unit_tests(name: str) -> Checker:
    """Start one sandbox for the lifetime of the process, when the first text is judged."""
    packages, provider = offered_packages(name), _inspect_provider(name)
    details: dict[tuple[str, str], str] = {}
    tally = VerdictTally()

    @cache
    def sandbox() -> Sandbox | InspectSandbox:
        if provider is not None:
            from augury.evaluate.inspect_sandbox import InspectSandbox

            return InspectSandbox(provider)
        from augury.evaluate.sandbox import Sandbox

        made = Sandbox(packages=packages, unsafe_no_walls=_name_details(name) == "no-walls")
        atexit.register(made.close)
        return made

    def batch(pairs: Sequence[tuple[Instance, str]]) -> list[bool]:
        from augury.evaluate.sandbox import check_programs

        verdicts = check_programs(sandbox(), pairs)
        if len(details) > MOST_DETAILS:
            details.clear()
        for (instance, text), verdict in zip(pairs, verdicts, strict=True):
            told = f": {verdict.detail}" if verdict.detail else ""
            details[instance.id, text] = "" if verdict.passed else f"{verdict.outcome}{told}"
            tally.add(verdict.outcome, verdict.lacks)
        return [verdict.passed for verdict in verdicts]

    def why(instance: Instance, text: str) -> str:
        return details.get((instance.id, text), "")

    return Checker(name, lambda i, t: batch([(i, t)])[0], batch=batch, why=why, notes=tally.notes)


def _own_check(module: str, name: str) -> Check:
    try:
        found = getattr(import_module(module), name)
    except Exception as error:  # importing runs the user's own code
        raise UsageError(f"checker '{module}:{name}': {error}") from error
    if not callable(found):
        raise UsageError(f"checker '{module}:{name}' is not a function")
    return found
