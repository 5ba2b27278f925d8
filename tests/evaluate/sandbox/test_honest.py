"""Right programs pass and wrong ones fail, whichever part of the standard library they use.

Each runs between two programs that must not notice it.
"""

import sys

import pytest

from augury.errors import UsageError
from augury.evaluate.sandbox import Program, Sandbox, Verdict
from augury.evaluate.sandbox.packages import lacking
from tests.evaluate.sandbox.conftest import INNOCENT, LIMITS, WRONG, Attacks, processes_of

# Modules that an honest program may import; the others talk to other processes or devices,
# belong to another system or print when imported.
LEFT_OUT = {
    "antigravity", "this", "idlelib", "lib2to3", "turtle", "turtledemo", "tkinter", "msilib",
    "msvcrt", "nt", "ossaudiodev", "spwd", "nis", "readline", "ensurepip", "venv", "test",
    "xxlimited", "xxsubtype",
}  # fmt: skip
MODULES = sorted(
    name
    for name in sys.stdlib_module_names
    if not name.startswith("_") and name not in LEFT_OUT and "win" not in name
)

# Scripts that print True.
SCRIPTS = {
    "zones": "import zoneinfo, datetime as d\n"
    "print(d.datetime(2024, 7, 1, tzinfo=zoneinfo.ZoneInfo('UTC')).year == 2024)",
    "home": "from pathlib import Path\nimport os\n"
    "print(Path.home() == Path(os.path.expanduser('~')) == Path('/work'))",
    "user": "import pwd, grp, os, getpass\np = pwd.getpwuid(os.getuid())\n"
    "print(p.pw_name == getpass.getuser() and pwd.getpwnam(p.pw_name) == p in pwd.getpwall()\n"
    "      and grp.getgrgid(os.getgid()).gr_gid == os.getgid())",
    "nobody": "import pwd\ntry:\n    pwd.getpwnam('root')\nexcept KeyError:\n    print(True)",
    "paths": "import sysconfig\nprint('stdlib' in sysconfig.get_paths())",
    "curses": "import curses\nprint(curses.A_BOLD > 0)",
    "doctest": "def f():\n    '''\n    >>> f()\n    1\n    '''\n    return 1\n"
    "import doctest\nprint(tuple(doctest.testmod()) == (0, 1))",
    "a doctest that fails": "def f():\n    '''\n    >>> f()\n    2\n    '''\n    return 1\n"
    "import doctest, io, contextlib\nwith contextlib.redirect_stdout(io.StringIO()):\n"
    "    found = doctest.testmod()\nprint(tuple(found) == (1, 1))",
    "queue": "import multiprocessing as m\nq = m.Queue()\nq.put([1])\nprint(q.get() == [1])",
    "lock": "import multiprocessing as m\nl = m.Lock()\nwith l:\n    print(not l.acquire(False))",
    "recursive lock": "import multiprocessing as m\nl = m.RLock()\nwith l, l:\n    print(True)",
    "semaphore": "import multiprocessing as m\ns = m.Semaphore(2)\n"
    "print([s.acquire(False) for _ in range(3)] == [True, True, False])",
    "event": "import multiprocessing as m\ne = m.Event()\ne.set()\nprint(e.wait(1))",
    "asyncio": "import asyncio\nasync def f():\n    await asyncio.sleep(0)\n    return True\n"
    "print(asyncio.run(f()))",
    "uuid": "import uuid\nprint(len({uuid.uuid1(), uuid.uuid4()}) == 2)",
    "sqlite": "import sqlite3\n"
    "print(sqlite3.connect(':memory:').execute('select 1').fetchone() == (1,))",
    "threads": "from concurrent.futures import ThreadPoolExecutor\n"
    "with ThreadPoolExecutor(2) as pool:\n    print(list(pool.map(abs, [-1])) == [1])",
    "a file of its own": "import tempfile\nwith tempfile.TemporaryFile() as f:\n"
    "    print(f.write(b'x') == 1)",
    "source": "import inspect\ndef f():\n    return 1\nprint('return 1' in inspect.getsource(f))",
    "module": "import sys, __main__\nx = 1\nprint(__main__.x == 1 and __name__ == '__main__')",
    "arguments": "import argparse\np = argparse.ArgumentParser()\n"
    "p.add_argument('--n', default=1)\n"
    "print(p.parse_args().n == 1)",
    "dataclass": "from __future__ import annotations\nfrom dataclasses import dataclass, fields\n"
    "from typing import ClassVar, get_type_hints\n@dataclass\nclass A:\n    x: int = 1\n"
    "    y: ClassVar[int] = 2\nprint(len(fields(A)) == 1 and get_type_hints(A)['x'] is int)",
    "pickle": "import pickle\nclass A:\n    x = 1\n"
    "print(type(pickle.loads(pickle.dumps(A()))) is A)",
    "random": "import random, statistics\nrandom.seed(1)\n"
    "print(0 < statistics.fmean(random.random() for _ in range(99)) < 1)",
    "hashes": "import hashlib\nprint(len(hashlib.sha256(b'x').hexdigest()) == 64)",
    "compressed": "import zlib, gzip, bz2, lzma\nprint(all(c.decompress(c.compress(b'x')) == b'x'\n"
    "    for c in (zlib, gzip, bz2, lzma)))",
    "signals": "import signal\nsignal.signal(signal.SIGALRM, lambda *a: None)\n"
    "signal.setitimer(signal.ITIMER_REAL, 0.001)\nprint(signal.pause() is None)",
    "tables": "import csv, io\nprint(list(csv.reader(io.StringIO('a,b'))) == [['a', 'b']])",
    "markup": "import xml.etree.ElementTree as e\nprint(e.fromstring('<a/>').tag == 'a')",
    "locale": "import locale, platform\n"
    "print(bool(platform.platform()) and len(locale.getlocale()) == 2)",
    "logs": "import logging\nlogging.warning('x')\nprint(True)",
}  # fmt: skip

