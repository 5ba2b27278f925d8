"""A system call filter that denies by default, assembled without a library or compiler.

Classic BPF jumps at most 255 instructions ahead, so calls are sorted by number, neighbours with the
same action are merged into ranges, and a binary search chooses among them. This also shortens the
kernel's own pass over all numbers, which is most of the cost of installing a filter.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

from . import syscalls
from .kernel import libc

AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
SECCOMP_NUMBER = {"x86_64": 317, "aarch64": 277}
SET_MODE_FILTER = 1
X32_BIT = 0x40000000  # a second set of numbers that x86_64 kernels may accept

KILL_PROCESS, ERRNO, ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
LOAD, JUMP, EQUAL, GREATER_EQUAL, ANY_BIT, RETURN = 0x20, 0x05, 0x15, 0x35, 0x45, 0x06
NR_AT, ARCH_AT, ARGUMENTS_AT = 0, 4, 16  # offsets in struct seccomp_data

CLONE_THREAD = 0x00010000
CLONE_NEW_ANYTHING = 0x7E020080  # every CLONE_NEW* flag
AF_UNIX = 1
PR_SET_NAME, PR_SET_VMA = 15, 0x53564D41  # set by threading and the C library's allocator
# Querying a descriptor, close-on-exec and non-blocking mode: used when Python opens files, and by
# asyncio for its wake-up socket pair.
IOCTLS = {
    "TCGETS": 0x5401,
    "FIOCLEX": 0x5451,
    "FIONCLEX": 0x5450,
    "FIONREAD": 0x541B,
    "FIONBIO": 0x5421,
}

Instruction = tuple[int, int, int, int]


OWN_PID = 0x5EC0C0DE  # placeholder for the process id, filled in when the filter is installed


def program(machine: str) -> bytes:
    """The filter as an array of struct sock_filter, for `machine` "x86_64" or "aarch64"."""
    fates: dict[int, int | str] = {}
    for table, answer in (
        (syscalls.ALLOWED, ALLOW),
        (syscalls.ABSENT, ERRNO | errno.ENOSYS),
        (syscalls.DEADLY, KILL_PROCESS),
    ):
        fates.update((n, answer) for n in syscalls.numbers(table, machine).values())
    fates.update({n: name for name, n in syscalls.numbers(syscalls.LIMITED, machine).items()})

    denied = ERRNO | errno.EPERM
    ranges: list[tuple[int, int | str]] = [(0, fates.get(0, denied))]
    for number in range(1, max(fates) + 2):
        fate = fates.get(number, denied)
        if fate != ranges[-1][1]:
            ranges.append((number, fate))
    if machine == "x86_64":
        ranges.append((X32_BIT, KILL_PROCESS))

    blocks = limited()
    code: list[Instruction] = [
        (LOAD, 0, 0, ARCH_AT),
        (EQUAL, 1, 0, AUDIT_ARCH[machine]),
        (RETURN, 0, 0, KILL_PROCESS),
        (LOAD, 0, 0, NR_AT),
    ]
    code += search(ranges, blocks)
    return b"".join(struct.pack("HBBI", *instruction) for instruction in code)


def search(
    ranges: list[tuple[int, int | str]], blocks: dict[str, list[Instruction]]
) -> list[Instruction]:
    """Instructions that find the range of the loaded number and apply its action."""
    if len(ranges) == 1:
        fate = ranges[0][1]
        return blocks[fate] if isinstance(fate, str) else [(RETURN, 0, 0, fate)]
    middle = len(ranges) // 2
    below, above = search(ranges[:middle], blocks), search(ranges[middle:], blocks)
    start = ranges[middle][0]
    if len(below) <= 255:
        return [(GREATER_EQUAL, len(below), 0, start), *below, *above]
    return [(GREATER_EQUAL, 0, 1, start), (JUMP, 0, 0, len(below)), *below, *above]


def limited() -> dict[str, list[Instruction]]:
    """For each restricted call: the allowed arguments."""
    return {
        "kill": one_of(0, [OWN_PID]),
        "tgkill": one_of(0, [OWN_PID]),
        "prlimit64": one_of(0, [0]),
        "socketpair": one_of(0, [AF_UNIX]),
        "prctl": one_of(0, [PR_SET_NAME, PR_SET_VMA]),
        "ioctl": one_of(1, list(IOCTLS.values())),
        # Only new threads, no second process: CPU time and memory are then counted in one place.
        "clone": [
            (LOAD, 0, 0, argument(0)),
            (ANY_BIT, 0, 2, CLONE_THREAD),
            (ANY_BIT, 1, 0, CLONE_NEW_ANYTHING),
            (RETURN, 0, 0, ALLOW),
            (RETURN, 0, 0, ERRNO | errno.EPERM),
        ],
    }


def one_of(index: int, values: list[int]) -> list[Instruction]:
    """Allow the call if an argument is one of `values`; the kernel also reads only its low word."""
    n = len(values)
    tests = [(EQUAL, n - i, 0, value) for i, value in enumerate(values)]
    return [
        (LOAD, 0, 0, argument(index)),
        *tests,
        (RETURN, 0, 0, ERRNO | errno.EPERM),
        (RETURN, 0, 0, ALLOW),
    ]


def argument(index: int) -> int:
    """Offset of the low word of an argument (both machines are little-endian)."""
    return ARGUMENTS_AT + 8 * index


class _Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


class Filter:
    """A filter program prepared once, so that installing it in a process touches little memory."""

    def __init__(self, code: bytes) -> None:
        self.code = ctypes.create_string_buffer(code, len(code))
        self.program = _Program(len(code) // 8, ctypes.addressof(self.code))
        self.address = ctypes.addressof(self.program)
        own = struct.pack("I", OWN_PID)
        self.pids = [at for at in range(4, len(code), 8) if code[at : at + 4] == own]
        kind = ctypes.CFUNCTYPE(ctypes.c_long, *[ctypes.c_long] * 4, use_errno=True)
        self.syscall = kind(("syscall", libc))
        self.number = SECCOMP_NUMBER[os.uname().machine]

    def install(self) -> None:
        """Install the filter permanently in this thread, which must be the only one.

        The process may then signal only itself.
        """
        pid = os.getpid()
        for at in self.pids:
            struct.pack_into("I", self.code, at, pid)
        if self.syscall(self.number, SET_MODE_FILTER, 0, self.address) != 0:
            code = ctypes.get_errno()
            raise OSError(code, f"no system call filter: {os.strerror(code)}")
