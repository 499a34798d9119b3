"""The commit of a job: how many tasks write one folder, whole or not at all, each part exactly once.

    OUTPUT/_temporary/JOB/SPLIT-ATTEMPT/   an attempt writes here and nowhere else
    OUTPUT/_manifest.json                  which attempts count, and what their files will be called
    OUTPUT/part-00000.ldjson, …            renamed from the attempts' folders, by the driver alone
    OUTPUT/_SUCCESS                        last

The manifest is the point of no return. It gets its name by a hard link, whole and only if nobody has that
name: of two jobs on one output one commits. Before it nothing is visible; after it the job is done, and
`finish` brings a commit that died on the way to its end, any number of times, by anybody.

The trap: an attempt may run on long after the job is over. So it makes its own folder and no parent: when
the job's folder is gone, it fails. Don't "repair" that with a `makedirs`.
"""

import json
import os
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from .disk import Disk
from .host import Refused

MANIFEST = "_manifest.json"
SUCCESS = "_SUCCESS"
TEMPORARY = "_temporary"


class OutputExists(FileExistsError):
    """There is something in the folder that a job should write; nothing is ever written over."""


class UnfinishedCommit(RuntimeError):
    """A driver died in the middle of a commit here: `finish` ends it."""


class CommitRefused(RuntimeError):
    """What the tasks wrote is not what they said, or not of one job. Nothing was published."""


@dataclass(frozen=True)
class File:
    """A file in an attempt's folder, and how many bytes the task saw there."""

    name: str
    bytes: int


@dataclass(frozen=True)
class Part:
    """What one attempt at one split left. Spark hands the driver one of these for each split."""

    split: int
    attempt: str
    output: File
    rejects: File | None = None


@dataclass(frozen=True)
class Attempt:
    """A task's own folder."""

    folder: str
    split: int
    name: str
    disk: Disk = field(default_factory=Disk)

    def path(self, name: str) -> str:
        return os.path.join(self.folder, name)

    def file(self, name: str) -> File | None:
        """A file that the host left here; nothing where it left none."""
        size = self.disk.size(self.path(name))
        return None if size is None else File(name, size)


@dataclass(frozen=True)
class Job:
    """A job on an output folder. Travels to the tasks."""

    output: str
    name: str

    @property
    def folder(self) -> str:
        return os.path.join(self.output, TEMPORARY, self.name)

    def attempt(self, split: int, name: str, disk: Disk | None = None) -> Attempt:
        """In a task: makes the folder of this attempt. `FileNotFoundError` when the job is over."""
        disk = disk or Disk()
        folder = self.folder_of(split, name)
        disk.make_folder(folder)
        return Attempt(folder, split, name, disk)

    def folder_of(self, split: int, attempt: str) -> str:
        return os.path.join(self.folder, f"{split}-{attempt}")


def check(output: str, disk: Disk | None = None) -> None:
    """Refuses a folder in which anything is published. Leftovers of jobs that died don't matter."""
    try:
        names = (disk or Disk()).names(output)
    except NotADirectoryError:
        raise Refused(f"{output} is no folder, or lies in none") from None
    if MANIFEST in names and SUCCESS not in names:
        raise UnfinishedCommit(f"a job died while it committed {output}: finish({output!r}) completes it")
    there = [name for name in names if name != TEMPORARY]
    if there:
        raise OutputExists(f"{output} holds {there[0]} already: choose another folder, or remove this one")


def begin(output: str, disk: Disk | None = None) -> Job:
    """Begins a job on a folder in which nothing is published."""
    disk = disk or Disk()
    check(output, disk)
    job = Job(output, uuid.uuid4().hex)
    disk.make_folders(job.folder)
    return job