# Values that functions return, and what tests check.
VALUES = {
    "deque": ("from collections import deque", "deque([1, 2], 5)", "f() == deque([1, 2])"),
    "full deque": ("from collections import deque", "deque([1, 2], 2)", "f().maxlen == 2"),
    "date": ("from datetime import *", "date(2024, 2, 29)", "f() == date(2024, 2, 29)"),
    "datetime": ("from datetime import *", "datetime(2024, 1, 2, 3, tzinfo=timezone.utc)",
                 "f().tzinfo is not None and str(f()) == '2024-01-02 03:00:00+00:00'"),
    "time": ("from datetime import *", "time(1, 2)", "f() == time(1, 2)"),
    "timedelta": ("from datetime import *", "timedelta(days=1)", "f().days == 1"),
    "array": ("from array import array", "array('i', [1])", "f() == array('i', [1])"),
    "slice": ("", "slice(1, None, 2)", "[1, 2, 3, 4][f()] == [2, 4]"),
    "match": ("import re", "re.search('(b)c', 'abcd')",
              "f().group(1) == 'b' and f().span()[0] == 1"),
    "named group": ("import re", "re.match('(?P<x>a)', 'ab')", "f()['x'] == 'a'"),
    "match behind": ("import re", "re.search('(?<=a)b', 'ab')", "f().group() == 'b'"),
    "no match": ("import re", "re.match('b', 'a')", "f() is None"),
    "pattern": ("import re", "re.compile('A', re.I)", "f().match('a')"),
    "type": ("", "type(1)", "f() is int"),
    "kinds": ("", "[type(x) for x in ('', [], None)][:2]", "f() == [str, list]"),
    "keys": ("", "{'a': 1}.keys()", "list(f()) == ['a'] and f() == {'a'}"),
    "items": ("", "{'a': 1}.items()", "list(f()) == [('a', 1)]"),
    "values": ("", "{'a': 1}.values()", "list(f()) == [1]"),
    "counter": ("from collections import Counter", "Counter('aab')",
                "f() == {'a': 2, 'b': 1} and f()['z'] == 0 and f().most_common(1) == [('a', 2)]"),
    "ordered": ("from collections import OrderedDict", "OrderedDict([('b', 1), ('a', 2)])",
                "list(f()) == ['b', 'a'] and f().popitem() == ('a', 2)"),
    "default": ("from collections import defaultdict", "defaultdict(list, {'a': [1]})",
                "f() == {'a': [1]} and f()['z'] == []"),
    "named tuple": ("from collections import namedtuple\nP = namedtuple('P', 'x y')", "P(1, 2)",
                    "f() == (1, 2) and f().y == 2"),
    "typed tuple": ("from typing import NamedTuple\nclass P(NamedTuple):\n    x: int", "P(1)",
                    "f().x == 1"),
    "path": ("from pathlib import *", "PurePosixPath('a') / 'b'", "str(f()) == 'a/b'"),
    "uuid": ("import uuid", "uuid.UUID(int=1)", "f().int == 1"),
    "namespace": ("from types import SimpleNamespace", "SimpleNamespace(x=1)", "f().x == 1"),
    "view": ("", "memoryview(b'ab')", "f()[0] == 97"),
    "ellipsis": ("", "...", "f() is ..."),
    "exception": ("", "ValueError('x')", "isinstance(f(), ValueError) and str(f()) == 'x'"),
    "enum": ("from enum import Enum\nclass E(Enum):\n    A = 1", "E.A", "f().value == 1"),
    "int enum": ("from enum import IntEnum\nclass E(IntEnum):\n    A = 1", "E.A", "f() == 1"),
    "own object": ("class A:\n    def __init__(self):\n        self.x = [1]", "A()",
                   "f().x == [1]"),
    "own method": ("class A:\n    def g(self, n):\n        return n + 1", "A()", "f().g(2) == 3"),
    "own items": ("class A:\n    def __iter__(self):\n        return iter([1, 2])", "A()",
                  "list(f()) == [1, 2] and sum(f()) == 3"),
    "own length": ("class A:\n    def __len__(self):\n        return 0", "A()",
                   "len(f()) == 0 and not f()"),
    "own text": ("class A:\n    def __str__(self):\n        return 'a'", "A()", "str(f()) == 'a'"),
    "own sum": ("class A:\n    def __add__(self, n):\n        return n + 1", "A()", "f() + 2 == 3"),
    "own item": ("class A:\n    def __getitem__(self, n):\n        return n", "A()", "f()[7] == 7"),
    "own next": ("class N:\n    def __init__(self, v, n=None):\n        self.v, self.n = v, n",
                 "N(1, N(2))", "f().n.v == 2 and f().n.n is None"),
    "own equal": ("from dataclasses import dataclass\n@dataclass\nclass A:\n    x: int = 1",
                  "[A(1), A(1), A(2)]", "(lambda a: a[0] == a[1] != a[2])(f())"),
    "closure": ("def g(n):\n    return lambda m: n + m", "g(1)", "f()(2) == 3"),
    "class": ("class A:\n    def __init__(self, x=5):\n        self.x = x", "A", "f()(6).x == 6"),
    "many own": ("class A:\n    pass", "[A() for _ in range(99)]", "len(f()) == 99"),
    "complex": ("", "1 + 2j", "f() == 1 + 2j"),
    "generator": ("", "(x for x in 'ab')", "list(f()) == ['a', 'b']"),
    "surrogate": ("", "'\\ud800'", "f() == '\\ud800'"),
}  # fmt: skip


