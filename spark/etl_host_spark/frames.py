"""Scores a DataFrame: of each partition, what the model reads goes as Arrow through one host process, and what
it says comes back as columns beside the others, which never leave Spark.

The host is asked on the driver, with no row, what its columns will be: so their types are those of the model's
schema, and a column that the model lacks is refused before anything runs. A host in a task that writes others
fails it. What names are on the way is another's affair: `columns.py`.

The trap: a DataFrame is computed as often as somebody asks for it, in part or twice at once. So rejects are
a column of the result by default. A folder of them holds, of each partition, what its last attempt rejected.
"""

import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import arrow_udf
from pyspark.sql.pandas.types import from_arrow_schema

from .bundle import Tools, found_here, laid_out, send
from .columns import ARROW, given, numbered, refuse_names, refuse_unread, told
from .host import TAKEN, Refused, refuse_options, text_of, words
from .stream import REJECT, REJECT_PARTS, REJECT_TYPE, Rows, answered

_TAKEN = (*TAKEN, "--emit", "--keep")
_NESTED = ("--emit", "nest")


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
    `rejects`: "column", and a row that was rejected has nulls as its prediction and the struct `_reject` (step,
    kind, message, path, record), which is null in all others; or an absolute folder that all nodes share, which
    gets a file `rejects-ID-PARTITION.ldjson` for each partition that has some, and the DataFrame lacks those rows.
    `threads`: of each host [default: `spark.task.cpus`]. The others are as in `score_files`.

    Raises `Refused` and, in the host's own words, `HostFailed` before anything runs.
    """
    spark = df.sparkSession
    folder = None if rejects == "column" else rejects
    if folder is not None and not os.path.isabs(folder):
        raise Refused(f"rejects go to `column` or to a folder given from `/`, not to {folder}")
    if emit not in ("prediction", "merge", "nest"):
        raise Refused(f"emit is prediction, merge or nest, and not {emit}")
    keep, options, files = words("keep", keep), words("options", options), words("files", files)
    names = df.columns
    refuse_names(names, keep)
    if keep and emit != "prediction":
        raise Refused(f"keep goes with emit='prediction': {emit} keeps all")
    refuse_options(options, _TAKEN)
    config = text_of(config)
    flags = [*options, *(["--model", model] if model else []), *(["--config", config] if config else [])]
    kept = keep if emit == "prediction" else names

    table = given(spark, df.schema)
    with laid_out(plugin, files if ship else []) as there:
        asked = _ask([found_here(binary), "--plugin", there, *flags], table, emit, kept, folder is not None)
    refuse_unread(df, table, asked.sent)
    if emit != "nest":
        for name in kept:
            if name in asked.predicted.names:
                raise Refused(f"the model predicts {name}, and a column {name} is kept: rename it, or nest both")
        if folder is None and REJECT in map(str.lower, [*kept, *asked.predicted.names]):
            raise Refused(f"there is a column {REJECT} already, where rejects would go: rename it")
    tools = send(spark, binary, plugin, files, ship)
    if folder is not None:
        os.makedirs(folder, exist_ok=True)

    flags += ["--threads", str(spark.conf.get("spark.task.cpus", "1") if threads is None else threads)]
    fields = [field.with_name(name) for name, field in zip(numbered(len(asked.predicted)), asked.predicted)]
    if folder is None:
        fields.append(pa.field(REJECT, REJECT_TYPE))
    task = _Task(tools, [*flags, *(_NESTED if asked.is_nested else [])], asked, fields, folder)
    model_of = arrow_udf(_scored(task), from_arrow_schema(pa.schema(fields)))  # type: ignore[call-overload]

    frame = df.toDF(*numbered(len(names)))
    column_of = {name: F.col(number) for name, number in zip(names, frame.columns)}
    # Of a function that is said to be deterministic, Spark asks once more for each filter.
    scored = frame.withColumn("answer", model_of.asNondeterministic()(*[column_of[name] for name in asked.sent]))
    answer = F.col("answer")
    predicted = {name: answer[field.name] for name, field in zip(asked.predicted.names, fields)}
    result = {name: column_of[name] for name in kept} | predicted
    if emit == "nest":
        prediction = _struct(predicted) if asked.is_object else next(iter(predicted.values()))
        result = {"input": _struct(column_of),
                  "prediction": F.when(answer[REJECT].isNull(), prediction) if folder is None else prediction}
    if folder is not None:
        scored = scored.where(answer.isNotNull())
    else:
        parts = F.struct(*[answer[REJECT][n].alias(part) for n, part in enumerate(REJECT_PARTS)])
        result[REJECT] = F.when(answer[REJECT].isNotNull(), parts)
    return scored.select(*result.values()).toDF(*result)


def _struct(columns: dict[str, Column]) -> Column:
    return F.struct(*[column.alias(name) for name, column in columns.items()])


@dataclass(frozen=True)
class _Asked:
    """What the host says that it will do: what it predicts, which columns it is to be sent and what it writes of
    those. `is_object`: whether a prediction has fields, where somebody nests it."""

    predicted: pa.Schema
    sent: list[str]
    written: pa.Schema
    is_nested: bool
    is_object: bool


def _ask(here: list[str], table: pa.Schema, emit: str, kept: Sequence[str], to_folder: bool) -> _Asked:
    flat = told(here, table)
    sent = flat.read
    if to_folder:  # whoever finds a record there is to know which one it was
        sent = [name for name in table.names if name in {*flat.read, *kept}]
    if sent == flat.read and emit != "nest":
        return _Asked(flat.written, sent, flat.written, is_nested=False, is_object=False)
    nested = told([*here, *_NESTED], pa.schema([table.field(name) for name in sent]))
    is_object = pa.types.is_struct(nested.written.field("prediction").type)
    # What is no object may look like a row in a table, and is left as it is where it is nested.
    is_nested = sent != flat.read or not is_object
    return _Asked(flat.written, sent, nested.written if is_nested else flat.written, is_nested, is_object)


@dataclass(frozen=True)
class _Task:
    """What a task has to know. `fields`: those that become of the columns that the host writes."""

    tools: Tools
    flags: list[str]
    asked: _Asked
    fields: list[pa.Field]
    folder: str | None


def _scored(task: _Task) -> Callable[[Iterator[tuple[Any, ...]]], Iterator[Any]]:
    """The function that Spark runs on a partition's columns. By its types Spark knows what it is."""
    job = uuid.uuid4().hex[:12]

    def scored(batches: Iterator[tuple[pa.Array, ...]]) -> Iterator[pa.Array]:
        # One column comes as it is.
        given = (list(columns) if isinstance(columns, tuple) else [columns] for columns in batches)
        tables = (pa.RecordBatch.from_arrays(columns, task.asked.sent) for columns in given)
        rows = Rows(task.fields, task.asked.is_nested)
        binary, plugin = task.tools.found()
        command = [binary, "--plugin", plugin, *task.flags, *ARROW]
        if task.folder is None:
            yield from answered(command, tables, task.asked.written, rows, lambda line: None)
            return
        with _Rejects(task.folder, job) as rejects:
            yield from answered(command, tables, task.asked.written, rows, rejects.write)
            rejects.publish()

    return scored


class _Rejects:
    """The file of a partition's rejects in a shared folder: what its last attempt left, whole or not there.

    Renamed into place: attempts at once don't disturb each other, and one without rejects removes it."""

    def __init__(self, folder: str, job: str) -> None:
        context = TaskContext.get()
        self._folder = folder
        self._name = f"rejects-{job}-{context.partitionId() if context else 0:05}.ldjson"
        self._attempt = context.taskAttemptId() if context else os.getpid()
        self._lines = tempfile.TemporaryFile(prefix="etl-host-")

    def __enter__(self) -> "_Rejects":
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()

    def write(self, line: bytes) -> None:
        self._lines.write(line + b"\n")

    def publish(self) -> None:
        place = os.path.join(self._folder, self._name)
        if not self._lines.tell():
            Path(place).unlink(missing_ok=True)
            return
        hidden = os.path.join(self._folder, f".{self._name}.{self._attempt}")
        self._lines.seek(0)
        with open(hidden, "wb") as file:
            shutil.copyfileobj(self._lines, file, 1 << 20)
            file.flush()
            os.fsync(file.fileno())
        os.replace(hidden, place)
