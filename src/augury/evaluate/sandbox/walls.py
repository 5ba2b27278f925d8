"""The outer walls: the bubblewrap command for this machine, or why there is none."""

from __future__ import annotations

import os
import platform
import random
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from augury.errors import UsageError
from augury.evaluate.sandbox import packages
from augury.evaluate.sandbox.inside.syscalls import MACHINES
from augury.evaluate.sandbox.program import Limits

INSIDE = Path(__file__).parent / "inside"
SHOWN_AT = "/augury"
SYSTEM_LIBRARIES = ("/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64")
TIME_ZONES = "/usr/share/zoneinfo"
DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
START = "import sys; sys.path.insert(0, {path!r}); from inside.server import main; main()"
# Unused user ids, so that a limit on processes counts only this sandbox's.
SPARE_UIDS = range(1_900_000_000, 1_901_000_000)
# Since Linux 5.14 the limit on processes is counted per user namespace; before, it counted all of
# the user's processes, and no limit would be right.
COUNTS_PER_NAMESPACE = (5, 14)

INSTALL = (
    "Install bubblewrap (Debian, Ubuntu: apt-get install bubblewrap; Fedora: dnf install"
    " bubblewrap; Arch: pacman -S bubblewrap)."
)
UNSAFE = (
    "To run model-written code without walls anyway, on a disposable machine, pass"
    " unsafe_no_walls=True."
)


def required() -> str:
    """Return the path of bubblewrap.

    Raises:
        UsageError: the walls cannot be built on this machine, or something they need is missing.
    """
    system, machine = platform.system(), platform.machine()
    if system != "Linux":
        raise UsageError(
            f"Model-written code runs only in a sandbox of Linux namespaces, and this is {system}:"
            f" run it in a Linux machine or container. {UNSAFE}"
        )
    if machine not in MACHINES:
        raise UsageError(
            f"The sandbox has a system call filter for {' and '.join(MACHINES)}, not for"
            f" {machine}. {UNSAFE}"
        )
    found = shutil.which("bwrap")
    if found is None:
        raise UsageError(
            f"Model-written code runs only in a sandbox, and bubblewrap (bwrap) is not installed."
            f" {INSTALL} {UNSAFE}"
        )
    return found


def refused(complaint: str) -> UsageError:
    """Build the error for a bubblewrap that is installed but could not build the sandbox."""
    return UsageError(
        f"bubblewrap could not build the sandbox: {complaint.strip() or 'it said nothing'}. It"
        " needs user namespaces (sysctl user.max_user_namespaces above 0; on Ubuntu 24.04 also"
        " kernel.apparmor_restrict_unprivileged_userns=0 or a profile for bwrap), or root. In"
        " Docker: --cap-add SYS_ADMIN --security-opt seccomp=unconfined --security-opt"
        f" apparmor=unconfined. {UNSAFE}"
    )


def python() -> str:
    """Return the interpreter itself, outside any virtual environment."""
    return os.path.realpath(getattr(sys, "_base_executable", sys.executable))


def shown() -> tuple[list[str], list[str]]:
    """Return options that expose the interpreter and its libraries, and the exposed paths."""
    paths = [*SYSTEM_LIBRARIES, TIME_ZONES, os.path.join(sys.base_prefix, "lib"), python()]
    options: list[str] = []
    real: list[str] = []
    for path in paths:
        if os.path.islink(path):
            options += ["--symlink", os.readlink(path), path]
        elif os.path.exists(path) and path not in real:
            options += ["--ro-bind", path, path]
            real.append(path)
    options += ["--ro-bind", str(INSIDE), f"{SHOWN_AT}/inside"]
    for device in DEVICES:
        options += ["--dev-bind", device, device]
    # Created explicitly; otherwise bubblewrap would make them private to the user that starts it.
    above = {p for path in (*real, f"{SHOWN_AT}/inside", DEVICES[0]) for p in Path(path).parents}
    folders = [word for p in sorted(above)[1:] for word in ("--dir", str(p))]
    return [*folders, *options], [*real, SHOWN_AT, *DEVICES[1:]]