def beside_neighbours(sandbox: Sandbox, programs: list[Program]) -> list[Verdict]:
    """Verdicts on programs, each between two whose verdicts must not change."""
    before = len(processes_of(sandbox))
    found = sandbox.run([p for program in programs for p in (program, INNOCENT, WRONG)])
    assert {v.outcome for v in found[1::3]} == {"passed"}, found
    assert {v.outcome for v in found[2::3]} == {"failed"}, found
    assert len(processes_of(sandbox)) == before
    return found[::3]


def test_honest_scripts_pass(sandbox: Sandbox) -> None:
    scripts = [Program(name, code, expected_output="True") for name, code in SCRIPTS.items()]
    found = beside_neighbours(sandbox, scripts)
    assert not [v for v in found if not v.passed]


def test_honest_values_cross(sandbox: Sandbox) -> None:
    right: list[Program] = []
    wrong: list[Program] = []
    for name, (imports, value, test) in VALUES.items():
        code = f"{imports}\ndef f():\n    return {value}\n"
        # The tests import the modules that they name, and nothing from the program.
        own = "class" in imports or not imports.startswith(("from", "import"))
        named = "" if own else imports
        for tests, programs in ((test, right), (f"not ({test})", wrong)):
            programs.append(Program(name, code, f"{named}\nassert {tests}\n", "", ("f",)))
    assert not [v for v in beside_neighbours(sandbox, right) if not v.passed]
    found = beside_neighbours(sandbox, wrong)
    assert not [v for v in found if (v.outcome, v.detail[:9]) != ("failed", "Assertion")]


