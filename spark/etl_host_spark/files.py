"""Scores files on a cluster: a task for each split of the inputs, one host in each, a folder as output.

The parts, one behind the other, are byte for byte what a single machine would have written, rejects with
their lines included. The driver adds up the counts and refuses to publish a job in which they don't fit,
in which nodes had other plugins, or in which an input changed on the way.

Where the tasks write, and how that becomes visible, is another's affair: `folder.py` and `store.py`.

Refused: paths relative to this process, since an executor has another folder.
"""

import json
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pyspark import TaskContext
from pyspark.sql import SparkSession

from . import commit, splits, store
from .bundle import Tools, context_of, found_here, laid_out, send
from .commit import CommitRefused
from .folder import Folder
from .host import TAKEN, Refused, ask, look, refuse_options, run, text_of, words
from .parts import Output, Told
from .splits import Split
from .store import Store

_EXTENSIONS = {"ldjson": ".ldjson", "csv": ".csv", "tsv": ".tsv", "parquet": ".parquet",
               "arrow": ".arrow", "arrow-stream": ".arrows", "json-array": ".json"}
_COMPRESSED = {"none": "", "gzip": ".gz", "zstd": ".zst"}
_TABLES = ("csv", "tsv", "parquet", "arrow", "arrow-stream")
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
    host reads. `output`: a folder that all nodes share, or one in a store, `s3://BUCKET/FOLDER`.
    `config`: a JSON text, or `@` and a file of the driver's. `split_size`: in the host's words. `threads`: of
    each host [default: `spark.task.cpus`]. `max_rejects`: of the whole job; more of them and nothing is
    published. `options`: more flags for the host, such as `--emit`, `--isolate`; a path among them is one on
    all nodes and on the driver. `files`: weights that lie beside the plugin. `services`: a file of services,
    sent along. `ship=False`: binary, plugin and services are paths on all nodes, and on the driver.

    Raises `Refused`, `OutputExists`, `UnfinishedCommit` and, in the host's own words, `HostFailed` before any
    task, which is what a host says on the driver that is asked about no record; `CommitRefused` before anything
    is visible, and Spark's own error, which holds the host's message, where a task failed too often. In
    all these cases nothing is published. Any other error (`HostFailed`, `OSError`) comes from the commit:
    `finish` completes it, or says that it was not begun.
    """
    inputs = [os.fspath(path) for path in ([inputs] if isinstance(inputs, (str, os.PathLike)) else inputs)]
    output, plugin, binary = map(os.fspath, (output, plugin, binary))
    options, files = words("options", options), words("files", files)
    for path in (*inputs, output):
        if not _has_scheme(path) and not os.path.isabs(path):
            raise Refused(f"{path} is relative to a folder that executors have not: give it from `/`")
    if output_format not in _EXTENSIONS or compression not in _COMPRESSED:
        raise Refused(f"no output is called {output_format} with compression {compression}")
    refuse_options(options, TAKEN)
    config = text_of(config)

    services = None if services is None else os.fspath(services)
    on_the_driver = ["--services", services] if services else []
    here = found_here(binary)
    extension = _EXTENSIONS[output_format] + _COMPRESSED[compression]

    if _has_scheme(output):
        store.check(output, here, on_the_driver)
    else:
        commit.check(output)
    reads = ["--input-format", input_format] if input_format else []
    planned = splits.plan(here, inputs, str(split_size), [*on_the_driver, *reads, *_for_splits(options)])
    if not planned:
        raise Refused("no input has a byte: there is nothing to score")
    _refuse_other_columns(planned, output_format, options)
    if ship:
        look(here, plugin)
    flags = [*reads, "--output-format", output_format, "--compression", compression, *options]
    flags += ["--model", model] if model else []
    flags += ["--config", config] if config else []
    flags += ["--threads", str(spark.conf.get("spark.task.cpus", "1") if threads is None else threads), "--quiet"]
    _ask_about_nothing(here, plugin, files if ship else [], planned, [*on_the_driver, *flags])
    tools = send(spark, binary, plugin, files, ship, services)

    into: Output = (Store.begin(output, len(planned), extension, here, on_the_driver) if _has_scheme(output)
                    else Folder.begin(output, extension))
    told: list[Told] = []
    try:
        told = _on_the_cluster(spark, planned, _task(into, tools, flags))
        scored = _whole(planned, told, max_rejects)
    except BaseException:
        into.abandon(told)
        raise
    summary = json.dumps(asdict(scored), indent=2).encode()
    into.publish(planned, told, summary, has_rejects=scored.counts["rejected"] > 0)
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


def _task(output: Output, tools: Tools, flags: list[str]) -> Callable[[int, Iterable[Split]], Iterator[str]]:
    """The function that Spark runs: an attempt at a split, which nobody sees but its driver."""

    def score(index: int, mine: Iterable[Split]) -> Iterator[str]:
        context = TaskContext.get()
        name = str(context.taskAttemptId() if context else os.getpid())
        binary, plugin = tools.found()
        for split in mine:
            with output.attempt(index, name) as attempt:
                run([binary, "--plugin", plugin, *split.options(), *tools.options(), *flags,
                     *attempt.options()])
                summary = attempt.summary()
                told = Told(
                    split=index, attempt=name, left=attempt.left(),
                    lines=summary["range"]["lines"] if not split.whole else 0,
                    counts=summary["counts"], input_version=summary["inputs"][0]["version"],
                    plugin_sha256=summary["plugin"]["sha256"],
                    model=f"{summary['model']['name']}@{summary['model']['version']}",
                    seconds=summary["seconds"])
            yield json.dumps(asdict(told))

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
    for split, part in zip(planned, told):
        if split.version != part.input_version:
            raise CommitRefused(f"{split.input} changed since it was cut into splits: it was {split.version}, and "
                                f"a task read {part.input_version}")
    if max_rejects is not None and counts["rejected"] > max_rejects:
        raise CommitRefused(f"{counts['rejected']} records were rejected, at most {max_rejects} may be")
    return Scored(len(planned), counts, told[0].plugin_sha256, told[0].model,
                  round(sum(part.seconds for part in told), 3))


def _has_scheme(path: str) -> bool:
    return re.match("[a-z][a-z0-9+.-]*://", path) is not None


def _refuse_other_columns(planned: list[Split], output_format: str, options: list[str]) -> None:
    """A table of merged records has the columns of its first input, and each task would see its own."""
    words = " ".join(options).replace("=", " ")
    emit = next((emit for emit in ("merge", "nest") if f"--emit {emit}" in words), None)
    inputs = {split.input for split in planned}
    if output_format in _TABLES and emit and len(inputs) > 1:
        raise Refused(f"with --emit {emit}, {output_format} has the columns of its input, and here are {len(inputs)}: "
                      "write ldjson, or run a job for each")


def _ask_about_nothing(binary: str, plugin: str, files: list[str], planned: list[Split], flags: list[str]) -> None:
    """Has a host here do what each task is to do, but for records: what it refuses, they would refuse one by
    one. Inputs that can only be read whole are left to their tasks."""
    split = next((split for split in planned if not split.whole), None)
    if split is None:
        return
    with laid_out(plugin, files) as there, tempfile.TemporaryDirectory(prefix="etl-host-") as folder:
        ask([binary, "--plugin", there, "--input", split.input, "--range", "0:0", *flags,
             "--output", os.path.join(folder, "output"), "--rejects", os.path.join(folder, "rejects.ldjson")])


def finish(output: str, *, binary: str = "etl-host", services: str | None = None) -> None:
    """Completes a commit that died in the middle, in a folder or in a store, which is asked with `binary` and
    `services` as by the job. Does nothing where it is complete."""
    if _has_scheme(output):
        store.finish(output, found_here(binary), ["--services", services] if services else [])
    else:
        commit.finish(output)
