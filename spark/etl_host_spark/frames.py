"""Scores a DataFrame: each partition goes as Arrow through one host process, and a DataFrame comes back.

The host is asked once, on the driver and with no row, what its columns will be: so their types are those of
the model's schema, and a column that the model lacks is refused before anything runs. A host in a task that
writes others fails it. What names and types become on the way is another's affair: `columns.py`.

The trap: a DataFrame is computed as often as somebody asks for it, in part or twice at once. So rejects are
rows of the result by default. A folder of them holds, of each partition, what its last attempt rejected.
"""

import json
import os
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO, Any

import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from .bundle import Tools, found_here, laid_out, send
from .columns import ARROW, as_it_was, given, named, numbered, refuse_names, written
from .host import TAKEN, Host, Refused, refuse_options, start, words

REJECT = "_reject"
_REJECT_TYPE = pa.struct([(name, pa.string()) for name in ("step", "kind", "message", "path", "record")])
_REJECTS_AT_ONCE = 4096
_TAKEN = (*TAKEN, "--emit", "--keep")


def score(
    df: DataFrame,
    plugin: str,
    model: str | None = None,
    *,
    emit: str = "prediction",
    keep: Sequence[str] = (),
    rejects: str = "column",
    binary: str = "etl-host",
    config: str | None = None,
    threads: int | None = None,
    options: Sequence[str] = (),
    files: Sequence[str] = (),
    ship: bool = True,
) -> DataFrame:
    """The predictions for a DataFrame's rows, with the model's fields as columns.

    `emit`: prediction, merge or nest, as the host's flag; `keep`: columns that come before a prediction's.
    `rejects`: "column", and a row that was rejected is a row in which all is null but the struct `_reject`
    (step, kind, message, path, record); or an absolute folder that all nodes share, which gets a file
    `rejects-ID-PARTITION.ldjson` for each partition that has some, and the DataFrame lacks those rows.
    `threads`: of each host [default: `spark.task.cpus`]. The others are as in `score_files`.

    Raises `Refused` and, in the host's own words, `HostFailed` before anything runs.
    """
    spark = df.sparkSession
    folder = None if rejects == "column" else rejects
    if folder is not None and not os.path.isabs(folder):
        raise Refused(f"rejects go to `column` or to a folder given from `/`, not to {folder}")
    keep, options, files = words("keep", keep), words("options", options), words("files", files)
    names = df.columns
    refuse_names(names, keep)
    refuse_options(options, _TAKEN)
    flags = [*options, *(["--model", model] if model else []), *(["--config", config] if config else [])]
    emits = ["--emit", emit, *([f"--keep={','.join(keep)}"] if keep else [])]

    numbers = df.toDF(*numbered(len(names)))
    table = given(numbers, names)
    with laid_out(plugin, files if ship else []) as there:
        here = [found_here(binary), "--plugin", there, *flags]
        answers = written(here + emits, table)
        predicted = written(here, table).names if emit == "merge" else ()
    if keep and answers.names[:len(keep)] != list(keep):
        raise Refused(f"the host keeps {', '.join(answers.names)}, and not {', '.join(keep)} first")
    tools = send(spark, binary, plugin, files, ship)
    flags += [*emits, "--threads", str(spark.conf.get("spark.task.cpus", "1") if threads is None else threads)]

    of_the_frame = {"prediction": keep, "merge": names}.get(emit, ())
    own = {name: df.schema[name].dataType for name in of_the_frame if name not in predicted}
    result = answers
    if folder is None:
        if REJECT in map(str.lower, answers.names):
            raise Refused(f"there is a column {REJECT} already, where rejects would go: rename it")
        result = answers.append(pa.field(REJECT, _REJECT_TYPE))
    if folder is not None:
        os.makedirs(folder, exist_ok=True)

    columns = named(result, numbered(len(result)))
    kinds = spark.createDataFrame(columns.empty_table()).schema
    scored = numbers.mapInArrow(_partition(tools, flags, names, answers, columns, folder), kinds)
    back = [F.col(kind.name).cast(as_it_was(own.get(name), kind.dataType))
            for name, kind in zip(result.names, kinds)]
    return scored.select(*back).toDF(*result.names)


