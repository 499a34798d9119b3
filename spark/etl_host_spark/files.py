"""Scores files on a cluster: a task for each split of the inputs, one host in each, a folder as output.

The parts, one behind the other, are byte for byte what a single machine would have written, rejects with
their lines included. The driver adds up the counts and refuses to publish a job in which they don't fit,
in which nodes had other plugins, or in which an input changed on the way.

Refused: paths relative to this process, since an executor has another folder, and outputs in a store:
the host completes an object by itself, when its run ends well, and nobody could hold that back until the
job commits. Copy the folder there once `_SUCCESS` is in it.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pyspark import TaskContext
from pyspark.sql import SparkSession

from . import splits
from .bundle import Tools, context_of, found_here, send
from .commit import CommitRefused, File, Job, Part, abandon, begin, commit, is_begun
from .host import Refused, look, refuse_options, run
from .rejects import on_lines_of_the_file
from .splits import Split

_EXTENSIONS = {"ldjson": ".ldjson", "csv": ".csv", "tsv": ".tsv", "parquet": ".parquet",
               "arrow": ".arrow", "arrow-stream": ".arrows", "json-array": ".json"}
_COMPRESSED = {"none": "", "gzip": ".gz", "zstd": ".zst"}
_TAKEN = ("-i", "--input", "--input_file", "-o", "--output", "--output_file", "--range", "--rejects",
          "--summary", "--resume", "--state", "--plugin", "--plugin-dir", "--model", "--config",
          "--threads", "--input-format", "--output-format", "--compression", "--services", "--max-rejects",
          "-b", "--bucket", "--record", "--print-pipeline", "--place")
_OF_SPLITS_TOO = ("--delimiter", "--quote")


@dataclass(frozen=True)
class Scored:
    """What a job did. It stands in the output as `_summary.json` too."""

    splits: int
    counts: dict[str, int]
    plugin_sha256: str
    model: str
    seconds_of_hosts: float


def score_files(
    spark: SparkSession,
    inputs: str | Sequence[str],
    output: str,
    plugin: str,
    model: str | None = None,
    *,
    binary: str = "etl-host",
    config: str | None = None,
    split_size: str = "128MiB",
    input_format: str | None = None,
    output_format: str = "ldjson",
    compression: str = "none",
    max_rejects: int | None = None,
    threads: int | None = None,
    options: Sequence[str] = (),
    files: Sequence[str] = (),
    services: str | None = None,
    ship: bool = True,
) -> Scored:
    """Scores all records of the inputs into the folder `output`, which appears as a whole.

    `inputs`: absolute paths that all nodes share, folders and globs of such, or `s3://` and what else the
    host reads. `split_size`: in the host's words. `threads`: of each host [default: `spark.task.cpus`].
    `max_rejects`: of the whole job; more of them and nothing is published. `options`: more flags for the
    host, such as `--emit`, `--isolate`. `files`: weights that lie beside the plugin. `services`: a file of
    services, sent along. `ship=False`: binary, plugin and services are paths on all nodes.

    Raises `Refused`, `OutputExists`, `UnfinishedCommit` before any task, `CommitRefused` before anything
    is visible, and Spark's own error, which holds the host's message, where a task failed too often. In
    all these cases nothing is published.
    """
    inputs = [inputs] if isinstance(inputs, str) else list(inputs)
    for path in (*inputs, output):
        if "://" not in path and not os.path.isabs(path):
            raise Refused(f"{path} is relative to a folder that executors have not: give it from `/`")
    if "://" in output:
        raise Refused(f"{output} is in a store: write to a shared folder, and copy it from there")
    if output_format not in _EXTENSIONS or compression not in _COMPRESSED:
        raise Refused(f"no output is called {output_format} with compression {compression}")
    refuse_options(options, _TAKEN)

    where = ["--services", services] if services else []
    reads = ["--input-format", input_format] if input_format else []
    here = found_here(binary)
    planned = splits.plan(here, inputs, split_size, [*where, *reads, *_for_splits(options)])
    if not planned:
        raise Refused("no input has a byte: there is nothing to score")
    if ship:
        look(here, plugin)
    tools = send(spark, binary, plugin, [*files, *([services] if services else [])], ship)
    if services and ship:
        where = ["--services", os.path.basename(services)]
    flags = [*reads, "--output-format", output_format, "--compression", compression, *options]
    flags += ["--model", model] if model else []
    flags += ["--config", config] if config else []
    flags += ["--threads", str(threads or spark.conf.get("spark.task.cpus", "1")), "--quiet"]

    job = begin(output)
    try:
        told = _on_the_cluster(spark, planned, _task(job, tools, flags, where))
        scored = _whole(planned, told, max_rejects)
        beside = _beside(job, planned, told, scored)
        commit(job, len(planned), [part.part() for part in told], _extension(output_format, compression), beside)
    except BaseException:
        if not is_begun(job):  # else the parts are published, or `finish` will publish them
            abandon(job)
        raise
    return scored


def _for_splits(options: Sequence[str]) -> list[str]:
    """What of the options tells where rows end, with its value where that stands behind it."""
    found: list[str] = []
    for option, value in zip(options, [*options[1:], ""]):
        if option in _OF_SPLITS_TOO:
            found += [option, value]
        elif option.startswith(tuple(f"{name}=" for name in _OF_SPLITS_TOO)):
            found.append(option)
    return found


def _extension(output_format: str, compression: str) -> str:
    return _EXTENSIONS[output_format] + _COMPRESSED[compression]


@dataclass(frozen=True)
class Told:
    """What a task tells the driver: some 500 bytes, for there may be a million of them."""

    split: int
    attempt: str
    output_bytes: int
    rejects_bytes: int | None
    lines: int
    counts: dict[str, int]
    input_version: str | None
    plugin_sha256: str
    model: str
    seconds: float

    def part(self) -> Part:
        rejects = None if self.rejects_bytes is None else File("rejects.ldjson", self.rejects_bytes)
        return Part(self.split, self.attempt, File("output", self.output_bytes), rejects)


def _task(job: Job, tools: Tools, flags: list[str], where: list[str]
          ) -> Callable[[int, Iterable[Split]], Iterator[str]]:
    """The function that Spark runs: an attempt at a split, in a folder of its own."""

    def score(index: int, mine: Iterable[Split]) -> Iterator[str]:
        context = TaskContext.get()
        name = str(context.taskAttemptId() if context else os.getpid())
        binary, plugin = tools.found()
        services = list(where)
        if services and tools.archive:
            services[1] = os.path.join(os.path.dirname(plugin), services[1])
        for split in mine:
            attempt = job.attempt(index, name)
            run([binary, "--plugin", plugin, *split.options(), *services, *flags,
                 "--output", attempt.path("output"), "--rejects", attempt.path("rejects.ldjson"),
                 "--summary", attempt.path("summary.json")])
            summary = json.loads(attempt.disk.read(attempt.path("summary.json")))
            output, rejects = attempt.file("output"), attempt.file("rejects.ldjson")
            assert output is not None, "a host that ends well has published its output"
            yield json.dumps(asdict(Told(
                split=index, attempt=name, output_bytes=output.bytes,
                rejects_bytes=rejects.bytes if rejects else None,
                lines=summary["range"]["lines"] if not split.whole else 0,
                counts=summary["counts"], input_version=summary["inputs"][0]["version"],
                plugin_sha256=summary["plugin"]["sha256"],
                model=f"{summary['model']['name']}@{summary['model']['version']}",
                seconds=summary["seconds"])))

    return score


def _on_the_cluster(spark: SparkSession, planned: list[Split],
                    task: Callable[[int, Iterable[Split]], Iterator[str]]) -> list[Told]:
    """Runs the tasks. Whatever ends this early, a Ctrl-C too, has Spark end them; a job's group is the
    caller's, by which he may cancel, so ours is known by a tag."""
    context = context_of(spark)
    tag = f"etl-host-{os.urandom(8).hex()}"
    context.addJobTag(tag)
    try:
        rdd = context.parallelize(planned, len(planned)).mapPartitionsWithIndex(task)
        return [Told(**json.loads(line)) for line in rdd.collect()]
    except BaseException:
        context.cancelJobsWithTag(tag)
        raise
    finally:
        context.removeJobTag(tag)