def commit(job: Job, splits: int, parts: Sequence[Part], extension: str, beside: dict[str, File],
           disk: Disk | None = None) -> None:
    """Publishes one attempt of each split, and files of the driver's (`beside`: the name they get, and the
    file in the job's folder), or raises and has published nothing."""
    disk = disk or Disk()
    if sorted(part.split for part in parts) != list(range(splits)):
        raise CommitRefused(f"of {splits} splits there are {len(parts)} parts, and not one of each")
    moves = [(os.path.join(f"{part.split}-{part.attempt}", part.output.name),
              part_name(part.split, splits, extension), part.output.bytes)
             for part in sorted(parts, key=lambda part: part.split)]
    moves += [(file.name, name, file.bytes) for name, file in beside.items()]
    for source, name, size in moves:
        found = disk.size(os.path.join(job.folder, source))
        if found != size:
            raise CommitRefused(f"a task wrote {size} bytes for {name}, and here are {found or 'none'}: "
                                "is the output on a file system that all nodes share?")
    manifest = json.dumps({"job": job.name, "moves": moves}).encode()
    disk.write(os.path.join(job.folder, MANIFEST), manifest)
    try:
        disk.link(os.path.join(job.folder, MANIFEST), os.path.join(job.output, MANIFEST))
    except FileExistsError:
        raise OutputExists(f"another job has published into {job.output} in the meantime") from None
    disk.flush_folder(job.output)
    finish(job.output, disk)


def part_name(split: int, splits: int, extension: str) -> str:
    """What the part of a split is called: in the order of the splits, however many."""
    return f"part-{split:0{max(5, len(str(splits - 1)))}}{extension}"


def finish(output: str, disk: Disk | None = None) -> None:
    """Completes a commit whose manifest is there. Does nothing where it is complete."""
    disk = disk or Disk()
    if not disk.exists(os.path.join(output, MANIFEST)):
        raise CommitRefused(f"no commit was begun in {output}: run the job again")
    job, moves = _manifest(output, disk)
    if not disk.exists(os.path.join(output, SUCCESS)):
        for source, name, size in moves:
            try:
                disk.rename(os.path.join(job.folder, source), os.path.join(output, name))
            except FileNotFoundError:  # somebody did it: the driver that died, or another that finishes
                if disk.size(os.path.join(output, name)) != size:
                    raise CommitRefused(f"{name} is neither in {output} nor in {job.folder}") from None
        disk.flush_folder(output)
        try:
            disk.write(os.path.join(output, SUCCESS), b"")
        except FileExistsError:
            pass
        disk.flush_folder(output)
    abandon(job, disk)


def _manifest(output: str, disk: Disk) -> tuple[Job, list[tuple[str, str, int]]]:
    """What stands in it, believed no further than the folder: who may write there may not, by whoever
    finishes, move and remove what lies elsewhere."""
    try:
        told = json.loads(disk.read(os.path.join(output, MANIFEST)))
        job, moves = told["job"], [(source, name, size) for source, name, size in told["moves"]]
        is_ours = (re.fullmatch("[0-9a-f]{32}", job)
                   and all(re.fullmatch(r"(\d+-\w+/)?[a-z][a-z.]*", source)
                           and re.fullmatch(r"[a-z_][a-z0-9._-]*", name) for source, name, _ in moves))
    except (ValueError, LookupError, TypeError):
        is_ours = None
    if not is_ours:
        raise CommitRefused(f"{os.path.join(output, MANIFEST)} is damaged, or no manifest of this package")
    return Job(output, job), moves


def is_begun(job: Job, disk: Disk | None = None) -> bool:
    """Whether it is this job, and no other, whose commit was begun in its output."""
    try:
        return bool(json.loads((disk or Disk()).read(os.path.join(job.output, MANIFEST)))["job"] == job.name)
    except FileNotFoundError:
        return False


def abandon(job: Job, disk: Disk | None = None) -> None:
    """Ends a job's attempts: removes its folder. Renamed first, so that none can begin in it meanwhile."""
    disk = disk or Disk()
    over = job.folder + ".over"
    try:
        disk.rename(job.folder, over)
    except FileNotFoundError:
        pass
    disk.remove_folder(over)
    disk.remove_empty(os.path.dirname(job.folder))
