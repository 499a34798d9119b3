"""A folder in a store as the output of a job: there nothing can be renamed, so an attempt sends its part as an
upload that it does not complete (`--hold`), and the driver has the host complete those that count
(`etl-host commit`, which tells how).

    OUTPUT/part-00000.ldjson, …                        made of the uploads, by the commit alone
    OUTPUT/_temporary/JOB/SPLIT-ATTEMPT.rejects.ldjson  an attempt's rejects, until they are merged
    OUTPUT/_manifest.ldjson                            the steps of the commit: the point of no return
    OUTPUT/_SUCCESS                                    last

The trap: nobody sees the upload of an attempt that died, or was overtaken. It can't be joined by mistake, as
only what Spark told the driver is; but it costs its room until a rule of the bucket removes it.
"""

import json
import os
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from .commit import SUCCESS, TEMPORARY, CommitRefused, OutputExists, UnfinishedCommit, part_name
from .host import HostFailed, Refused, ask
from .parts import Told, lines_before
from .splits import Split

_WRONG_COMMAND_LINE = 2


@dataclass(frozen=True)
class Attempt:
    """What the host leaves of an attempt on this machine: little, and gone with the task."""

    folder: str
    output: str
    rejects: str

    def _path(self, name: str) -> str:
        return os.path.join(self.folder, name)

    def options(self) -> list[str]:
        return ["--output", self.output, "--hold", self._path("ticket.json"), "--rejects", self.rejects,
                "--summary", self._path("summary.json")]

    def _read(self, name: str) -> dict[str, Any]:
        with open(self._path(name), "rb") as file:
            told: dict[str, Any] = json.load(file)
            return told

    def summary(self) -> dict[str, Any]:
        return self._read("summary.json")

    def left(self) -> dict[str, Any]:
        return {"ticket": self._read("ticket.json"), "has_rejects": self.summary()["rejects"] is not None}


@dataclass(frozen=True)
class Store:
    """The output of a job. `binary` and `options` (the services) are the driver's."""

    output: str
    job: str
    splits: int
    extension: str
    binary: str
    options: list[str]

    @staticmethod
    def begin(output: str, splits: int, extension: str, binary: str, options: Sequence[str]) -> "Store":
        """Begins a job on a folder in which nothing is published, in a store that can take it."""
        store = Store(output.rstrip("/") + "/", uuid.uuid4().hex, splits, extension, binary, list(options))
        store._check()
        return store

    def _check(self) -> None:
        found, output = self._state(), self.output
        if found["state"] == "begun":
            raise UnfinishedCommit(f"a job died while it committed {output}: finish({output!r}, …) completes it")
        if found["state"] != "empty":
            raise OutputExists(f"{output} holds {found.get('found', SUCCESS)} already: choose another folder, or "
                               "remove this one")

    @property
    def _folder(self) -> str:
        return f"{TEMPORARY}/{self.job}/"

    def _rejects(self, split: int, attempt: str) -> str:
        return f"{self._folder}{split}-{attempt}.rejects.ldjson"

    @contextmanager
    def attempt(self, split: int, name: str) -> Iterator[Attempt]:
        with tempfile.TemporaryDirectory(prefix="etl-host-") as folder:
            yield Attempt(folder, self.output + part_name(split, self.splits, self.extension),
                          self.output + self._rejects(split, name))

    def publish(self, planned: Sequence[Split], told: Sequence[Told], summary: bytes, has_rejects: bool) -> None:
        if sorted(part.split for part in told) != list(range(self.splits)):
            self.abandon(told)
            raise CommitRefused(f"of {self.splits} splits there are {len(told)} parts, and not one of each")
        steps = self._steps(told)
        rejects = [{"name": self._rejects(part.split, part.attempt), "lines_before": before,
                    "rejects": part.counts["rejected"]}
                   for part, before in lines_before(planned, told) if part.left["has_rejects"]]
        if has_rejects:
            steps.append({"rejects": {"name": "_rejects.ldjson", "of": rejects}})
        steps.append({"text": {"name": "_summary.json", "text": summary.decode()}})
        try:
            self._commit([], steps)
        except HostFailed as error:
            if self._state().get("job", self.job) == self.job:
                raise  # a request may be on its way still that begins it, so nothing is taken back
            self.abandon(told)
            raise OutputExists(f"another job has published into {self.output} in the meantime") from error

    def abandon(self, told: Sequence[Told]) -> None:
        """Has the store forget the attempts that are known. Failing, it says nothing: it is called because
        something else failed, and a rule of the bucket does the same."""
        try:
            self._commit(["--abandon"], self._steps(told))
        except HostFailed:
            pass

    def _state(self) -> dict[str, Any]:
        try:
            said: dict[str, Any] = json.loads(self._ask(["--check"]))
            return said
        except HostFailed as error:
            if error.exit_code == _WRONG_COMMAND_LINE:
                raise Refused(_words(error)) from error
            raise

    def _steps(self, told: Sequence[Told]) -> list[dict[str, Any]]:
        joins = [{"join": part.left["ticket"]} for part in sorted(told, key=lambda part: part.split)]
        return [{"job": self.job}, *joins, {"remove": self._folder}]

    def _commit(self, flags: list[str], steps: list[dict[str, Any]]) -> None:
        self._ask(flags, "".join(json.dumps(step) + "\n" for step in steps).encode())

    def _ask(self, flags: list[str], given: bytes = b"") -> bytes:
        return ask([self.binary, "commit", *flags, *self.options, self.output], given)


def check(output: str, binary: str, options: Sequence[str]) -> None:
    """Refuses a folder in which anything is published, and a store that can't take a job."""
    Store.begin(output, 0, "", binary, options)


def finish(output: str, binary: str, options: Sequence[str]) -> None:
    """Completes a commit whose manifest is there. Does nothing where it is complete."""
    try:
        ask([binary, "commit", "--finish", *options, output])
    except HostFailed as error:
        raise CommitRefused(_words(error)) from error


def _words(error: HostFailed) -> str:
    return error.message.strip().removeprefix("error: ")
