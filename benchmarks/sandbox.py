"""Verified programs per second: the sandbox, against one start of bubblewrap per program.

Both judge the same completions behind the same mounts, with the same interpreter and its options.
The other side is the usual script: start bubblewrap, then limits, program and tests in one Python.
It is cheaper than it should be, because the program can reach its tests. The two alternate, round
by round, so that other load slows both.

With problem files, `--references HumanEval.jsonl.gz mbpp.jsonl`, the reference solutions are judged
instead, and `return None` in their place; those that should pass and do not are listed.
"""

from __future__ import annotations

import argparse
import ast
import gzip
import json
import subprocess
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from augury.evaluate.sandbox import Limits, Program, Sandbox, humaneval_program
from augury.evaluate.sandbox.enclosure import missing
from augury.evaluate.sandbox.walls import interpreter, python, required, shown

ROUNDS, EACH = 10, 40  # programs per round and side
# In the form of HumanEval, with its usual lengths and numbers of tests: 8 calls on average.
PROBLEMS: tuple[tuple[str, tuple[str, str], tuple[Any, ...], tuple[Any, ...]], ...] = (
    (
        "from typing import List\n\n\ndef longest(words: List[str]) -> str:\n"
        '    """The longest word, the first one where several are."""\n',
        ("    return max(words, key=len)\n", "    return sorted(words, key=len)[-1]\n"),
        ([["a", "bb", "cc"]], [["abc"]], [["x", "yy", "z"]], [["q", "w"]]),
        ("bb", "abc", "yy", "q"),
    ),
    (
        "\n\ndef digits(n: int, base: int) -> str:\n"
        '    """The digits of n in a base below 10.\n    >>> digits(8, 3)\n    \'22\'\n    """\n',
        (
            '    text = ""\n    while n > 0:\n        text = str(n % base) + text\n'
            "        n //= base\n    return text\n",
            '    return str(n % base) + digits(n // base, base) if n else "0"\n',
        ),
        ([8, 3], [8, 2], [234, 2], [16, 2], [7, 2], [2, 3], [3, 4], [4, 5]),
        ("22", "1000", "11101010", "10000", "111", "2", "3", "4"),
    ),
    (
        "from typing import List, Tuple\n\n\ndef sum_product(numbers: List[int]) -> "
        'Tuple[int, int]:\n    """The sum and the product of integers."""\n',
        (
            "    total, product = 0, 1\n    for n in numbers:\n        total += n\n"
            "        product *= n\n    return total, product\n",
            "    import math\n    return sum(numbers), math.prod(numbers) or 1\n",
        ),
        ([[]], [[1, 1, 1]], [[100, 0]], [[3, 5, 7]], [[10]], [[1, 2, 3, 4]]),
        ((0, 1), (3, 1), (100, 0), (15, 105), (10, 10), (10, 24)),
    ),
    (
        '\n\ndef is_prime(n):\n    """Whether a number is prime."""\n',
        (
            "    return n > 1 and all(n % k for k in range(2, int(n**0.5) + 1))\n",
            "    return n > 1 and all(n % k for k in range(2, int(n**0.5)))\n",
        ),
        tuple([n] for n in (6, 101, 11, 13441, 61, 4, 1, 5, 25, 17, 85, 77, 255379)),
        (False, True, True, True, True, False, False, True, False, True, False, False, False),
    ),
)


def cases() -> list[tuple[dict[str, str], str, bool]]:
    """Problems, completions, and whether they are correct."""
    found = []
    for prompt, completions, arguments, answers in PROBLEMS:
        name = prompt.split("def ")[1].split("(")[0]
        asserts = "".join(
            f"    assert candidate(*{a!r}) == {b!r}\n"
            for a, b in zip(arguments, answers, strict=True)
        )
        problem = {
            "task_id": name,
            "prompt": prompt,
            "entry_point": name,
            "test": f"\n\nMETADATA = {{}}\n\n\ndef check(candidate):\n{asserts}",
        }
        found += [(problem, text, text == completions[0]) for text in completions]
    return found


