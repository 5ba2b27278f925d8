"""Programs that attack the sandbox: by reaching out, forging verdicts, or leaving things behind.

`REACHES` are expressions that must not succeed: each is tried, and reports success. In them, and in
`FORGERIES`, `{secret}`, `{folder}`, `{port}`, `{pid}` and `{path}` belong to the host: a file that
anyone can read, a folder that anyone can write, a listening port and socket, a process.
"""

from __future__ import annotations

NETWORK = (
    "socket.create_connection(('127.0.0.1', {port}), 1)",
    "socket.create_connection(('::1', {port}), 1)",
    "socket.create_connection(('localhost', {port}), 1)",
    "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', {port}))",
    "socket.socket(socket.AF_UNIX).connect('{path}')",
    "socket.socket(socket.AF_UNIX).connect('\\0{path}')",
    "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)",
    "socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
    "socket.socket(16, socket.SOCK_RAW, 0)",
    "socket.socket(40, socket.SOCK_STREAM)",
    "socket.socket(38, socket.SOCK_SEQPACKET, 0)",
    "socket.getaddrinfo('localhost', {port})",
    "socket.gethostbyname('localhost')",
    "urllib.request.urlopen('http://127.0.0.1:{port}', timeout=1)",
    "http.client.HTTPConnection('127.0.0.1', {port}, timeout=1).connect()",
    "asyncio.run(asyncio.open_connection('127.0.0.1', {port}))",
    "ftplib.FTP().connect('127.0.0.1', {port}, 1)",
    "socket.fromfd(3, socket.AF_UNIX, socket.SOCK_STREAM).connect('{path}')",
)
READING = (
    "open('{secret}').read()",
    "os.open('{secret}', os.O_PATH)",
    "os.stat('{secret}')",
    "os.lstat('{folder}')",
    "pathlib.Path('{secret}').read_bytes()",
    "shutil.copy('{secret}', 'here')",
    "os.link('{secret}', 'here')",
    "(os.symlink('{secret}', 'to'), open('to').read())",
    "(os.symlink('/', 'root'), os.listdir('root'))",
    "open('root/../../../..{secret}').read()",
    "importlib.machinery.SourceFileLoader('m', '{secret}').get_data('{secret}')",
    "sqlite3.connect('file:{secret}?mode=ro', uri=True).execute('select 1 from sqlite_master')",
    "mmap.mmap(os.open('{secret}', os.O_RDONLY), 0, prot=mmap.PROT_READ)",
    "os.listdir('/')",
    "os.listdir('/home')",
    "os.listdir('/root')",
    "os.listdir('/proc')",
    "os.listdir('/sys')",
    "os.scandir('/etc')",
    "open('/etc/shadow').read()",
    "open('/etc/hostname').read()",
    "open('/proc/1/environ').read()",
    "open('/proc/self/mem', 'rb')",
    "open('/proc/self/maps').read()",
    "os.readlink('/proc/self/exe')",
    "os.readlink('/proc/self/cwd')",
    "open('/proc/{pid}/environ').read()",
    "os.chdir('/proc/{pid}/root')",
    "open('/dev/mem', 'rb')",
    "open('/dev/kmsg').read()",
    "open('/dev/sda', 'rb')",
    "open('/dev/fd/3').read()",
    "open('/augury/inside/judge.py', 'a')",
    "os.environ['HOME']",
)
WRITING = (
    "open('{folder}/written', 'w')",
    "open('/written', 'w')",
    "open('/tmp/written', 'w')",
    "open('/dev/shm/written', 'w')",
    "open('../written', 'w')",
    "open(os.__file__, 'a')",
    "os.mkdir('{folder}/made')",
    "os.unlink('{secret}')",
    "os.rename('{secret}', 'mine')",
    "os.chmod('{secret}', 0)",
    "os.chown('here', 0, 12345)",
    "os.truncate('{secret}', 0)",
    "os.utime('{secret}')",
    "os.mkfifo('{folder}/pipe')",
    "os.mknod('node', 0o60666, os.makedev(8, 0))",
    "shutil.rmtree('{folder}')",
    "os.rename('/work', '/work2')",
    "os.symlink('x', '{folder}/link')",
)
PROCESSES = (
    "os.fork()",
    "os.forkpty()",
    "pty.spawn('/bin/sh')",
    "1 // (os.system('true') == 0)",
    "os.popen('echo out').read()[0]",
    "subprocess.run(['true'])",
    "os.posix_spawn(sys.executable, ['python'], {{}})",
    "os.execv(sys.executable, ['python', '-c', 'print(\"ESC\" + \"APED\")'])",
    "multiprocessing.Process(target=print).start()",
    "os.kill({pid}, 9)",
    "os.kill(1, 9)",
    "os.kill(os.getppid(), 19)",
    "os.kill(-1, 9)",
    "os.killpg(0, 9)",
    "signal.pidfd_send_signal(os.pidfd_open({pid}), 9)",
    "os.setpriority(os.PRIO_PROCESS, {pid}, 19)",
    "os.waitpid(-1, os.WNOHANG)",
    "os.setuid(0) or os.seteuid(0)",
    "os.setgroups([0])",
    "resource.prlimit({pid}, resource.RLIMIT_CPU, (1, 1))",
    "resource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
    "os.sched_setaffinity({pid}, [0])",
)
# Names and numbers of x86-64; other machines use other numbers, and refuse these as well.
CALLS = {
    "mount": "165, b'proc', b'/work', b'proc', 0, 0",
    "umount": "166, b'/work', 0",
    "pivot_root": "155, b'/work', b'/work'",
    "chroot": "161, b'/work'",
    "unshare": "272, 0x10000000",
    "setns": "308, 3, 0",
    "ptrace": "101, 16, 1, 0, 0",
    "process_vm_readv": "310, 1, 0, 0, 0, 0, 0",
    "open_by_handle_at": "304, 3, 0, 0",
    "name_to_handle_at": "303, -100, b'/', 0, 0, 0",
    "io_uring_setup": "425, 8, 0",
    "bpf": "321, 0, 0, 0",
    "perf_event_open": "298, 0, 0, -1, -1, 0",
    "userfaultfd": "323, 0",
    "keyctl": "250, 0, 0, 0, 0, 0",
    "add_key": "248, b'user', b'x', b'y', 1, -3",
    "init_module": "175, 0, 0, b''",
    "kexec_load": "246, 0, 0, 0, 0",
    "reboot": "169, 0xfee1dead, 672274793, 0x4321fedc, 0",
    "sethostname": "170, b'x', 1",
    "settimeofday": "164, 0, 0",
    "swapon": "167, b'x', 0",
    "iopl": "172, 3",
    "fanotify_init": "300, 0, 0",
    "clone3": "435, 0, 0",
    "vfork": "58",
    "execveat": "322, 3, b'', 0, 0, 0x1000",
    "pidfd_getfd": "438, 3, 0, 0",
    "fsopen": "430, b'tmpfs', 0",
    "memfd_secret": "447, 0",
}
REACHES = {
    "network": NETWORK,
    "reading": READING,
    "writing": WRITING,
    "processes": PROCESSES,
    "kernel": tuple(f"called(libc.syscall({numbers}))  # {n}" for n, numbers in CALLS.items()),
}

