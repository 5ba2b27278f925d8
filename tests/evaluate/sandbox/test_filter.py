"""The system call filter, interpreted here as the kernel does."""

import errno
import struct

import pytest

from augury.evaluate.sandbox.inside import syscalls
from augury.evaluate.sandbox.inside.seccomp import (
    ALLOW,
    AUDIT_ARCH,
    ERRNO,
    KILL_PROCESS,
    OWN_PID,
    program,
)

DENIED = ERRNO | errno.EPERM


def fate(code: bytes, data: bytes) -> int:
    """Classic BPF's result for one struct seccomp_data."""
    instructions = list(struct.iter_unpack("HBBI", code))
    at = loaded = 0
    while True:
        kind, yes, no, k = instructions[at]
        at += 1
        if kind == 0x06:
            return int(k)
        if kind == 0x20:
            (loaded,) = struct.unpack_from("I", data, k)
        elif kind == 0x05:
            at += k
        else:
            true = {0x15: loaded == k, 0x35: loaded >= k, 0x45: bool(loaded & k)}[kind]
            at += yes if true else no


def call(machine: str, number: int, *arguments: int, arch: int | None = None) -> int:
    arguments = (*arguments, 0, 0, 0, 0, 0, 0)[:6]
    data = struct.pack("IIQ6Q", number, arch or AUDIT_ARCH[machine], 0, *arguments)
    return fate(program(machine), data)


@pytest.mark.parametrize("machine", syscalls.MACHINES)
def test_every_call_meets_its_fate(machine: str) -> None:
    wanted = dict.fromkeys(range(600), DENIED)
    for table, answer in (
        (syscalls.ALLOWED, ALLOW),
        (syscalls.ABSENT, ERRNO | errno.ENOSYS),
        (syscalls.DEADLY, KILL_PROCESS),
    ):
        wanted.update((n, answer) for n in syscalls.numbers(table, machine).values())
    code = program(machine)
    limited = set(syscalls.numbers(syscalls.LIMITED, machine).values())
    for number, answer in wanted.items():
        if number not in limited:
            data = struct.pack("IIQ6Q", number, AUDIT_ARCH[machine], 0, *[0] * 6)
            assert fate(code, data) == answer, number


@pytest.mark.parametrize("machine", syscalls.MACHINES)
def test_limited_calls_look_at_their_arguments(machine: str) -> None:
    numbers = syscalls.numbers(syscalls.LIMITED, machine)
    thread = 0x3D0F00  # requested by pthread_create
    passes: dict[str, list[tuple[int, ...]]] = {
        "kill": [(OWN_PID, 9)],
        "tgkill": [(OWN_PID, 1, 6)],
        "prlimit64": [(0, 7)],
        "socketpair": [(1, 1)],
        "prctl": [(15,)],
        "ioctl": [(5, 0x5401)],
        "clone": [(thread,)],
    }
    stopped: dict[str, list[tuple[int, ...]]] = {
        "kill": [(1, 9), (2**64 - 1, 9), (0, 9)],
        "tgkill": [(1, 1, 9)],
        "prlimit64": [(1, 7)],
        "socketpair": [(2, 1), (16, 3)],
        "prctl": [(4, 1), (22, 2), (38, 1)],
        "ioctl": [(5, 0x5412), (5, 0x5413)],  # typing into a terminal
        "clone": [(17,), (0x4111,), (thread | 0x10000000,), (thread | 0x20000000,)],
    }
    assert set(passes) == set(stopped) == set(numbers)
    for name, number in numbers.items():
        assert [call(machine, number, *a) for a in passes[name]] == [ALLOW] * len(passes[name])
        assert {call(machine, number, *a) for a in stopped[name]} == {DENIED}, name


def test_other_doors_are_closed() -> None:
    assert call("x86_64", 0, arch=0x40000003) == KILL_PROCESS  # 32-bit calls
    assert call("x86_64", 0x40000000) == KILL_PROCESS  # x32
    assert call("x86_64", 2**32 - 1) == KILL_PROCESS


@pytest.mark.parametrize("machine", syscalls.MACHINES)
def test_no_call_is_in_two_tables(machine: str) -> None:
    tables = [syscalls.ALLOWED, syscalls.LIMITED, syscalls.ABSENT, syscalls.DEADLY]
    numbers = [n for t in tables for n in syscalls.numbers(t, machine).values()]
    assert len(numbers) == len(set(numbers))
