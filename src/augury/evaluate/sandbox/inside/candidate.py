"""The process of one model-written program. Nothing here is secret; nothing it says is believed.

It has two channels: to the harness, for a bounded word on why it stopped, and to its judge, who
asks for calls and gets plain values back. The program may do with both as it likes.
"""

from __future__ import annotations

import builtins
import os
import socket
import sys
from typing import Any, NoReturn

from . import frames
from .codec import CannotCrossError, decode, dumps, encode, loads

OUT_OF_MEMORY = 77  # exit status that names a MemoryError; only a kinder word for not passing
LONGEST_DETAIL = 500
LONGEST_REQUEST = 1 << 26  # bytes of one call's arguments: the tests are trusted


def serve(code: str, judge: socket.socket, limit: int) -> NoReturn:
    """Load a program's definitions, then answer its judge's calls until it hangs up."""
    names: dict[str, Any] = {"__name__": "program", "__builtins__": builtins}
    try:
        exec(compile(code, "<program>", "exec"), names)  # noqa: S102 - behind walls, in its own process
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    except BaseException as error:
        frames.send(judge, dumps({"broken": described(error)}))
        os._exit(1)
    frames.send(judge, dumps({"ready": True}))
    while (request := frames.receive(judge, LONGEST_REQUEST)) is not None:
        try:
            answer = dumps(called(names, loads(request)))
            if len(answer) > limit:
                answer = dumps({"broken": f"an answer of {len(answer)} bytes; {limit} are allowed"})
        except MemoryError:
            os._exit(OUT_OF_MEMORY)
        except CannotCrossError as error:
            answer = dumps({"broken": str(error)})
        except BaseException as error:
            kinds = [kind.__name__ for kind in type(error).__mro__]
            answer = dumps({"raised": kinds, "detail": described(error)})
        frames.send(judge, answer)
    os._exit(0)


def called(names: dict[str, Any], request: Any) -> dict[str, Any]:
    """One call: its value, and the arguments where the call has changed them."""
    name, sent, keywords = request
    arguments = [decode(a) for a in sent]
    value = names[name](*arguments, **{k: decode(v) for k, v in keywords.items()})
    answer: dict[str, Any] = {"value": encode(value)}
    try:
        after = [encode(a) for a in arguments]
    except CannotCrossError:
        return answer
    if after != sent:
        answer["arguments"] = after
    return answer


def run(code: str, harness: socket.socket) -> NoReturn:
    """Run a program as a script, from standard input to standard output."""
    names: dict[str, Any] = {"__name__": "__main__", "__builtins__": builtins}
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
        frames.send(harness, described(error).encode())
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