def _whole(planned: list[Split], told: list[Told], max_rejects: int | None) -> Scored:
    """The job's counts, or a refusal where the parts are not those of one job."""
    counts: dict[str, int] = {}
    for part in told:
        for fate, records in part.counts.items():
            counts[fate] = counts.get(fate, 0) + records
    if counts["read"] != sum(records for fate, records in counts.items() if fate != "read"):
        raise CommitRefused(f"the counts don't add up: {counts}")
    for name, values in (("plugin", {part.plugin_sha256 for part in told}),
                         ("model", {part.model for part in told})):
        if len(values) > 1:
            raise CommitRefused(f"nodes have different {name}s: {', '.join(sorted(values))}")
    versions: dict[str, str | None] = {}
    for split, part in zip(planned, told):
        if versions.setdefault(split.input, part.input_version) != part.input_version:
            raise CommitRefused(f"{split.input} changed while it was scored")
    if max_rejects is not None and counts["rejected"] > max_rejects:
        raise CommitRefused(f"{counts['rejected']} records were rejected, at most {max_rejects} may be")
    return Scored(len(planned), counts, told[0].plugin_sha256, told[0].model,
                  round(sum(part.seconds for part in told), 3))


def _beside(job: Job, planned: list[Split], told: list[Told], scored: Scored) -> dict[str, File]:
    """Writes summary and rejects of the whole job into its folder: not yet visible."""
    beside = {"_summary.json": _written(job, "summary.json", [json.dumps(asdict(scored), indent=2).encode()])}
    if scored.counts["rejected"]:
        rejects = _written(job, "rejects.ldjson", _all_rejects(job, planned, told))
        beside["_rejects.ldjson"] = rejects
    return beside


def _written(job: Job, name: str, chunks: Iterable[bytes]) -> File:
    path = os.path.join(job.folder, name)
    with open(path, "xb") as file:
        for chunk in chunks:
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
        return File(name, file.tell())


def _all_rejects(job: Job, planned: list[Split], told: list[Told]) -> Iterator[bytes]:
    input_now, lines_before = "", 0
    for split, part in zip(planned, told):
        if split.input != input_now:
            input_now, lines_before = split.input, 0
        if part.rejects_bytes is not None:
            path = os.path.join(job.folder_of(part.split, part.attempt), "rejects.ldjson")
            with open(path, "rb") as rejects:
                yield from rejects if split.knows_its_line else on_lines_of_the_file(rejects, lines_before)
        lines_before += part.lines


def summary_of(output: str) -> dict[str, Any]:
    """What a job that is done said of itself."""
    with open(os.path.join(output, "_summary.json"), "rb") as file:
        told: dict[str, Any] = json.load(file)
        return told
