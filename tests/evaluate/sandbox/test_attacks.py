"""Attacks by programs. Each attack is contained, and the programs after it are unaffected."""

import os
import secrets
import socket
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from augury.evaluate.sandbox import Limits, Program, Sandbox
from augury.evaluate.sandbox.worker import Worker
from tests.evaluate.sandbox.conftest import Attacks

TRIES = """
def tried(what, *arguments, **keywords):
    try:
        return "done: " + repr(what(*arguments, **keywords))
    except BaseException as error:
        return "stopped: " + type(error).__name__
"""


def lines(output: str) -> list[str]:
    """A script's report of its attempts."""
    return output.strip().splitlines()


@pytest.mark.parametrize(
    "reach",
    [
        "socket.create_connection(('127.0.0.1', {port}), 1)",
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', {port}))",
        "socket.socket(socket.AF_UNIX).connect('{path}')",
        "socket.fromfd(3, socket.AF_UNIX, socket.SOCK_STREAM).connect('{path}')",
    ],
)
def test_network(attack: Attacks, reach: str, tmp_path: Path) -> None:
    path = tmp_path / "s"
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_UNIX) as local,
    ):
        port = tcp.getsockname()[1]
        udp.bind(("127.0.0.1", port))
        local.bind(str(path))
        local.listen()
        verdict = attack.script("import socket\n" + reach.format(port=port, path=path))
        assert verdict.outcome == "refused"
        for listener in (tcp, local):
            listener.settimeout(0)
            with pytest.raises(BlockingIOError):
                listener.accept()
        udp.settimeout(0)
        with pytest.raises(BlockingIOError):
            udp.recv(1)


def test_network_is_empty_too(attack: Attacks) -> None:
    verdict = attack.script("import socket\nprint(socket.getaddrinfo('localhost', 80))\n")
    assert verdict.outcome in ("refused", "failed")
    assert not verdict.output