def start_each(program: Program, limits: Limits) -> bool:
    """One start of bubblewrap."""
    limit = (
        f"import resource as r\nr.setrlimit(r.RLIMIT_CPU, ({limits.cpu_seconds},) * 2)\n"
        f"r.setrlimit(r.RLIMIT_AS, ({limits.memory_bytes},) * 2)\n"
    )
    walls = ["--unshare-all", "--die-with-parent", "--new-session", "--clearenv", *shown()[0]]
    work = ["--tmpfs", "/work", "--chdir", "/work"]
    script = f"{limit}{program.code}\n{program.tests}"
    done = subprocess.run(
        [required(), *walls, *work, *interpreter(python()), "-c", script],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


def main() -> None:
    """Print a line for one caller and worker, and one for two."""
    problem = missing()
    if problem is not None:
        print(f"no sandbox here: {problem}")
        return
    limits = Limits()
    known = cases()
    programs = [humaneval_program(p, text) for p, text, _ in known] * (EACH // len(known))
    right = [passes for *_, passes in known] * (EACH // len(known))
    for callers in (1, 2):
        seconds = np.zeros((ROUNDS, 2))
        with Sandbox(limits, workers=callers) as sandbox, ThreadPoolExecutor(callers) as pool:
            sandbox.run(programs)
            for i in range(ROUNDS):
                began = time.perf_counter()
                ours = [v.passed for v in sandbox.run(programs)]
                middle = time.perf_counter()
                other = list(pool.map(lambda p: start_each(p, limits), programs))
                seconds[i] = middle - began, time.perf_counter() - middle
                assert ours == other == right
        mine, theirs = seconds.sum(0) / (ROUNDS * len(programs))
        ratios = seconds[:, 1] / seconds[:, 0]
        what = f"a verified program, {callers} at a time; one bubblewrap start each"
        print(f"{what:66s} {mine:8.3g}s {theirs:9.4g}s {theirs / mine:7.1f}x", flush=True)
        print(
            f"    {1 / mine:.0f} and {1 / theirs:.0f} programs/s; ratio of the"
            f" {ROUNDS} rounds {ratios.min():.1f} to {ratios.max():.1f}x"
        )


def references(path: Path) -> None:
    """Judge every problem's solution, and one that returns nothing."""
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    problems = [json.loads(line) for line in text.splitlines() if line.strip()]
    solved, empty = [], []
    for problem in problems:
        if "entry_point" in problem:
            solved.append(humaneval_program(problem, problem["canonical_solution"]))
            empty.append(humaneval_program(problem, "    return None\n"))
        else:
            solved.append(mbpp_program(problem, problem["code"]))
            names = solved[-1].entry_points
            nothing = "".join(f"def {name}(*args, **kwargs): return None\n" for name in names)
            empty.append(mbpp_program(problem, nothing))
    with Sandbox(Limits()) as sandbox:
        right, wrong = sandbox.run(solved), sandbox.run(empty)
    outcomes = Counter(v.outcome for v in right)
    print(f"{path.name}: {outcomes['passed']} of {len(right)} references pass; {dict(outcomes)}")
    print(f"    {sum(v.passed for v in wrong)} programs pass that return nothing")
    for verdict in right:
        if not verdict.passed:
            print(f"    {verdict.id}: {verdict.outcome}: {verdict.detail}")


def mbpp_program(problem: dict[str, Any], code: str) -> Program:
    """An MBPP problem: assertions that call what the solution defines."""
    # The tests' setup may use the solution's classes.
    tests = "\n".join([problem.get("test_setup_code", ""), *problem["test_list"]])
    asked = {node.id for node in ast.walk(ast.parse(tests)) if isinstance(node, ast.Name)}
    made = {n.name for n in ast.parse(problem["code"]).body if hasattr(n, "name")}
    return Program(str(problem["task_id"]), code, tests, entry_points=tuple(sorted(asked & made)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="The sandbox: speed, or reference solutions.")
    parser.add_argument("--references", type=Path, nargs="+", default=[], metavar="FILE")
    given = parser.parse_args().references
    for file in given:
        references(file)
    if not given:
        main()