def test_every_module_of_the_library_can_be_imported(sandbox: Sandbox) -> None:
    found = sandbox.run([Program(name, f"import {name}\n") for name in MODULES])
    found_wrong = [v for v in found if not v.passed and "No module named" not in v.detail]
    assert not found_wrong
    assert len(found) > 110
    assert sum(v.passed for v in found) > 110
    assert [v.outcome for v in sandbox.run([INNOCENT, WRONG])] == ["passed", "failed"]


SUITE = "import unittest\nclass T(unittest.TestCase):\n    def test(self):\n        {}\n{}\n"


@pytest.mark.parametrize("main", ["unittest.main()", "if __name__ == '__main__': unittest.main()"])
def test_a_suite_inside_a_program_decides(attack: Attacks, main: str) -> None:
    assert attack.script(SUITE.format("self.assertEqual(1, 1)", main)).passed
    failed = attack.script(SUITE.format("self.assertEqual(1, 2)", main))
    assert (failed.outcome, failed.detail) == ("failed", "exit status 1")


@pytest.mark.slow
@pytest.mark.parametrize("rights", ["0o555", "0o000", "0o777"])
def test_rights_of_the_work_directory_harm_no_neighbour(attack: Attacks, rights: str) -> None:
    code = f"import os\nos.chmod('.', {rights})\n"
    assert attack.script(code).passed
    assert attack.function(f"{code}def f():\n    return 'right'\n").passed


@pytest.mark.parametrize("letter", ["\U0001f600", "é", "\ud800", "\0", '"', "\\"])
def test_a_long_message_of_any_letters_harms_no_neighbour(attack: Attacks, letter: str) -> None:
    code = f"def f():\n    raise ValueError({letter!r} * 900)\n"
    for verdict in (
        attack.function(code),
        attack.script(f"{code}f()"),
        attack.function("def f():\n    return 1\n", f"assert False, {letter!r} * 900\n"),
    ):
        assert verdict.outcome == "failed"
        assert verdict.detail


def test_tests_that_lack_a_package_judge_nothing(attack: Attacks) -> None:
    right = "def f():\n    return 'right'\n"
    verdict = attack.function(right, "import numpy as np\nassert f() == 'right'\n")
    assert (verdict.outcome, verdict.detail) == (
        "refused",
        "the tests import numpy, which the sandbox lacks",
    )
    # A program that lacks a package fails with a message; it cannot shift the blame to the tests.
    for code in (
        "import numpy.linalg\n" + right,
        "def f():\n    import numpy\n    return 'right'\n",
    ):
        verdict = attack.function(code)
        assert verdict.outcome == "failed"
        assert verdict.detail.startswith("the program imports numpy, which the sandbox lacks")


def test_an_exception_of_the_program_is_named_once(attack: Attacks) -> None:
    verdict = attack.function("def f():\n    raise ValueError('too small')\n")
    assert verdict.detail == "ValueError: too small (line 2) (line 1 of the tests)"