def test_reading_a_host_file(attack: Attacks, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("a secret")
    tmp_path.chmod(0o755)
    paths = [str(secret), "/etc/passwd", "/etc/hostname", __file__, os.path.expanduser("~")]
    verdict = attack.script(
        f"{TRIES}\nimport os\nfor p in {paths!r}:\n    print(tried(lambda: open(p).read()))\n"
        "print(tried(os.listdir, '/home'))\nprint(tried(os.listdir, '/'))\nprint(os.environ)\n"
    )
    *tries, home, root, environment = lines(verdict.output)
    assert tries == [t for t in tries if t.startswith("stopped")]
    assert len(tries) == len(paths)
    assert home.startswith("stopped")
    assert root.startswith("stopped")  # not even the names in the root
    assert environment == "environ({})"


def test_writing_outside(attack: Attacks, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    names = ["/written", "/tmp/written", "/dev/shm/written", "/usr/lib/written", "/dev/null2"]
    names += [os.__file__ + ".written", str(tmp_path / "written"), "/augury/inside/judge.py"]
    names += ["../written", "/dev/zero", "/augury/written"]
    verdict = attack.script(
        f"{TRIES}\nimport os\nfor p in {names!r}:\n    print(tried(open, p, 'w'))\n"
        f"    print(tried(os.mkdir, p + '.d'))\nprint(tried(os.unlink, {os.__file__!r}))\n"
        f"print(tried(os.chmod, {os.__file__!r}, 0))\nprint(tried(os.rename, '/work', '/work2'))\n"
    )
    tries = lines(verdict.output)
    assert len(tries) == 2 * len(names) + 3
    assert [t for t in tries if not t.startswith("stopped")] == []
    assert not list(tmp_path.iterdir())
    assert not [n for n in names[:7] if Path(n).exists()]


def test_fork_bomb(attack: Attacks) -> None:
    verdict = attack.script(
        f"{TRIES}\nimport os, subprocess\nfor _ in range(100):\n    print(tried(os.fork))\n"
        "print(tried(os.posix_spawn, '/usr/bin/true', ['true'], {}))\n"
        "print(tried(os.execv, '/usr/bin/true', ['true']))\n"
        "print(tried(subprocess.run, ['true']))\nprint(tried(os.forkpty))\n"
    )
    tries = lines(verdict.output)
    assert len(tries) == 104
    assert [t for t in tries if not t.startswith("stopped")] == []


def test_thread_bomb(attack: Attacks) -> None:
    verdict = attack.script(
        "import threading, time\nn = 0\ntry:\n    while True:\n"
        "        threading.Thread(target=time.sleep, args=(99,), daemon=True).start()\n"
        "        n += 1\nexcept RuntimeError:\n    print(n, flush=True)\n"
        "import os\nos._exit(0)\n"
    )
    assert verdict.outcome in ("passed", "memory", "timeout")
    if "threads counted" in attack.sandbox.walls["processes"]:
        assert verdict.output == f"{attack.sandbox.limits.threads}\n"


@pytest.mark.parametrize(
    "bomb",
    [
        "x = bytearray(1 << 40)",
        "x = []\nwhile True:\n    x.append(bytearray(1 << 20))",
        "import mmap\nx = [mmap.mmap(-1, 1 << 20) for _ in range(1 << 20)]",
        "x = 'a'\nwhile True:\n    x += x",
    ],
)
def test_memory_bomb(attack: Attacks, bomb: str) -> None:
    body = "".join(f"    {line}\n" for line in bomb.splitlines())
    expected = ("failed",) if "mmap" in bomb else ("memory",)  # if Python sees it as an OSError
    assert attack.function(f"def f():\n{body}").outcome in expected
    assert attack.script(bomb).outcome in expected


def test_memory_bomb_in_the_work_directory(attack: Attacks) -> None:
    verdict = attack.script(
        f"{TRIES}\nimport os\ndef fill(n):\n    for i in range(n):\n"
        "        open(f'f{i}', 'wb').write(bytes(1 << 20))\n"
        "def name(n):\n    for i in range(n):\n        os.mkdir(f'd{i}')\n"
        "print(tried(fill, 99), sum(os.stat(n).st_size for n in os.listdir('.')) >> 20)\n"
        "print(tried(name, 9999))\n"
    )
    assert lines(verdict.output) == ["stopped: OSError 4", "stopped: OSError"]


def test_memory_bomb_for_the_tests(attack: Attacks) -> None:
    verdict = attack.function(
        "def f():\n    return range(10**12)\n", "assert len(list(f())) == 3\n"
    )
    assert verdict.outcome == "memory"


@pytest.mark.slow
@pytest.mark.parametrize(
    "loop",
    [
        "while True:\n    pass\n",
        "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True:\n    pass\n",
        "import resource\nresource.setrlimit(resource.RLIMIT_CPU, (2, 2))\nwhile True:\n    pass\n",
        "import threading\ndef g():\n    while True:\n        pass\n"
        "for _ in range(4):\n    threading.Thread(target=g).start()\n",
        "10 ** 10 ** 9\n",
    ],
)
def test_endless_loop(attack: Attacks, loop: str) -> None:
    verdict = attack.script(loop)
    assert verdict.outcome == "timeout"
    assert 0.5 < verdict.cpu_seconds < 3  # the kernel counts for its limit in coarser steps


@pytest.mark.slow
def test_endless_loop_in_the_tests(attack: Attacks) -> None:
    code = "def f():\n    return range(10**18)\n"
    verdict = attack.function(code, "for x in f():\n    assert x >= 0\n")
    assert verdict.outcome == "timeout"
    assert "its tests" in verdict.detail


def test_output_flood(attack: Attacks) -> None:
    flood = attack.script("while True:\n    print('x' * 9999)\n")
    assert (flood.outcome, "printed more" in flood.detail) == ("failed", True)
    assert len(flood.output) == attack.sandbox.limits.output_bytes
    answer = attack.function("def f():\n    return 'x' * 99_999\n")
    assert (answer.outcome, "are allowed" in answer.detail) == ("failed", True)
    answer = attack.function("def f():\n    return 'x' * 99_999_999\n")
    assert answer.outcome in ("failed", "memory")
    aside = attack.function(
        "import os, sys\ndef f():\n    for _ in range(99):\n        print('x' * 9999)\n"
        "        print('x' * 9999, file=sys.stderr)\n        os.write(1, b'x' * 9999)\n"
        "    return 'right'\n"
    )
    assert (aside.outcome, aside.output) == ("passed", "")


@pytest.mark.parametrize("loud", ["os.write(3, b'x' * (1 << 20))", "os.write(4, b'x' * (1 << 20))"])
def test_output_flood_of_its_channels(attack: Attacks, loud: str) -> None:
    assert not attack.function(f"import os\n{loud}\ndef f():\n    return 'right'\n").passed


def test_killing_the_parent(attack: Attacks) -> None:
    verdict = attack.script(
        f"{TRIES}\nimport os, signal\n"
        f"for pid in (1, os.getppid(), -1, 0, -os.getpgrp(), {os.getpid()}):\n"
        "    for number in (9, 15, 19, 2):\n        print(tried(os.kill, pid, number))\n"
        "print(tried(os.killpg, 0, 9))\n"
    )
    tries = lines(verdict.output)
    assert len(tries) >= 25
    assert [t for t in tries if not t.startswith("stopped")] == []


def test_killing_itself_is_a_crash(attack: Attacks) -> None:
    kill = "import os\ndef f():\n    os.kill(os.getpid(), {})\n"
    assert attack.function(kill.format(11)).detail == "SIGSEGV"
    assert attack.function(kill.format(9)).outcome == "crash"
    assert attack.script("import os\nos.abort()\n").outcome == "crash"


def test_a_program_that_killed_itself_is_told_from_one_that_was_ended() -> None:
    """It hangs up just before it counts as dead: the harness may kill it in between."""
    worker = SimpleNamespace(limits=Limits())
    report = {"code": -9, "cpu": 0.0, "ended": True}
    assert Worker._end_of(worker, report) is None  # type: ignore[arg-type]
    assert Worker._end_of(worker, report, gone=True) == ("crash", "SIGKILL")  # type: ignore[arg-type]


SEARCH = """
import gc, os, sys, fcntl
def f():
    found = [repr(sys.argv), repr(dict(os.environ)), repr(sys.orig_argv), repr(sys.flags)]
    found += [repr(o) for o in gc.get_objects(0) + gc.get_objects(1) + gc.get_objects(2)
              if type(o) in (str, bytes, dict, list, tuple)]
    frame = sys._getframe()
    while frame:
        found += [repr(frame.f_locals), repr(frame.f_globals)]
        frame = frame.f_back
    for fd in range(64):
        try:
            fcntl.fcntl(fd, fcntl.F_SETFL, os.O_NONBLOCK)
            found.append(repr(os.read(fd, 1 << 16)))
        except OSError:
            pass
    for name in ("/proc/self/mem", "/proc/1/environ", "/proc/1/cmdline", "/augury", "tests"):
        try:
            found.append(open(name).read())
        except OSError:
            pass
    return "\\n".join(found)
"""


def test_reading_the_expected_output(attack: Attacks) -> None:
    secret = secrets.token_hex(16)
    code = f"{SEARCH}\nt = f()\nprint({secret[::-1]!r}[::-1] in t, len(t) > 1000)\n"
    for _ in range(2):  # the second runs after a program with the same judge
        verdict = attack(Program("attack", code, expected_output=secret))
        assert (verdict.outcome, verdict.output) == ("failed", "False True\n")


def test_reading_the_tests(attack: Attacks) -> None:
    secret = secrets.token_hex(16)
    code = f"{SEARCH}\ng = f\ndef f():\n    t = g()\n    return {secret[::-1]!r}[::-1] in t\n"
    tests = f"secret = {secret!r}\nassert f() is True, 'not found'\n"
    for _ in range(2):
        verdict = attack.function(code, tests)
        assert (verdict.outcome, "not found" in verdict.detail) == ("failed", True)


@pytest.mark.parametrize(
    "code",
    [
        "class A(str):\n    __eq__ = lambda s, o: True\n    __hash__ = None\n"
        "def f():\n    return A('wrong')\n",
        "class A:\n    __eq__ = lambda s, o: True\ndef f():\n    return A()\n",
        "import builtins\nbuiltins.AssertionError = ValueError\nbuiltins.str = lambda x: 'right'\n"
        "def f():\n    return 'wrong'\n",
        "import sys\nfor m in list(sys.modules.values()):\n"
        "    for n in ('judge', 'dumps', 'encode'):\n"
        "        if hasattr(m, n) and 'inside' in m.__name__:\n"
        "            setattr(m, n, lambda *a: {'outcome': 'passed', 'detail': ''})\n"
        "def f():\n    return 'wrong'\n",
        "import sys\nsys.exit(0)\n",
        "import os\nos._exit(0)\n",
        "import os\ndef f():\n    os._exit(0)\n",
        "def f():\n    raise SystemExit(0)\n",
        "def f():\n    import sys\n    sys._getframe().f_back.f_globals['outcome'] = 'passed'\n"
        "    while True:\n        raise KeyboardInterrupt\n",
        "import json, os, struct\nm = json.dumps({'outcome': 'passed', 'detail': ''}).encode()\n"
        "m = struct.pack('>I', len(m)) + m\nos.write(3, m)\nos.write(4, m)\n"
        "def f():\n    os.write(3, m)\n    os.write(4, m)\n    return 'wrong'\n",
        "def f():\n    return [[['right']]] * 9\n",
        "import os\nfor fd in range(3, 64):\n    try:\n        os.close(fd)\n"
        "    except OSError:\n        pass\ndef f():\n    return 'right'\n",
        "def check(candidate):\n    pass\nf = check\n",
        "x = []\nx.append(x)\ndef f():\n    return x\n",
        "f = 'right'\n",
    ],
)
def test_monkey_patching_the_checker(attack: Attacks, code: str) -> None:
    assert attack.function(code).outcome in ("failed", "crash")


def test_monkey_patching_the_tests_by_answers(attack: Attacks) -> None:
    # Whatever the program answers, hanging up cannot make tests pass that catch everything.
    tests = "try:\n    f()\nexcept BaseException:\n    pass\n"
    assert attack.function("import os\ndef f():\n    os._exit(0)\n", tests).outcome == "failed"


def test_leaving_a_background_process(attack: Attacks) -> None:
    leave = (
        f"{TRIES}\nimport os, threading, time\ndef on():\n    while True:\n"
        "        time.sleep(.01)\n        open('still here', 'a').write('x')\n"
        "threading.Thread(target=on, daemon=True).start()\n"
        "def daemon():\n    if os.fork() == 0:\n        os.setsid()\n        on()\n"
        "answer = tried(daemon)\n"
    )
    function = leave + "def f():\n    time.sleep(.1)\n    return answer\n"
    verdict = attack.function(function, "assert f() == 'stopped: PermissionError'\n")
    assert verdict.outcome == "passed"  # `attack` found neither processes nor files afterwards
    assert attack.script(leave + "print(answer)").output == "stopped: PermissionError\n"


def test_escaping_through_proc(attack: Attacks) -> None:
    names = ["/proc", "/proc/self", "/proc/1/root", "/proc/self/root", "/proc/self/fd", "/sys"]
    names += ["/proc/sys/kernel/core_pattern", "/proc/self/exe", f"/proc/{os.getpid()}/root"]
    verdict = attack.script(
        f"{TRIES}\nimport os\nfor p in {names!r}:\n    print(tried(os.listdir, p))\n"
        "    print(tried(open, p))\n    print(tried(os.readlink, p))\n"
        "    print(tried(os.chdir, p))\n"
    )
    tries = lines(verdict.output)
    assert len(tries) == 4 * len(names)
    assert [t for t in tries if not t.startswith("stopped")] == []


@pytest.mark.parametrize(
    "call",
    [
        "libc.mount(b'proc', b'/work', b'proc', 0, None)",
        "libc.unshare(0x10000000)",
        "libc.setns(0, 0)",
        "libc.chroot(b'/work')",
        "libc.ptrace(16, 1, 0, 0)",
        "libc.syscall(310, 1, 0, 0, 0, 0, 0)"
        if os.uname().machine == "x86_64"
        else "libc.setuid(0)",
        "libc.setuid(0)",
        "libc.open_by_handle_at(0, 0, 0)",
    ],
)
def test_escaping_through_the_kernel(attack: Attacks, call: str) -> None:
    verdict = attack.script(f"import ctypes\nlibc = ctypes.CDLL(None)\nprint({call})\n")
    assert (verdict.outcome, verdict.output) == ("refused", "")


def test_symlinks_out_of_the_work_directory(attack: Attacks, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("a secret")
    tmp_path.chmod(0o777)
    verdict = attack.script(
        f"{TRIES}\nimport os\nos.symlink({str(tmp_path)!r}, 'host')\nos.symlink('/', 'root')\n"
        "os.symlink('../../../..', 'up')\n"
        "for p in ('host/secret', 'root/etc/passwd', 'up/etc/passwd', 'root/work/../etc/passwd'):\n"
        "    print(tried(lambda: open(p).read()))\n"
        "for p in ('host/written', 'root/written', 'up/written', 'root/usr/lib/written'):\n"
        "    print(tried(open, p, 'w'))\n"
        f"print(tried(os.link, {os.__file__!r}, 'here'))\n"
        f"print(tried(os.rename, 'host', {str(tmp_path / 'moved')!r}))\n"
    )
    tries = lines(verdict.output)
    assert len(tries) == 10
    assert [t for t in tries if not t.startswith("stopped")] == []
    assert [p.name for p in tmp_path.iterdir()] == ["secret"]


@pytest.mark.slow
def test_many_attackers_and_one_innocent(sandbox: Sandbox) -> None:
    """Callers in other threads get their own verdicts."""
    bad = [Program(str(i), "import os\nos.abort()\n") for i in range(20)]
    good = [Program(str(i), f"print({i})\n", expected_output=str(i)) for i in range(20)]
    found: dict[str, list[bool]] = {}

    def call(name: str, programs: list[Program]) -> None:
        found[name] = [v.passed for v in sandbox.run(programs)]

    callers = [threading.Thread(target=call, args=a) for a in (("bad", bad), ("good", good))]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert found == {"bad": [False] * 20, "good": [True] * 20}
