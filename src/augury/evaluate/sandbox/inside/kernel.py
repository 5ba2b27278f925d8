"""Linux calls that Python does not wrap: capabilities, mounts, Landlock."""

from __future__ import annotations

import ctypes
import os
import struct

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS, PR_CAPBSET_DROP = 1, 4, 38, 24
PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
LAST_CAPABILITY = 63
CAPSET = {"x86_64": 126, "aarch64": 91}
MS_NOSUID, MS_NODEV, MS_NOEXEC = 2, 4, 8
M_ARENA_MAX = -8

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # the same on every machine
# Landlock's rights on files, in the order of their bits.
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 2, 4, 8
ALL_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1}
ALL_RIGHTS_NOW = (1 << 16) - 1  # since version 5
MAKE_DEVICES = (1 << 6) | (1 << 9) | (1 << 10) | (1 << 11)  # char, socket, fifo, block


def call(number: int, *arguments: int) -> int:
    """Make a system call directly.

    Raises:
        OSError: the kernel refused.
    """
    answer = int(libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) for a in arguments]))
    if answer < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return answer


def prctl(option: int, *arguments: int) -> int:
    """Make the system call of that name: -1 if the kernel refuses."""
    padded = [ctypes.c_ulong(a) for a in (*arguments, 0, 0, 0, 0)[:4]]
    return int(libc.prctl(option, *padded))


def mount_tmpfs(where: str, uid: int, size: int, files: int) -> None:
    """Mount an empty file system in memory, with limited size and number of files."""
    options = f"mode=0700,uid={uid},gid={uid},size={size},nr_inodes={files}"
    flags = MS_NOSUID | MS_NODEV | MS_NOEXEC
    if libc.mount(b"tmpfs", where.encode(), b"tmpfs", flags, options.encode()) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"cannot mount tmpfs on {where}: {os.strerror(code)}")


def drop_privileges(uid: int) -> None:
    """Become an ordinary user without capabilities, permanently."""
    for capability in range(LAST_CAPABILITY + 1):
        prctl(PR_CAPBSET_DROP, capability)
    if os.getuid() != uid:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    header = ctypes.create_string_buffer(struct.pack("Ii", 0x20080522, 0))  # version 3, this thread
    nothing = ctypes.create_string_buffer(24)
    call(CAPSET[os.uname().machine], ctypes.addressof(header), ctypes.addressof(nothing))
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    prctl(PR_SET_DUMPABLE, 0)  # no process can attach or read our memory, and no core is dumped


def landlock_version() -> int:
    """Landlock version of this kernel; 0 for none."""
    try:
        return call(CREATE_RULESET, 0, 0, 1)
    except OSError:
        return 0


def landlock_enter(readable: list[str], writable: list[str]) -> None:
    """Restrict this process and its children permanently by Landlock, if the kernel has it.

    They may read below some paths and write below others, and nothing else. From version 4 on, TCP
    is blocked too; from version 6 on, also signals and abstract sockets to the outside.
    """
    version = landlock_version()
    if version == 0:
        return
    rights = ALL_RIGHTS.get(version, ALL_RIGHTS_NOW)
    attributes = struct.pack("Q", rights)
    if version >= 4:
        attributes += struct.pack("Q", 3)  # TCP bind and connect
    if version >= 6:
        attributes += struct.pack("Q", 3)  # abstract sockets and signals
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    ruleset = call(CREATE_RULESET, ctypes.addressof(buffer), len(attributes), 0)
    for path in readable:
        _allow(ruleset, path, READ_FILE | READ_DIR)
    for path in writable:
        _allow(ruleset, path, rights & ~EXECUTE & ~MAKE_DEVICES)
    call(RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    """Add a rule for a path and everything below; a plain file gets no rights of folders."""
    if not os.path.isdir(path):
        rights &= EXECUTE | WRITE_FILE | READ_FILE
    handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = ctypes.create_string_buffer(struct.pack("=Qi", rights, handle), 12)
        call(ADD_RULE, ruleset, 1, ctypes.addressof(rule), 0)
    finally:
        os.close(handle)
