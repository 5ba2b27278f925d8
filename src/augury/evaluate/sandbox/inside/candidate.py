"""The process of one model-written program. Nothing here is secret; nothing it says is believed.

It has two channels: to the harness, for a bounded word on why it stopped, and to its judge, who
asks for calls and gets plain values back. The program may do with both as it likes.
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

OUT_OF_MEMORY = 77  # exit status that names a MemoryError; only a kinder word for not passing
LONGEST_DETAIL = 500
MOST_OBJECTS = 100_000  # of a program's own, in the hands of one set of tests
# Of objects of the program's own, as Python's module `operator` calls it. What orders or equals
# them with plain values is left out: the verdict would be the program's.
ARITHMETIC = (
    "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "neg", "pos", "abs",
    "and_", "or_", "xor",
)  # fmt: skip
LONGEST_REQUEST = 1 << 26  # bytes of one call's arguments: the tests are trusted


class Objects:
    """Values that stay here, because they have no plain form: their judge has numbers for them.

    What the judge does with one comes as a call of an operation of this process; what it makes of
    the answer is the judge's business.
    """

    def __init__(self, names: dict[str, Any]) -> None:
        self.names = names
        self.kept: list[Any] = []
        self.numbers: dict[int, int] = {}  # by identity: what is kept lives

    def form(self, value: Any) -> Any:
        """The number of a value, a new one where it is new."""
        number = self.numbers.setdefault(id(value), len(self.kept))
        if number == len(self.kept):
            if number >= MOST_OBJECTS:
                raise CannotCrossError(f"more than {MOST_OBJECTS} objects that cannot be sent")
            self.kept.append(value)
        return {"object": number}

    def encoded(self, value: Any) -> Any:
        """The form of a value, with numbers for what has none."""
        return encode(value, self.form)

    def decoded(self, form: Any) -> Any:
        """The value of a form that the judge has sent."""
        return decode(form, self.kept.__getitem__)

    def function(self, name: str) -> Any:
        """What a request calls: one of the program's own names, or an operation."""
        return OPERATIONS[name] if name in OPERATIONS else self.names[name]


def state(value: Any) -> list[Any]:
    """What an object of the program's own holds, by name."""
    held = dict(getattr(value, "__dict__", {}))
    for kind in type(value).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(value, name):
                held.setdefault(name, getattr(value, name))
    return [type(value).__name__, held]


# What tests do with an object that stays here: `Remote` in the judge asks for these.
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
                answer = dumps({"broken": f"an answer of {len(answer)} bytes; {limit} are allowed"})
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
    """One call: its value, and the arguments where the call has changed them."""
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
    """The names of a new module that is imported under a name, as code expects of its own.

    `unittest.main`, `doctest.testmod` and dataclasses look for a program where it says it is.
    """
    module = ModuleType(name)
    vars(module)["__builtins__"] = builtins
    sys.modules[name] = module
    sys.argv = [name]
    lines = code.splitlines(keepends=True)
    linecache.cache["<program>"] = (len(code), None, lines, "<program>")  # for `inspect`
    return vars(module)


def lacking(error: BaseException) -> str | None:
    """The package that the sandbox lacks, where that is what an exception says."""
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
            sys.modules["threading"]._shutdown()  # wait for its threads, as Python would
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
    """An exception in one line, with the line of the program where it started."""
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<program>":
            line = trace.tb_lineno
        trace = trace.tb_next
    text = f"{type(error).__name__}: {error}"[:LONGEST_DETAIL]
    return text if line is None else f"{text} (line {line})"