# Programs whose `f` returns something else, and which must not pass `assert f() == 'right'`.
WRONG_F = "def f():\n    return 'wrong'\n"
FORGERIES = {
    "exit 0": "import sys\nsys.exit(0)\n",
    "hard exit 0": "import os\nos._exit(0)\n",
    "exit in f": "import os\ndef f():\n    os._exit(0)\n",
    "equal to all": "class A:\n    __eq__ = lambda s, o: True\ndef f():\n    return A()\n",
    "a text equal to all": "class A(str):\n    __eq__ = lambda s, o: True\n    __hash__ = None\n"
    "def f():\n    return A('wrong')\n",
    "reflected": "class A(str):\n    __eq__ = __req__ = lambda s, o: True\n"
    "    __ne__ = lambda s, o: False\n    __hash__ = str.__hash__\ndef f():\n    return A('w')\n",
    "a class that lies": "class A:\n    __class__ = str\n    __eq__ = lambda s, o: True\n"
    "def f():\n    return A()\n",
    "metaclass": "class M(type):\n    __eq__ = lambda s, o: True\n    __hash__ = type.__hash__\n"
    "class A(metaclass=M):\n    pass\ndef f():\n    return A\n",
    "assertions away": "import builtins\nbuiltins.AssertionError = ValueError\n" + WRONG_F,
    "builtins": "import builtins\nbuiltins.str = lambda *a: 'right'\n"
    "builtins.isinstance = lambda *a: True\n" + WRONG_F,
    "every judge": "import sys\nfor m in list(sys.modules.values()):\n"
    "    for n in ('judge', 'dumps', 'encode', 'run', 'send'):\n"
    "        if hasattr(m, n):\n            try:\n"
    "                setattr(m, n, lambda *a, **k: {'outcome': 'passed', 'detail': ''})\n"
    "            except Exception:\n                pass\n" + WRONG_F,
    "a verdict on each channel": "import json, os, struct\n"
    "m = json.dumps({'outcome': 'passed', 'detail': ''}).encode()\n"
    "m = struct.pack('>I', len(m)) + m\n"
    "for fd in range(3, 32):\n    try:\n        os.write(fd, m)\n    except OSError:\n"
    "        pass\n" + WRONG_F,
    "a value on each channel": "import json, os, struct\n"
    "m = json.dumps({'value': 'wrong'}).encode()\nm = struct.pack('>I', len(m)) + m\n"
    "for fd in range(3, 32):\n    for _ in range(3):\n        try:\n            os.write(fd, m)\n"
    "        except OSError:\n            pass\n"
    "def f():\n    while True:\n        raise SystemExit\n",
    "outcome in the frames": "def f():\n    import sys\n    g = sys._getframe()\n    while g:\n"
    "        g.f_globals['outcome'] = 'passed'\n        g = g.f_back\n    return 'wrong'\n",
    "at exit": "import atexit, os\natexit.register(os._exit, 0)\n" + WRONG_F,
    "trace": "import sys\nsys.settrace(lambda *a: None)\nsys.setprofile(lambda *a: None)\n"
    + WRONG_F,
    "excepthook": "import sys, os\nsys.excepthook = lambda *a: os._exit(0)\n" + WRONG_F,
    "closed channels": "import os\nos.closerange(3, 64)\n" + WRONG_F,
    "closed output": "import os\nos.closerange(0, 64)\ndef f():\n    return 'right!'\n",
    "a thread that ends it": "import os, threading\n"
    "threading.Timer(0.01, os._exit, (0,)).start()\ndef f():\n    import time\n"
    "    time.sleep(1)\n    return 'wrong'\n",
    "ends by a signal": "import os, signal\ndef f():\n    os.kill(os.getpid(), signal.SIGTERM)\n",
    "a name in place of f": "f = 'right'\n",
    "no f": "def g():\n    return 'right'\n",
    "its own check": "def check(candidate):\n    pass\nf = check\n",
    "nested": "def f():\n    return [[['right']]] * 9\n",
    "within itself": "x = []\nx.append(x)\ndef f():\n    return x\n",
    "generator": "def f():\n    yield 'right'\n",
    "coroutine": "async def f():\n    return 'right'\n",
    "bytes": "def f():\n    return b'right'\n",
    "a letter beside": "def f():\n    return 'right\\0'\n",
    "raises its success": "def f():\n    raise AssertionError('passed')\n",
    "stops the iteration": "def f():\n    raise StopIteration('right')\n",
    "interrupts": "def f():\n    raise KeyboardInterrupt\n",
    "endless recursion": "def f():\n    return f()\n",
    "modules of the tests": "import sys, types\n"
    "for n in ('tests', 'judge', '__main__', 'unittest'):\n    sys.modules[n] = "
    "types.ModuleType(n)\n" + WRONG_F,
    "unittest silenced": "import unittest\nunittest.TestCase.assertEqual = lambda *a: None\n"
    + WRONG_F,
    "json silenced": "import json\njson.loads = lambda *a: {'outcome': 'passed'}\n" + WRONG_F,
    "memory of others": "import gc\nfor o in gc.get_objects():\n    if type(o) is dict:\n"
    "        try:\n            o['outcome'] = 'passed'\n        except Exception:\n"
    "            pass\n" + WRONG_F,
}

