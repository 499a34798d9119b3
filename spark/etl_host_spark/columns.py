"""The columns of a DataFrame as the host gets them, and what it says of them.

Spark finds a column by its name, in which dots and backticks mean something and case does not; to the host a
name is a text like any other. So Spark sees numbered columns (`c0`, `c1`, …), and the host the true names.

What the model does not read stays in Spark. Which columns it reads, and which it predicts, the host says: it
is asked on the driver, with a table of no rows.
"""

import io
import json
import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import NullType, StructField, StructType

from .host import Refused, ask

ARROW = ("--input-format", "arrow-stream", "--output-format", "arrow-stream", "-i", "-", "-o", "-", "--quiet")


def refuse_names(there: Sequence[str], keep: Sequence[str]) -> None:
    """What could not be told apart, by the host or later, and what is not there."""
    if not there:
        raise Refused("a DataFrame without columns has nothing to score")
    twice = next((name for n, name in enumerate(there) if name in there[:n]), None)
    if twice is not None:
        raise Refused(f"there are two columns {twice}, and the host could not tell them apart: rename one")
    for name in keep:
        if name not in there:
            raise Refused(f"no column {name} to keep: there are {', '.join(there)}")
        if keep.count(name) > 1:
            raise Refused(f"{name} is twice among those to keep")


def numbered(count: int) -> list[str]:
    return [f"c{n}" for n in range(count)]


def named(schema: pa.Schema, names: Iterable[str]) -> pa.Schema:
    return pa.schema([field.with_name(name) for field, name in zip(schema, names)])


def given(spark: SparkSession, columns: StructType) -> pa.Schema:
    """Columns as Arrow; of type null where Spark makes no Arrow of them. No task runs."""
    try:
        numbers = StructType([StructField(f"c{n}", it.dataType) for n, it in enumerate(columns)])
        return named(spark.createDataFrame([], numbers).toArrow().schema, columns.names)
    except (PySparkException, ValueError):
        if len(columns) == 1:
            return pa.schema([pa.field(columns.names[0], pa.null())])
        half = len(columns) // 2
        halves = (StructType(fields) for fields in (columns.fields[:half], columns.fields[half:]))
        return pa.schema([field for columns in halves for field in given(spark, columns)])


@dataclass(frozen=True)
class Told:
    """What the host says of such a table: the columns that it would write, and those that it would read."""

    written: pa.Schema
    read: list[str]


def told(command: Sequence[str], given: pa.Schema) -> Told:
    table = io.BytesIO()
    pa.ipc.new_stream(table, given).close()
    with tempfile.TemporaryDirectory(prefix="etl-host-") as folder:
        summary = os.path.join(folder, "summary.json")
        answer = ask([*command, *ARROW, "--summary", summary], table.getvalue())
        with open(summary, "rb") as file:
            fields = json.load(file)["inputs"][0].get("fields", given.names)
    read = [name for name in given.names if name in fields]
    if not read:  # a table has rows by its columns
        read = [field.name for field in given if not pa.types.is_null(field.type)][:1] or given.names[:1]
    with pa.ipc.open_stream(answer) as stream:
        return Told(stream.schema, read)


def refuse_unread(df: DataFrame, given: pa.Schema, read: Iterable[str]) -> None:
    """Columns that Spark can't hand out."""
    for name, kind in zip(given.names, df.schema):
        if name in read and pa.types.is_null(given.field(name).type) and not isinstance(kind.dataType, NullType):
            raise Refused(f"Spark makes no Arrow of the column {name}, which the host is to read: leave it out, "
                          "or cast it")