def _partition(tools: Tools, flags: list[str], names: list[str], answers: pa.Schema, result: pa.Schema,
               folder: str | None) -> Callable[[Iterable[Any]], Iterator[Any]]:
    """The function that Spark runs on a partition's record batches."""
    job = uuid.uuid4().hex[:12]

    def scored(batches: Iterable[Any]) -> Iterator[Any]:
        batches = (pa.RecordBatch.from_arrays(batch.columns, schema=named(batch.schema, names))
                   for batch in batches)
        first = next(batches, None)
        rejects = _Rejects(folder, job)
        if first is None:
            return rejects.end()
        binary, plugin = tools.found()
        with tempfile.TemporaryDirectory(prefix="etl-host-") as own:
            path = os.path.join(own, "rejects.ldjson")
            command = [binary, "--plugin", plugin, *flags, *ARROW, "--rejects", path]
            with start(command, pipes=True) as host:
                feeder = _Feeder(host, first, batches)
                for batch in _answers(host, feeder, answers):
                    yield _in_columns(batch, result)
            if folder is None:
                yield from _rejected(path, result)
            rejects.end(path)

    return scored


class _Feeder(threading.Thread):
    """Writes batches to the host while its answers are read: with one thread, both could wait for ever."""

    def __init__(self, host: Host, first: Any, rest: Iterator[Any]) -> None:
        super().__init__(daemon=True)
        self.trouble: BaseException | None = None
        self._host, self._first, self._rest = host, first, rest
        self.start()

    def run(self) -> None:
        try:
            with self._host.stdin as pipe, pa.ipc.new_stream(pipe, self._first.schema) as stream:
                stream.write_batch(self._first)
                for batch in self._rest:
                    stream.write_batch(batch)
        except BrokenPipeError:
            pass  # the host ended early, and says why
        except BaseException as trouble:  # of whoever makes the batches: the task must fail with it
            self.trouble = trouble
            self._host.process.kill()


def _answers(host: Host, feeder: _Feeder, declared: pa.Schema) -> Iterator[Any]:
    """What the host writes. A stream that ends well proves nothing: its exit code is asked for always."""
    try:
        with pa.ipc.open_stream(host.stdout) as answers:
            if answers.schema != declared:
                both = f"{_told(answers.schema)} here, and on the driver {_told(declared)}"
                raise RuntimeError(f"etl-host writes the columns {both}: do the nodes have another plugin?")
            yield from answers
    except (pa.ArrowInvalid, OSError):
        host.stdout.close()  # it may still write, and nobody reads
        if feeder.trouble is None:
            host.end()  # in nearly all cases it has more to say than that its stream broke off
        if feeder.trouble is None:
            raise
    feeder.join()
    if feeder.trouble is not None:
        raise feeder.trouble
    host.end()


def _told(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} ({field.type})" for field in schema)


def _in_columns(batch: Any, result: pa.Schema) -> Any:
    """A batch of all columns: the host's, and `_reject` null."""
    nulls = [pa.nulls(batch.num_rows, field.type) for field in list(result)[batch.num_columns:]]
    return pa.RecordBatch.from_arrays([*batch.columns, *nulls], schema=result)


def _rejected(path: str, result: pa.Schema) -> Iterator[Any]:
    if not os.path.exists(path):
        return
    with open(path, "rb") as lines:
        while some := [json.loads(line) for _, line in zip(range(_REJECTS_AT_ONCE), lines)]:
            told = pa.array([{name: reject.get(name) for name in _REJECT_TYPE.names} for reject in some], _REJECT_TYPE)
            nulls = [pa.nulls(len(some), field.type) for field in list(result)[:-1]]
            yield pa.RecordBatch.from_arrays([*nulls, told], schema=result)


class _Rejects:
    """The file of a partition's rejects in a shared folder: what its last attempt left, whole or not there.

    Renamed into place: attempts at once don't disturb each other, and one without rejects removes it."""

    def __init__(self, folder: str | None, job: str) -> None:
        context = TaskContext.get()
        self._folder = folder
        self._name = f"rejects-{job}-{context.partitionId() if context else 0:05}.ldjson"
        self._attempt = context.taskAttemptId() if context else os.getpid()

    def end(self, path: str | None = None) -> None:
        if self._folder is None:
            return
        place = os.path.join(self._folder, self._name)
        if path is None or not os.path.exists(path):
            try:
                os.unlink(place)
            except FileNotFoundError:
                pass
            return
        hidden = os.path.join(self._folder, f".{self._name}.{self._attempt}")
        with open(path, "rb") as rejects, open(hidden, "wb") as file:
            _copy(rejects, file)
        os.replace(hidden, place)


def _copy(source: IO[bytes], target: IO[bytes]) -> None:
    while block := source.read(1 << 20):
        target.write(block)
    target.flush()
    os.fsync(target.fileno())
