"""Starts the host, on the driver and in tasks, and says how it ended.

Exit codes 0 and 1 (some records rejected) are good ends; all others are `HostFailed`, with the host's own
words. No process is left behind: a task that is cancelled is killed by Spark with SIGKILL, where no code
of ours runs any more, so on Linux the kernel is asked to kill the host with its parent.

The trap: the kernel means the *thread* that started the process. `start` belongs in the thread that runs
the task, never in one that ends earlier.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from typing import IO, Iterator

GOOD_ENDS = (0, 1)
_STDERR_BYTES_MAX = 64 * 1024  # enough for any error of the host, bounded where a plugin chatters
# Options that are set for each task, or make no sense of a part.
TAKEN = ("-i", "--input", "--input_file", "-o", "--output", "--output_file", "--range", "--rejects", "--summary",
         "--hold", "--resume", "--state", "--plugin", "--plugin-dir", "--model", "--config", "--threads",
         "--input-format", "--output-format", "--compression", "--services", "--max-rejects", "-b", "--bucket",
         "--record", "--print-pipeline", "--place", "-q", "--quiet")
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class HostFailed(RuntimeError):
    """The host ended otherwise than well. `exit_code` is negative where a signal ended it."""

    def __init__(self, exit_code: int, message: str) -> None:
        how = f"was ended by signal {-exit_code}" if exit_code < 0 else f"ended with exit code {exit_code}"
        super().__init__(f"etl-host {how}: {message.strip() or 'it said nothing'}")
        self.exit_code = exit_code
        self.message = message

    def __reduce__(self) -> tuple[type["HostFailed"], tuple[int, str]]:
        return HostFailed, (self.exit_code, self.message)


class Refused(ValueError):
    """What was asked for can't be: told before anything runs."""


class Host:
    """A running host. Both of its pipes are there only where they were asked for."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.process = process
        self._said: deque[bytes] = deque()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    @property
    def stdin(self) -> IO[bytes]:
        assert self.process.stdin is not None, "started with a pipe as stdin"
        return self.process.stdin

    @property
    def stdout(self) -> IO[bytes]:
        assert self.process.stdout is not None, "started with a pipe as stdout"
        return self.process.stdout

    def _listen(self) -> None:
        assert self.process.stderr is not None, "always a pipe"
        kept = 0
        while said := self.process.stderr.read1(8192):  # type: ignore[attr-defined]
            self._said.append(said)
            kept += len(said)
            while kept - len(self._said[0]) > _STDERR_BYTES_MAX:
                kept -= len(self._said.popleft())

    def end(self) -> int:
        """Waits for it. Returns 0 or 1, raises `HostFailed` on all else."""
        code = self.process.wait()
        self._listener.join()
        if code not in GOOD_ENDS:
            raise HostFailed(code, b"".join(self._said).decode(errors="replace"))
        return code

    def kill(self) -> None:
        """Ends it and what it started, if it still runs, and waits for that."""
        if self.process.poll() is None:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                try:
                    pipe.close()
                except BrokenPipeError:
                    pass


def _dies_with(parent: int) -> Callable[[], None]:
    def ask() -> None:
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:  # it died before the kernel was asked
                os._exit(1)

    return ask


@contextmanager
def start(command: Sequence[str], *, pipes: bool = False, pass_fds: Sequence[int] = ()) -> Iterator[Host]:
    """Starts the host for as long as the block runs; leaving it kills what still runs.

    `pipes`: stdin and stdout are pipes, else they are closed and inherited. `pass_fds`: it has these too. It leads
    a process group of its own, so that a Ctrl-C on the driver's terminal reaches the driver, which cancels the job.
    """
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE if pipes else subprocess.DEVNULL,
        stdout=subprocess.PIPE if pipes else None,
        stderr=subprocess.PIPE,
        pass_fds=pass_fds,
        start_new_session=True,
        preexec_fn=_dies_with(os.getpid()),
    )
    host = Host(process)
    try:
        yield host
    finally:
        host.kill()


def run(command: Sequence[str]) -> int:
    """Runs the host to its end: 0 or 1, or `HostFailed`."""
    with start(command) as host:
        return host.end()


def ask(command: Sequence[str], given: bytes = b"") -> bytes:
    """What the host says on stdout, on the driver: of little, and to a command that soon ends."""
    try:
        done = subprocess.run(command, input=given, capture_output=True, check=False)
    except OSError as error:
        raise Refused(f"{command[0]} can't be started: {error.strerror}") from error
    if done.returncode not in GOOD_ENDS:
        raise HostFailed(done.returncode, done.stderr.decode(errors="replace"))
    return done.stdout


def look(binary: str, plugin: str) -> None:
    """Refuses a file that is no plugin, once and here, instead of in each task. Runs nothing of it."""
    command = [binary, "inspect", "--no-load", "--json", plugin]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        found = json.loads(done.stdout) if done.stdout else {}
        reason = found.get("reason") or done.stderr.decode(errors="replace").strip()
        raise Refused("; ".join(filter(None, (f"{plugin}: {reason}", found.get("hint")))))


def refuse_options(options: Sequence[str], taken: Sequence[str]) -> None:
    """Options that this package sets itself, or that make no sense of a part, are not the caller's."""
    for option in options:
        is_short = option.startswith("-") and not option.startswith("--")
        name = option[:2] if is_short else option.split("=", 1)[0]  # -oFILE is one word
        if name in taken:
            raise Refused(f"{name} can't be among the options: it is set for each task")


def text_of(config: str | None) -> str | None:
    """A config that is a text, or `@` and a file of the driver's."""
    if config is None or not config.startswith("@"):
        return config
    with open(config[1:], encoding="utf-8") as file:
        return file.read()


def words(name: str, given: Sequence[str]) -> list[str]:
    """A text would be taken for its letters."""
    if isinstance(given, str):
        raise Refused(f"{name} is a list of texts: [{given!r}]")
    return [os.fspath(word) for word in given]
