"""Runs a program once: pinned to its cores, timed, its peak memory watched if asked."""

import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from . import ROOT

WATCH_SECONDS = 0.001


class Row(NamedTuple):
    name: str
    command: list
    cores: set
    records: int
    output: Path | None = None
    lines: int = 0  # that the output must have
    exit_code: int = 0
    answers: str = ""  # all rows with the same word must write the same bytes
    twins: tuple = ()  # rows that run at the same time

    @property
    def all(self):
        return [self, *self.twins]

    @property
    def cores_used(self):
        return len(set.union(*(row.cores for row in self.all)))

    @property
    def records_all(self):
        return sum(row.records for row in self.all)


class Run(NamedTuple):
    seconds: float
    memory_bytes: int  # 0 where it wasn't watched


def run(row, watch=False, drop=False):
    """Runs it once, stdout to nowhere. A wrong exit code ends the benchmark, with its words.

    A dropped output is never written back to disk while the next row runs.
    """
    outputs = [one.output for one in row.all if one.output]
    for output in outputs:
        output.unlink(missing_ok=True)
    with tempfile.TemporaryFile() as said:
        begin = time.perf_counter()
        processes = [spawn(one.command, one.cores, said) for one in row.all]
        memory_bytes = wait(processes, watch)
        seconds = time.perf_counter() - begin
        for one, process in zip(row.all, processes):
            expect_exit(process, one.exit_code, said)
    if drop:
        for output in outputs:
            output.unlink()
    return Run(seconds, memory_bytes)


def spawn(command, cores, said, stdin=subprocess.DEVNULL):
    """The child inherits our cores: a preexec_fn would turn a cheap vfork into a fork of 15 MB."""
    ours = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    command = [str(part) for part in command]
    process = subprocess.Popen(command, stdin=stdin, stdout=subprocess.DEVNULL, stderr=said)
    os.sched_setaffinity(0, ours)
    return process


def expect_exit(process, code, said):
    if process.returncode != code:
        said.seek(0)
        words = said.read()[-4000:].decode(errors="replace")
        sys.exit(f"{shown(process.args)}\nexit code {process.returncode}, not {code}\n{words}")


def wait(processes, watch):
    """Reaps the processes; gives the sum of their peaks of resident memory, 0 if not watched.

    ru_maxrss alone would lie: an exec keeps the peak of the process that it replaces, here a fork
    of this Python with some 15 MB. Below that we go by what /proc last said.
    """
    if not watch:
        for process in processes:
            process.wait()
        return 0
    peaks = dict.fromkeys(processes, 0)
    running = list(processes)
    while running:
        for process in running:
            peaks[process] = max(peaks[process], peak_bytes(process.pid))
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                process.returncode = os.waitstatus_to_exitcode(status)
                kernel_says = usage.ru_maxrss * 1024
                if kernel_says > peak_bytes("self"):
                    peaks[process] = kernel_says
        running = [process for process in running if process.returncode is None]
        time.sleep(WATCH_SECONDS)
    return sum(peaks.values())


def peak_bytes(pid):
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


def piped_memory(generate, size, command):
    """Peak memory of a command that reads generated data of this size from its stdin."""
    source = subprocess.Popen([generate, "--bytes", str(size)], stdout=subprocess.PIPE)
    with tempfile.TemporaryFile() as said, source.stdout as pipe:
        process = spawn(command, os.sched_getaffinity(0), said, pipe)
        pipe.close()  # the command alone holds it now
        peak = wait([process], watch=True)
        source.wait()
        expect_exit(process, 0, said)
    return peak


def shown(command):
    return shlex.join(str(part) for part in command).replace(f"{ROOT}/", "")