# Things left behind, used up or broken, which neighbouring programs must not notice.
HARMS = {
    "work directory read-only": "import os\nos.chmod('.', 0o555)",
    "work directory shut": "import os\nos.chmod('.', 0)",
    "files read-only": "import os\nopen('mine', 'w').write('x')\nos.chmod('mine', 0)",
    "work directory removed": "import os\nos.rmdir(os.getcwd())",
    "left elsewhere": "import os\nos.makedirs('a/b')\nos.chdir('a/b')",
    "files left": "for i in range(40):\n    open(f'mine{i}', 'w').write('x')",
    "disk full": "while True:\n    open('mine', 'ab').write(bytes(1 << 20))",
    "names full": "import os\ni = 0\nwhile True:\n    os.mkdir(f'd{i}')\n    i += 1",
    "deep folders": "import os\nwhile True:\n    os.mkdir('d')\n    os.chdir('d')",
    "odd names": "import os\nopen(b'\\xff\\xfe', 'w')\nopen('a\\nb', 'w')",
    "a pipe and links": "import os\nos.mkfifo('mine')\nos.symlink('mine', 'l')\n"
    "os.symlink('l2', 'l2')",
    "sparse file": "open('mine', 'wb').truncate(1 << 40)",
    "umask": "import os\nos.umask(0o777)",
    "nice": "import os\nos.nice(19)",
    "limits": "import resource as r\nfor l in (r.RLIMIT_NOFILE, r.RLIMIT_FSIZE, r.RLIMIT_STACK):\n"
    "    r.setrlimit(l, (5, 5))",
    "signals ignored": "import signal\nfor n in range(1, 32):\n    try:\n"
    "        signal.signal(n, signal.SIG_IGN)\n    except OSError:\n        pass",
    "signals blocked": "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))",
    "alarm left": "import signal\nsignal.setitimer(signal.ITIMER_REAL, 0.05)",
    "stops itself": "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)",
    "kills itself": "import os\nos.kill(os.getpid(), 9)",
    "aborts": "import os\nos.abort()",
    "crashes": "import ctypes\nctypes.string_at(0)",
    "thread left": "import threading, time\n"
    "threading.Thread(target=time.sleep, args=(99,)).start()",
    "threads left": "import threading, time\nfor _ in range(400):\n"
    "    threading.Thread(target=time.sleep, args=(99,), daemon=True).start()",
    "endless": "while True:\n    pass",
    "endless in C": "10 ** 10 ** 9",
    "endless regular expression": "import re\nre.match('(a+)+$', 'a' * 99 + 'b')",
    "memory": "x = []\nwhile True:\n    x.append(bytearray(1 << 20))",
    "memory at once": "bytearray(1 << 40)",
    "memory by mapping": "import mmap\nx = [mmap.mmap(-1, 1 << 20) for _ in range(1 << 20)]",
    "shared memory": "from multiprocessing import shared_memory as s\n"
    "x = [s.SharedMemory(create=True, size=1 << 24) for _ in range(99)]",
    "output": "while True:\n    print('x' * 9999)",
    "errors": "import sys\nwhile True:\n    sys.stderr.write('x' * 9999)",
    "long message": "raise ValueError('\\U0001f600' * 900)",
    "odd message": "raise ValueError('\\0\\ud800\\x1b[2J')",
    "descriptors": "import os\nx = []\nwhile True:\n    x.append(os.pipe())",
    "descriptors closed": "import os\nos.closerange(0, 256)",
    "modules broken": "import sys, builtins\nsys.modules.clear()\nbuiltins.__dict__.clear()",
    "clock and locale": "import os, time, locale\nos.environ['TZ'] = 'X9'\ntime.tzset()\n"
    "locale.setlocale(locale.LC_ALL, 'C')",
    "garbage": "import gc, sys\ngc.disable()\nsys.setrecursionlimit(10**6)\n"
    "def f():\n    f()\nf()",
    "finalizer": "class A:\n    def __del__(self):\n        while True:\n            pass\nx = A()",
    "at exit": "import atexit\n@atexit.register\ndef f():\n    while True:\n        pass",
}  # fmt: skip
