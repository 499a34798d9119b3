"""A folder that all nodes share as the output of a job: attempts are folders in it, and what counts of them is
renamed (`commit.py`). The driver merges the rejects.
"""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from . import commit
from .commit import File, Job, Part
from .parts import Told, lines_before
from .rejects import on_lines_of_the_file
from .splits import Split


@dataclass(frozen=True)
class Attempt:
    """A task's own folder, with what the host leaves in it."""

    folder: commit.Attempt

    def options(self) -> list[str]:
        path = self.folder.path
        return ["--output", path("output"), "--rejects", path("rejects.ldjson"), "--summary", path("summary.json")]

    def summary(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.folder.disk.read(self.folder.path("summary.json")))
        return told

    def left(self) -> dict[str, Any]:
        output, rejects = self.folder.file("output"), self.folder.file("rejects.ldjson")
        if output is None:
            raise RuntimeError(f"the host ended well, and {self.folder.path('output')} is not there")
        return {"output": output.bytes, "rejects": rejects.bytes if rejects else None}


@dataclass(frozen=True)
class Folder:
    """The output of a job."""

    job: Job
    extension: str

    @staticmethod
    def begin(output: str, extension: str) -> "Folder":
        return Folder(commit.begin(output), extension)

    @contextmanager
    def attempt(self, split: int, name: str) -> Iterator[Attempt]:
        yield Attempt(self.job.attempt(split, name))

    def publish(self, planned: Sequence[Split], told: Sequence[Told], summary: bytes, has_rejects: bool) -> None:
        try:
            beside = {"_summary.json": self._written("summary.json", [summary])}
            if has_rejects:
                beside["_rejects.ldjson"] = self._written("rejects.ldjson", self._all_rejects(planned, told))
            commit.commit(self.job, len(planned), [_part(part) for part in told], self.extension, beside)
        except BaseException:
            if not commit.is_begun(self.job):  # else the parts are published, or `finish` will publish them
                self.abandon(told)
            raise

    def abandon(self, told: Sequence[Told]) -> None:
        commit.abandon(self.job)

    def _written(self, name: str, chunks: Iterable[bytes]) -> File:
        """A file of the driver's in the job's folder: not yet visible."""
        path = os.path.join(self.job.folder, name)
        with open(path, "xb") as file:
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
            return File(name, file.tell())

    def _all_rejects(self, planned: Sequence[Split], told: Sequence[Told]) -> Iterator[bytes]:
        for part, before in lines_before(planned, told):
            if part.left["rejects"] is not None:
                path = os.path.join(self.job.folder_of(part.split, part.attempt), "rejects.ldjson")
                with open(path, "rb") as rejects:
                    yield from rejects if before is None else on_lines_of_the_file(rejects, before)


def _part(told: Told) -> Part:
    rejects = told.left["rejects"]
    return Part(told.split, told.attempt, File("output", told.left["output"]),
                None if rejects is None else File("rejects.ldjson", rejects))
