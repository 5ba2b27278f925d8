"""The process of one model-written program. It holds no secrets, and its messages are not trusted.

It has two channels: one to the harness, for a bounded message on why it stopped, and one to its
judge, which requests calls and gets plain values back. The program may misuse both.
"""

from __future__ import annotations

import builtins
import linecache
import operator
import os
import socket
import sys
from types import ModuleType
from typing import Any, NoReturn

from . import frames
from .codec import CannotCrossError, decode, dumps, encode, loads

OUT_OF_MEMORY = 77  # exit status of a MemoryError; it only makes the failure clearer
LONGEST_DETAIL = 500
MOST_OBJECTS = 100_000  # objects of the program that one set of tests may hold
# Operations on the program's own objects, named as in Python's module `operator`. Ordering and
# equality with plain values are left out: the program would decide the verdict.
ARITHMETIC = (
    "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "neg", "pos", "abs",
    "and_", "or_", "xor",
)  # fmt: skip
LONGEST_REQUEST = 1 << 26  # bytes of one call's arguments: tests are trusted


class Objects:
    """Values without a plain form. They stay here, and the judge refers to them by number.

    The judge uses such a value by calling an operation in this process, and decides what the answer
    means.
    """

    def __init__(self, names: dict[str, Any]) -> None:
        self.names = names
        self.kept: list[Any] = []
        self.numbers: dict[int, int] = {}  # by identity: values here stay alive

    def form(self, value: Any) -> Any:
        """The number of a value; a new value gets a new number."""
        number = self.numbers.setdefault(id(value), len(self.kept))
        if number == len(self.kept):
            if number >= MOST_OBJECTS:
                raise CannotCrossError(f"more than {MOST_OBJECTS} objects that cannot be sent")
            self.kept.append(value)
        return {"object": number}

    def encoded(self, value: Any) -> Any:
        """The form of a value, with numbers for values that have none."""
        return encode(value, self.form)

    def decoded(self, form: Any) -> Any:
        """The value of a form that the judge sent."""
        return decode(form, self.kept.__getitem__)

    def function(self, name: str) -> Any:
        """What a request calls: one of the program's own names, or an operation."""
        return OPERATIONS[name] if name in OPERATIONS else self.names[name]


def state(value: Any) -> list[Any]:
    """The contents of one of the program's own objects, by name."""
    held = dict(getattr(value, "__dict__", {}))
    for kind in type(value).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(value, name):
                held.setdefault(name, getattr(value, name))
    return [type(value).__name__, held]


# Operations that tests may request on an object that stays here, through `Remote` in the judge.
OPERATIONS: dict[str, Any] = {
    ".call": lambda value, *arguments, **keywords: value(*arguments, **keywords),
    ".get": getattr,
    ".set": setattr,
    ".item": operator.getitem,
    ".set item": operator.setitem,
    ".length": len,
    ".items": iter,
    ".text": str,
    ".shown": repr,
    ".true": bool,
    ".equal": lambda left, right: [bool(left == right), state(left), state(right)],
    **{f".{name}": getattr(operator, name) for name in ARITHMETIC},
}


def serve(code: str, judge: socket.socket, limit: int) -> NoReturn:
    """Load a program's definitions, then answer its judge's calls until it hangs up."""
    names = module_of("program", code)
    try:
        exec(compile(code, "<program>", "exec"), names)  # noqa: S102 - behind walls, in its own process
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    except BaseException as error:
        frames.send(judge, dumps({"broken": described(error), "lacks": lacking(error)}))
        os._exit(1)
    frames.send(judge, dumps({"ready": True}))
    objects = Objects(names)
    while (request := frames.receive(judge, LONGEST_REQUEST)) is not None:
        try:
            answer = dumps(called(objects, loads(request)))
            if len(answer) > limit:
                answer = dumps(
                    {"broken": f"an answer of {len(answer)} bytes; at most {limit} are allowed"}
                )
        except MemoryError:
            os._exit(OUT_OF_MEMORY)
        except CannotCrossError as error:
            answer = dumps({"broken": str(error)})
        except BaseException as error:
            kinds = [kind.__name__ for kind in type(error).__mro__]
            answer = dumps({"raised": kinds, "detail": described(error), "lacks": lacking(error)})
        frames.send(judge, answer)
    os._exit(0)


def called(objects: Objects, request: Any) -> dict[str, Any]:
    """One call: its value, and the arguments if the call changed them."""
    name, sent, keywords = request
    arguments = [objects.decoded(a) for a in sent]
    function = objects.function(name)
    value = function(*arguments, **{k: objects.decoded(v) for k, v in keywords.items()})
    answer: dict[str, Any] = {"value": objects.encoded(value)}
    after = [objects.encoded(a) for a in arguments]
    if after != sent:
        answer["arguments"] = after
    return answer


def module_of(name: str, code: str = "") -> dict[str, Any]:
    """The namespace of a new module, registered under its name as code expects of itself.

    `unittest.main`, `doctest.testmod` and dataclasses look a program up by its `__name__`.
    """
    module = ModuleType(name)
    vars(module)["__builtins__"] = builtins
    sys.modules[name] = module
    sys.argv = [name]
    lines = code.splitlines(keepends=True)
    linecache.cache["<program>"] = (len(code), None, lines, "<program>")  # for `inspect`
    return vars(module)


def lacking(error: BaseException) -> str | None:
    """The package that the sandbox lacks, if the exception is about one."""
    if not isinstance(error, ModuleNotFoundError) or not isinstance(error.name, str):
        return None
    return error.name.partition(".")[0]


def run(code: str, harness: socket.socket) -> NoReturn:
    """Run a program as a script, from standard input to standard output."""
    names = module_of("__main__", code)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - for as long as it runs
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    status: int = 0
    try:
        exec(compile(code, "<program>", "exec"), names)  # noqa: S102 - behind walls, in its own process
        if "threading" in sys.modules:
            sys.modules["threading"]._shutdown()  # wait for its threads, as Python does
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except MemoryError:
        status = OUT_OF_MEMORY
    except BaseException as error:
        status = 1
        frames.send(harness, described(error).encode(errors="replace"))
    try:
        sys.stdout.flush()
    except BaseException:
        status = status or 1
    os._exit(status & 0xFF)


def described(error: BaseException) -> str:
    """An exception in one line, with the program's line that raised it."""
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<program>":
            line = trace.tb_lineno
        trace = trace.tb_next
    text = f"{type(error).__name__}: {error}"[:LONGEST_DETAIL]
    return text if line is None else f"{text} (line {line})"