def configuration(limits: Limits, offered: Sequence[str] = ()) -> dict[str, Any]:
    """Return the fork server's configuration, independent of the walls."""
    return {
        "walled": False,
        "uid": os.getuid() if hasattr(os, "getuid") else 0,
        "count_threads": False,
        "readable": [],
        "packages": list(offered),
        "cpu_seconds": int(limits.cpu_seconds),
        "memory_bytes": limits.memory_bytes,
        "disk_bytes": limits.disk_bytes,
        "files": limits.files,
        "open_files": limits.open_files,
        "threads": limits.threads,
        "output_bytes": limits.output_bytes,
    }


def commands(
    bwrap: str, limits: Limits, offered: Sequence[str] = ()
) -> list[tuple[list[str], dict[str, Any]]]:
    """Return the ways to build the walls here, strongest first: a command up to the interpreter's
    arguments, and the server's configuration.

    As root, bubblewrap needs no user namespace, and the server becomes a user that owns nothing.
    That user cannot evade the limit on processes as root can, and an interpreter below /root, which
    other users cannot open, is still exposed. Otherwise a user namespace gives the rights.
    """
    options, readable = shown()
    if offered:
        options += packages.shown(offered)
        readable.append(packages.SHOWN_AT)
    config = {**configuration(limits, offered), "walled": True, "readable": readable}
    rest = [
        *(
            "--die-with-parent",
            "--new-session",
            "--as-pid-1",
            "--hostname",
            "sandbox",
            "--clearenv",
        ),
        *("--setenv", "PYTHONHASHSEED", "0"),  # the same program must get the same verdict
        *("--setenv", "LD_LIBRARY_PATH", os.path.join(sys.base_prefix, "lib")),
        *options,
        *("--dir", "/work", "--remount-ro", "/", "--chdir", "/"),
        *interpreter(python()),
    ]
    counted = kernel_version() >= COUNTS_PER_NAMESPACE
    ways = []
    if os.getuid() == 0:
        uid = random.SystemRandom().choice(SPARE_UIDS)
        namespaces = ["ipc", "pid", "net", "uts", "cgroup-try"]
        capabilities = ["CAP_SYS_ADMIN", "CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"]
        as_root = [f"--unshare-{name}" for name in namespaces] + ["--cap-drop", "ALL"]
        as_root += [word for name in capabilities for word in ("--cap-add", name)]
        ways.append(([bwrap, *as_root, *rest], {**config, "uid": uid, "count_threads": True}))
        counted = False  # the kernel exempts root from this limit in every namespace
    unprivileged = [bwrap, "--unshare-all", "--cap-add", "CAP_SYS_ADMIN", *rest]
    ways.append((unprivileged, {**config, "count_threads": counted}))
    return ways


def interpreter(executable: str) -> list[str]:
    """Return the interpreter without site-packages, bytecode files or the current folder on its
    path.
    """
    return [executable, "-s", "-S", "-P", "-B", "-X", "utf8"]


def kernel_version() -> tuple[int, int]:
    """Return the major and minor version of the running kernel."""
    major, minor = platform.release().split(".")[:2]
    return int(major), int("".join(c for c in minor if c.isdigit()))


def described(config: dict[str, Any], hello: dict[str, Any], command: list[str]) -> dict[str, str]:
    """Describe each wall and its state."""
    landlock = hello.get("landlock", 0)
    as_root = "--unshare-all" not in command
    return {
        "namespaces": "mount, pid, network, ipc, uts, cgroup"
        + ("; started by root, so no user namespace" if as_root else ", user"),
        "user": f"uid {hello['uid']}, no capabilities, no_new_privs",
        "files": "interpreter and libraries read-only, no /proc, work directory in memory",
        "processes": "one per program; "
        + (
            "threads counted"
            if config["count_threads"]
            else "threads bounded by memory only (this kernel does not count them here)"
        ),
        "seccomp": f"allow-list for {platform.machine()}",
        "landlock": f"version {landlock}" if landlock else "none: this kernel has no Landlock",
    }
