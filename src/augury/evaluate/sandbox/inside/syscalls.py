"""System calls by name, with their numbers, and what a walled process may do with each.

Each entry is "name number-on-x86_64 number-on-aarch64", "-" where that machine has no such call.
The numbers are those of the kernel's `asm/unistd_64.h` and `asm-generic/unistd.h`; they never
change. A call in none of the four tables fails with EPERM.
"""

from __future__ import annotations

MACHINES = ("x86_64", "aarch64")

# Needed by a Python program that computes, uses files in its work directory and runs threads.
ALLOWED = """
read 0 63, write 1 64, readv 19 65, writev 20 66, pread64 17 67, pwrite64 18 68, preadv 295 69,
pwritev 296 70, close 3 57, close_range 436 436, lseek 8 62, open 2 -, openat 257 56, creat 85 -,
stat 4 -, lstat 6 -, fstat 5 80, newfstatat 262 79, statx 332 291, statfs 137 43, fstatfs 138 44,
access 21 -, faccessat 269 48, readlink 89 -, readlinkat 267 78, getcwd 79 17, chdir 80 49,
fchdir 81 50, getdents 78 -, getdents64 217 61, umask 95 166, dup 32 23, dup2 33 -, dup3 292 24,
pipe 22 -, pipe2 293 59, fcntl 72 25, flock 73 32, fsync 74 82, fdatasync 75 83, truncate 76 45,
ftruncate 77 46, fallocate 285 47, fadvise64 221 223, sendfile 40 71, copy_file_range 326 285,
splice 275 76, rename 82 -, renameat 264 38, renameat2 316 276, mkdir 83 -, mkdirat 258 34,
rmdir 84 -, unlink 87 -, unlinkat 263 35, link 86 -, linkat 265 37, symlink 88 -,
symlinkat 266 36, chmod 90 -, fchmod 91 52, fchmodat 268 53, utime 132 -, utimes 235 -,
utimensat 280 88, futimesat 261 -, mmap 9 222, munmap 11 215, mremap 25 216, mprotect 10 226,
madvise 28 233, brk 12 214, msync 26 227, mincore 27 232, futex 202 98, set_robust_list 273 99,
get_robust_list 274 100, rseq 334 293, set_tid_address 218 96, membarrier 324 283,
sched_yield 24 124, sched_getaffinity 204 123, sched_getparam 143 121, sched_getscheduler 145 120,
sched_get_priority_max 146 125, sched_get_priority_min 147 126, getcpu 309 168, exit 60 93,
exit_group 231 94, restart_syscall 219 128, rt_sigaction 13 134, rt_sigprocmask 14 135,
rt_sigreturn 15 139, rt_sigpending 127 136, rt_sigtimedwait 128 137, rt_sigsuspend 130 133,
sigaltstack 131 132, pause 34 -, alarm 37 -, setitimer 38 103, getitimer 36 102, poll 7 -,
ppoll 271 73, select 23 -, pselect6 270 72, epoll_create 213 -, epoll_create1 291 20,
epoll_ctl 233 21, epoll_wait 232 -, epoll_pwait 281 22, eventfd 284 -, eventfd2 290 19,
nanosleep 35 101, clock_nanosleep 230 115, clock_gettime 228 113, clock_getres 229 114,
gettimeofday 96 169, time 201 -, times 100 153, getpid 39 172, getppid 110 173, gettid 186 178,
getuid 102 174, geteuid 107 175, getgid 104 176, getegid 108 177, getresuid 118 148,
getresgid 120 150, getgroups 115 158, getpgid 121 155, getpgrp 111 -, getsid 124 156,
getpriority 140 141, getrusage 98 165, getrlimit 97 163, setrlimit 160 164, uname 63 160,
sysinfo 99 179, getrandom 318 278, sendto 44 206, recvfrom 45 207, recvmsg 47 212, shutdown 48 210,
getsockname 51 204, getpeername 52 205, getsockopt 55 209, wait4 61 260, waitid 247 95
"""

# Allowed only for some arguments: `seccomp` says which.
LIMITED = """
kill 62 129, tgkill 234 131, prlimit64 302 261, clone 56 220, socketpair 53 199, prctl 157 167,
ioctl 16 29
"""

# Reported as not existing, so that the C library falls back to an older call listed above.
ABSENT = """
clone3 435 435, faccessat2 439 439, openat2 437 437, epoll_pwait2 441 441, futex_waitv 449 449
"""

# No computation needs these: they access the network, other processes or the kernel. The program
# is killed at once, and can neither catch that nor try again.
DEADLY = """
socket 41 198, connect 42 203, bind 49 200, listen 50 201, accept 43 202, accept4 288 242,
ptrace 101 117, process_vm_readv 310 270, process_vm_writev 311 271, pidfd_getfd 438 438,
pidfd_open 434 434, pidfd_send_signal 424 424, kcmp 312 272, mount 165 40, umount2 166 39,
pivot_root 155 41, chroot 161 51, move_mount 429 429, open_tree 428 428, fsopen 430 430,
fsconfig 431 431, fsmount 432 432, fspick 433 433, mount_setattr 442 442, unshare 272 97,
setns 308 268, bpf 321 280, perf_event_open 298 241, io_uring_setup 425 425,
io_uring_enter 426 426, io_uring_register 427 427, userfaultfd 323 282, keyctl 250 219,
add_key 248 217, request_key 249 218, init_module 175 105, finit_module 313 273,
delete_module 176 106, kexec_load 246 104, kexec_file_load 320 294, reboot 169 142,
swapon 167 224, swapoff 168 225, acct 163 89, syslog 103 116, iopl 172 -, ioperm 173 -,
modify_ldt 154 -, settimeofday 164 170, clock_settime 227 112, clock_adjtime 305 266,
adjtimex 159 171, sethostname 170 161, setdomainname 171 162, setuid 105 146, setgid 106 144,
setreuid 113 145, setregid 114 143, setresuid 117 147, setresgid 119 149, setgroups 116 159,
setfsuid 122 151, setfsgid 123 152, capset 126 91, open_by_handle_at 304 265,
name_to_handle_at 303 264, quotactl 179 60, lookup_dcookie 212 18, nfsservctl 180 42,
vhangup 153 58, fanotify_init 300 262, process_madvise 440 440
"""


def numbers(table: str, machine: str) -> dict[str, int]:
    """The calls of a table that exist on this machine, by name."""
    column = 1 + MACHINES.index(machine)
    entries = [entry.split() for entry in table.replace("\n", " ").split(",")]
    return {entry[0]: int(entry[column]) for entry in entries if entry[column] != "-"}
