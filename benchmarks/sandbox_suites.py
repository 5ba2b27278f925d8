"""The sandbox's two suites, attacks and honest programs, each between two unaffected neighbours.

An attack has escaped if it reached something and could report that, or left a trace outside; a
forgery has passed if its tests should have failed; a neighbour is harmed if the right program
before or after it does not pass, or the wrong one does. Honest programs that do not pass are listed
with their verdicts.

    python -m benchmarks.sandbox_suites [--out FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.evaluate.sandbox.conftest import INNOCENT, LIMITS, WRONG, processes_of
from tests.evaluate.sandbox.test_honest import SCRIPTS, VALUES

from augury.evaluate.sandbox import Program, Sandbox, Verdict
from benchmarks.sandbox_attacks import FORGERIES, HARMS, REACHES
from benchmarks.sandbox_honest import PROGRAMS

MODULES = (
    "asyncio, ctypes, ftplib, http.client, importlib.machinery, mmap, multiprocessing, os,"
    " pathlib, pty, resource, shutil, signal, socket, sqlite3, subprocess, sys, urllib.request"
)
REACH = """
import importlib
for module in {modules!r}.split(", "):
    try:
        importlib.import_module(module)
        globals()[module.partition(".")[0]] = sys.modules[module.partition(".")[0]]
    except Exception:
        pass
try:
    libc = ctypes.CDLL(None, use_errno=True)
except Exception:
    pass
def called(result):
    if result == -1:
        raise OSError(ctypes.get_errno())
    return result
try:
    found = eval(compile({expression!r}, "reach", "eval"))
except BaseException as error:
    print("stopped", type(error).__name__)
else:
    print("ESCAPED", repr(found)[:200])
"""
SECRET = "a secret of the host"


@contextmanager
def host() -> Iterator[dict[str, Any]]:
    """Targets of attacks; afterwards, `touched` says which were touched."""
    with (
        tempfile.TemporaryDirectory() as name,
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.socket(socket.AF_UNIX) as local,
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"]) as aim,
    ):
        folder = Path(name)
        folder.chmod(0o755)
        open_to_all, secret = folder / "open", folder / "secret"
        open_to_all.mkdir()
        open_to_all.chmod(0o777)
        secret.write_text(SECRET)
        secret.chmod(0o666)
        local.bind(str(folder / "socket"))
        local.listen()
        told: dict[str, Any] = {
            "secret": str(secret), "folder": str(open_to_all), "pid": aim.pid,
            "port": listener.getsockname()[1], "path": str(folder / "socket"),
        }  # fmt: skip
        outside = [Path("/written"), Path("/tmp/written"), Path("/dev/shm/written")]
        before = {p for p in outside if p.exists()}
        try:
            yield told
            listener.settimeout(0)
            local.settimeout(0)
            touched = [] if aim.poll() is None else ["the process"]
            touched += [str(p) for p in open_to_all.iterdir()]
            touched += [str(p) for p in outside if p.exists() and p not in before]
            if not secret.exists() or secret.read_text() != SECRET:
                touched.append("the secret")
            for heard in (listener, local):
                try:
                    heard.accept()
                    touched.append("a listener")
                except BlockingIOError:
                    pass
            told["touched"] = touched
        finally:
            aim.kill()


def between(sandbox: Sandbox, programs: list[Program]) -> tuple[list[Verdict], list[str]]:
    """Verdicts on programs, and those whose neighbours got a different verdict than alone."""
    found, harmed = [], []
    before = len(processes_of(sandbox))
    for program in programs:
        first, own, second, third = sandbox.run([INNOCENT, program, INNOCENT, WRONG])
        found.append(own)
        if [v.outcome for v in (first, second, third)] != ["passed", "passed", "failed"]:
            harmed.append(program.id)
        if len(processes_of(sandbox)) != before:
            harmed.append(f"{program.id}: processes")
    return found, harmed


def attacks(told: dict[str, Any]) -> tuple[list[Program], list[Program], list[Program]]:
    """Programs that reach out, forge a verdict, or harm their neighbours."""
    reaches = [
        Program(
            f"{kind}: {text}",
            "import sys\n" + REACH.format(modules=MODULES, expression=text.format(**told)),
        )
        for kind, texts in REACHES.items()
        for text in texts
    ]
    forgeries = [
        Program(name, code, tests="assert f() == 'right'\n", entry_points=("f",))
        for name, code in FORGERIES.items()
    ]
    return reaches, forgeries, [Program(name, code) for name, code in HARMS.items()]


def honest() -> tuple[list[Program], list[Program]]:
    """Right programs, and wrong ones: the same values with tests that deny them."""
    right = [
        Program(name, code, expected_output="True") for name, code in (SCRIPTS | PROGRAMS).items()
    ]
    wrong = []
    for name, (imports, value, test) in VALUES.items():
        code = f"{imports}\ndef f():\n    return {value}\n"
        own = "class" in imports or not imports.startswith(("from", "import"))
        named = "" if own else imports
        right.append(Program(name, code, f"{named}\nassert {test}\n", "", ("f",)))
        wrong.append(Program(name, code, f"{named}\nassert not ({test})\n", "", ("f",)))
    return right, wrong


def main(out: Path | None = None) -> dict[str, Any]:
    """Run both suites and print the figures."""
    with host() as told:
        reaches, forgeries, harms = attacks(told)
        right, wrong = honest()
        with Sandbox(LIMITS, workers=1) as sandbox:
            sandbox.run([INNOCENT])
            reached, harmed = between(sandbox, reaches)
            forged, more = between(sandbox, forgeries)
            left, still = between(sandbox, harms)
            judged, beside = between(sandbox, right)
            denied, others = between(sandbox, wrong)
    escaped = [
        f"{p.id}: {v.output.strip()}"
        for p, v in zip(reaches, reached, strict=True)
        if "ESCAPED" in v.output or SECRET in v.output + v.detail
    ]
    figures: dict[str, Any] = {
        "attacks": len(reaches) + len(forgeries) + len(harms),
        "escaped": escaped + [f"touched: {x}" for x in told["touched"]],
        "wrong passed": [
            p.id for p, v in zip(forgeries + wrong, forged + denied, strict=True) if v.passed
        ],
        "honest": len(right),
        "honest wrong": len(wrong),
        "right refused": [
            f"{p.id}: {v.outcome}: {v.detail}"
            for p, v in zip(right, judged, strict=True)
            if not v.passed
        ],
        "neighbours harmed": harmed + more + still + beside + others,
        "attacks that lack a name": [
            p.id for p, v in zip(reaches, reached, strict=True) if "NameError" in v.output
        ],
        "how attacks ended": dict(Counter(v.outcome for v in reached + forged + left)),
    }
    for name, found in figures.items():
        print(f"{name}: {len(found) if isinstance(found, list) else found}")
        for line in found if isinstance(found, list) else ():
            print(f"  {line}")
    if out is not None:
        out.write_text(json.dumps(figures, indent=1) + "\n")
    return figures


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="The sandbox's suites.")
    parser.add_argument("--out", type=Path)
    os.umask(0o022)
    main(parser.parse_args().out)
