"""Honest programs as models write them. They print True and must pass in the sandbox."""

from __future__ import annotations

PROGRAMS = {
    "heap": "import heapq\nh = [3, 1, 2]\nheapq.heapify(h)\n"
    "print([heapq.heappop(h) for _ in range(3)] == [1, 2, 3])",
    "bisect": "import bisect\nprint(bisect.bisect([1, 3], 2) == 1)",
    "itertools": "from itertools import *\n"
    "print([*accumulate([1, 2, 3])] == [1, 3, 6] and len([*permutations('abc')]) == 6)",
    "cache": "from functools import lru_cache\n@lru_cache(None)\ndef f(n):\n"
    "    return n if n < 2 else f(n - 1) + f(n - 2)\nprint(f(90) == 2880067194370816120)",
    "regular expressions": "import re\n"
    "print(re.sub(r'(\\w+) (\\w+)', r'\\2 \\1', 'a b') == 'b a')",
    "mathematics": "import math, cmath\n"
    "print(math.isqrt(99) == 9 and math.gcd(12, 18) == 6 and abs(cmath.exp(1j)) - 1 < 1e-9)",
    "decimals": "from decimal import *\ngetcontext().prec = 50\n"
    "print(str(Decimal(2).sqrt())[:12] == '1.4142135623')",
    "fractions": "from fractions import Fraction as F\nprint(F(1, 3) + F(1, 6) == F(1, 2))",
    "statistics": "import statistics as s\n"
    "print(s.median([3, 1, 2]) == 2 and s.mode('aab') == 'a')",
    "text": "import textwrap, string\n"
    "print(textwrap.fill('a b', 1) == 'a\\nb' and string.capwords('a b') == 'A B')",
    "differences": "import difflib\n"
    "print(difflib.get_close_matches('appel', ['apple']) == ['apple'])",
    "json": "import json\nprint(json.loads(json.dumps({'a': [1, None]})) == {'a': [1, None]})",
    "encodings": "import base64, binascii, codecs\n"
    "print(base64.b64decode(base64.b64encode(b'x')) == b'x' and codecs.encode('a',"
    " 'rot13') == 'n')",
    "struct": "import struct\nprint(struct.unpack('>I', struct.pack('>I', 7)) == (7,))",
    "operators": "from operator import itemgetter, mul\nfrom functools import reduce\n"
    "print(reduce(mul, range(1, 6)) == 120 and sorted([(2, 'a'), (1, 'b')],"
    " key=itemgetter(1))[0][0] == 2)",
    "copies": "import copy\na = [[1]]\nb = copy.deepcopy(a)\nb[0][0] = 2\nprint(a == [[1]])",
    "chains": "from collections import ChainMap\nprint(ChainMap({'a': 1}, {'b': 2})['b'] == 2)",
    "contexts": "import contextlib, io\nwith contextlib.redirect_stdout(io.StringIO()) as s:\n"
    "    print('x')\nprint(s.getvalue() == 'x\\n')",
    "abstract classes": "import abc\nclass A(abc.ABC):\n    @abc.abstractmethod\n"
    "    def f(self): ...\n"
    "try:\n    A()\nexcept TypeError:\n    print(True)",
    "flags": "import enum\nclass F(enum.Flag):\n    A = enum.auto()\n    B = enum.auto()\n"
    "print((F.A | F.B) & F.A == F.A)",
    "dates": "import datetime, calendar\n"
    "print(datetime.datetime.strptime('2024-02-29', '%Y-%m-%d').weekday() == 3\n"
    "      and calendar.isleap(2024))",
    "secrets": "import secrets\nprint(len(secrets.token_hex(8)) == 16)",
    "archives": "import zipfile, io\nb = io.BytesIO()\nwith zipfile.ZipFile(b, 'w') as z:\n"
    "    z.writestr('a', 'x')\nprint(zipfile.ZipFile(b).read('a') == b'x')",
    "settings": "import configparser\nc = configparser.ConfigParser()\nc.read_string('[a]\\n"
    "b = 1')\n"
    "print(c['a']['b'] == '1')",
    "html": "import html\nprint(html.unescape('&lt;') == '<')",
    "addresses": "import ipaddress, urllib.parse as u\n"
    "print(ipaddress.ip_address('::1').is_loopback and u.urlparse('http://a/b?c').query == 'c')",
    "shell words": "import shlex\nprint(shlex.split('a \"b c\"') == ['a', 'b c'])",
    "syntax trees": "import ast\nprint(ast.literal_eval('[1, {2}]') == [1, {2}])",
    "graphs": "import graphlib\n"
    "print([*graphlib.TopologicalSorter({'a': ['b']}).static_order()] == ['b', 'a'])",
    "queues": "import queue, threading\nq = queue.Queue()\n"
    "threading.Thread(target=q.put, args=(1,)).start()\nprint(q.get(timeout=5) == 1)",
    "weak references": "import weakref\nclass A: ...\na = A()\nr = weakref.ref(a)\nprint(r() is a)",
    "unicode": "import unicodedata\nprint(unicodedata.normalize('NFD', '\\u00e9') == 'e\\u0301')",
    "files": "with open('a.txt', 'w') as f:\n    f.write('b')\nimport os\n"
    "print(open('a.txt').read() == 'b' and os.path.getsize('a.txt') == 1)",
    "recursion": "def f(n):\n    return 0 if n == 0 else 1 + f(n - 1)\nprint(f(900) == 900)",
    "deeper recursion": "import sys\nsys.setrecursionlimit(20000)\ndef f(n):\n"
    "    return 0 if n == 0 else 1 + f(n - 1)\nprint(f(9000) == 9000)",
    "generators": "def g():\n    x = yield 1\n    yield x\ni = g()\nnext(i)\nprint(i.send(5) == 5)",
    "matching": "match [1, {'a': 2}]:\n    case [x, {'a': y}]:\n        print((x, y) == (1, 2))",
    "inheritance": "class A:\n    def f(self):\n        return 1\nclass B(A):\n    def f(self):\n"
    "        return super().f() + 1\nprint(B().f() == 2)",
    "exceptions": "class E(Exception): ...\ntry:\n    raise E('x') from ValueError('y')\n"
    "except E as e:\n    print(str(e.__cause__) == 'y')",
    "groups of exceptions": "try:\n    raise ExceptionGroup('g', [ValueError(1)])\n"
    "except* ValueError as e:\n    print(len(e.exceptions) == 1)",
    "big numbers": "print(len(str(2 ** 10000)) == 3011 and pow(3, 10**18, 7) == 4)",
    "sieve": "n = 10**5\ns = bytearray([1]) * (n + 1)\nfor i in range(2, int(n**.5) + 1):\n"
    "    if s[i]:\n        s[i*i::i] = bytes(len(s[i*i::i]))\nprint(sum(s[2:]) == 9592)",
    "main": "def main():\n    print(True)\nif __name__ == '__main__':\n    main()",
    "input at its end": "try:\n    input()\nexcept EOFError:\n    print(True)",
    "an honest exit": "import sys\nprint(True)\nsys.exit()",
    "unittest": "import unittest, io\nclass T(unittest.TestCase):\n    def test(self):\n"
    "        self.assertEqual(1, 1)\n"
    "r = unittest.TextTestRunner(stream=io.StringIO()).run(unittest.makeSuite(T)\n"
    "    if hasattr(unittest, 'makeSuite') else"
    " unittest.defaultTestLoader.loadTestsFromTestCase(T))\n"
    "print(r.wasSuccessful())",
    "processes asked for in vain": "import multiprocessing as m\ntry:\n"
    "    p = m.Process(target=print)\n    p.start()\nexcept OSError:\n    print(True)",
}  # fmt: skip
