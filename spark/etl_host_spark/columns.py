"""The columns of a DataFrame as the host gets them, and the types of those that come back.

Spark finds a column by its name, in which dots and backticks mean something and case does not; to the host a
name is a text like any other. So Spark sees numbered columns (`c0`, `c1`, …), and the host the true names.

The host makes text of dates and decimals, long integers of short ones, and of values that can't be null such
as can. What is kept is cast back, as deep as it goes. Where no cast reads what the host wrote (base64 of bytes,
JSON of maps, day-time intervals, what has no values or is Spark's own), the host's type stays.
"""

import io
from collections.abc import Iterable, Sequence

import pyarrow as pa
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql.types import (ArrayType, BooleanType, DataType, DateType, NumericType, StringType,
                               StructField, StructType, TimestampNTZType, TimestampType)

from .host import Refused, ask

ARROW = ("--input-format", "arrow-stream", "--output-format", "arrow-stream", "-i", "-", "-o", "-", "--quiet")
_READ_BACK = (BooleanType, DateType, NumericType, StringType, TimestampNTZType, TimestampType)


def refuse_names(there: Sequence[str], keep: Sequence[str]) -> None:
    """What the host could not tell apart, or what can't be said on its command line."""
    if not there:
        raise Refused("a DataFrame without columns has nothing to score")
    twice = next((name for n, name in enumerate(there) if name in there[:n]), None)
    if twice is not None:
        raise Refused(f"there are two columns {twice}, and the host could not tell them apart: rename one")
    for name in keep:
        if name not in there:
            raise Refused(f"no column {name} to keep: there are {', '.join(there)}")
        if "," in name:
            raise Refused(f"{name} can't be kept, as its name has a comma: rename it")


def numbered(count: int) -> list[str]:
    return [f"c{n}" for n in range(count)]


def named(schema: pa.Schema, names: Iterable[str]) -> pa.Schema:
    return pa.schema([field.with_name(name) for field, name in zip(schema, names)])


def given(df: DataFrame, names: Sequence[str]) -> pa.Schema:
    """The columns as the host will get them, by these names. Spark plans no task for that."""
    try:
        return named(df.limit(0).toArrow().schema, names)
    except (PySparkException, ValueError) as error:
        if len(names) == 1:
            raise Refused(f"Spark makes no Arrow of the column {names[0]}: leave it out, or cast it") from error
        for name, column in zip(names, df.columns):
            given(df.select(column), [name])
        raise


def written(command: Sequence[str], given: pa.Schema) -> pa.Schema:
    """The columns that the host will write of such a table: it is asked with one that has no rows."""
    table = io.BytesIO()
    pa.ipc.new_stream(table, given).close()
    with pa.ipc.open_stream(ask([*command, *ARROW], table.getvalue())) as answer:
        return answer.schema


def as_it_was(was: DataType | None, now: DataType) -> DataType:
    """The type to cast to. All of it may be null, as all that the host writes."""
    if isinstance(was, StructType) and isinstance(now, StructType) and len(was) == len(now):
        fields = zip(was.fields, now.fields)
        return StructType([StructField(a.name, as_it_was(a.dataType, b.dataType)) for a, b in fields])
    if isinstance(was, ArrayType) and isinstance(now, ArrayType):
        return ArrayType(as_it_was(was.elementType, now.elementType))
    return was if isinstance(was, _READ_BACK) else now
