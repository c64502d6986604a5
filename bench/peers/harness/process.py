"""Child processes that end with this one, free ports, and waiting."""

import contextlib
import ctypes
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

#: Longest time until a server or a worker is ready: far more than it takes on a quiet machine.
READY_MAX_S = 90
LOOK_EVERY_S = 0.02
#: Time that a process has to end by itself before it is killed.
GRACE_S = 20
#: Below those that a kernel gives to connections, as one of these could be taken while a server starts.
PORTS = range(18_000, 32_000)
PR_SET_PDEATHSIG = 1


def free_port() -> int:
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise SystemExit(f"no port from {PORTS.start} to {PORTS.stop} is free")


def start(command: list, log: Path, dies_by: int = signal.SIGKILL, **options) -> subprocess.Popen:
    """Starts a command in a session of its own, its output added to a file.

    The kernel sends it `dies_by` when this process is gone in whatever way.
    """
    libc = ctypes.CDLL(None)

    def in_child() -> None:
        libc.prctl(PR_SET_PDEATHSIG, dies_by)

    with log.open("ab") as output:
        return subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=in_child,
            **options,
        )


def wait_until(what: str, condition: Callable[[], bool], limit_s: float = READY_MAX_S) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what}: not within {limit_s} s")
        time.sleep(LOOK_EVERY_S)


def stop(process: subprocess.Popen, by: int) -> None:
    """Asks a process to end; it is killed with its group where it does not."""
    if process.poll() is None:
        process.send_signal(by)
        try:
            process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            kill_tree(process)


def kill_tree(process: subprocess.Popen) -> None:
    """SIGKILL for a process and all below it, the way a machine dies: nobody gets to say goodbye."""
    # Listed first: children of a dead process are nobody's.
    members = descendants(process.pid)
    for member in [process.pid, *members]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(member, signal.SIGKILL)
    process.wait()


def descendants(head: int) -> list[int]:
    """Numbers of all processes below this one."""
    parents = {pid: fields[1] for pid, fields in stats().items()}
    found = [head]
    for parent in found:
        found.extend(pid for pid, of in parents.items() if int(of) == parent)
    return found[1:]


def stats() -> dict[int, list[str]]:
    """Of every process, the fields of /proc/PID/stat behind its name: state, parent, …"""
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                text = Path(f"/proc/{entry}/stat").read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue  # gone since it was listed
            found[int(entry)] = text.rsplit(")", 1)[1].split()
    return found


def cpu_seconds(head: int, with_children: bool = True) -> float:
    """Processor time of a process and all below it, also of those that ended and were waited for."""
    all_stats = stats()
    members = [head, *descendants(head)] if with_children else [head]
    # User and system time; then those of children that ended.
    last = 15 if with_children else 13
    ticks = sum(sum(map(int, all_stats[pid][11:last])) for pid in members if pid in all_stats)
    return ticks / os.sysconf("SC_CLK_TCK")