CHEATS = [
    "class A:\n    __eq__ = lambda s, o: True\n    __hash__ = lambda s: hash('right')\n",
    "class A:\n    __str__ = __repr__ = lambda s: 'wrong'\n    __contains__ = lambda s, x: True\n",
    "class A:\n    __lt__ = __gt__ = __le__ = __ge__ = lambda s, o: True\n",
    "class A:\n    def __getattr__(self, name):\n        return A()\n"
    "    __call__ = lambda s, *a: s\n",
    "class A(str):\n    __eq__ = lambda s, o: True\n    __hash__ = str.__hash__\n",
    "from collections import Counter, deque, namedtuple\nclass A(deque):\n"
    "    __eq__ = lambda s, o: True\n",
    "class A(int):\n    __eq__ = lambda s, o: True\n    __hash__ = int.__hash__\n",
    "class A:\n    __radd__ = __add__ = lambda s, o: A()\n    __eq__ = lambda s, o: True\n",
    "import datetime\nclass A(datetime.date):\n"
    "    __new__ = lambda c: super().__new__(c, 1, 1, 1)\n"
    "    __eq__ = lambda s, o: True\n",
    "A = lambda: (lambda *a: True)\n",
    "A = lambda: ...\n",
    "A = lambda: type\n",
]
ASKED = [
    "assert f() == 'right'",
    "assert 'right' == f()",
    "assert f() in ('right', 'also')",
    "assert 'right' in list(f())",
    "assert [f()] == ['right']",
    "assert {f(): 1}['right'] == 1",
    "assert f() > 3 and f() < 2",
    "assert str(f()) == 'right'",
    "assert f().x == 'right'",
    "assert f()() == 'right'",
    "assert f() + '' == 'right'",
    "assert sorted([f(), f()]) == ['right', 'right']",
]


def test_an_object_of_the_programs_decides_nothing(sandbox: Sandbox) -> None:
    programs = [
        Program(code, f"{code}def f():\n    return A()\n", tests=asked, entry_points=("f",))
        for code in CHEATS
        for asked in ASKED
    ]
    found = beside_neighbours(sandbox, programs)
    assert not [v for v in found if v.outcome not in ("failed", "refused")]


@pytest.mark.slow
def test_packages_are_offered_read_only() -> None:
    tests = (
        "import numpy as np\nassert np.allclose(f([1, 2]), [2, 4])\n"
        "assert isinstance(f(1), np.generic)\na, b, c = g()\n"
        "assert a == 3 and list(b) == ['x', 'y'] and type(c) is np.float32\n"
        "assert f(np.array([1.0])).tolist() == [2.0]\n"
    )
    code = (
        "import numpy as np\ndef f(x):\n    return np.multiply(x, 2)\n"
        "def g():\n    return np.int64(3), np.array(['x', 'y']), np.float32(0.5)\n"
    )
    write = "import numpy\nopen(numpy.__file__, 'a')\n"
    objects = "import numpy as np\ndef f():\n    return np.array([{}], dtype=object)\n"
    with Sandbox(LIMITS, workers=1, packages=["numpy"]) as sandbox:
        found = sandbox.run(
            [
                Program("right", code, tests=tests, entry_points=("f", "g")),
                Program("write", write),
                Program("objects", objects, tests="assert f() == [{}]", entry_points=("f",)),
                INNOCENT,
            ]
        )
    assert [v.outcome for v in found] == ["passed", "failed", "failed", "passed"], found
    assert "Read-only" in found[1].detail or "Permission" in found[1].detail


@pytest.mark.slow
def test_a_package_that_is_not_there_is_named() -> None:
    for name, said in (("no_such_package", "is not installed"), ("os", "not a package that can")):
        with pytest.raises(UsageError, match=said):
            Sandbox(workers=1, packages=[name])
    code = "import os, numpy.linalg\ntry:\n    import yaml\nexcept ImportError:\n    pass\n"
    code += "def f():\n    from scipy import stats\n"
    assert lacking(code, ()) == ["numpy", "scipy"]
    assert lacking(code, ("numpy",)) == ["scipy"]
    assert lacking("import (", ()) == []
