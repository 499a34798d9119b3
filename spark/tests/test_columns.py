"""The columns of a scored DataFrame: every name and every type that a DataFrame may have is kept as it was, or
refused with a reason before anything runs."""

from collections.abc import Iterator

import cluster
import pytest
from conftest import RELEASE
from pyspark.ml.linalg import Vectors
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from etl_host_spark import Refused, score

FLOWER = "double(5.1) sepal_length, double(3.5) sepal_width, double(1.4) petal_length, double(0.2) petal_width"

TYPES = {
    "split": "split('a,b', ',')",
    "array_of_structs": "array(named_struct('a', 1, 'b', array('x')))",
    "struct": "named_struct('a', tinyint(1), 'b', date'2024-02-29')",
    "decimal": "cast(1.5 as decimal(38, 3))",
    "timestamp": "timestamp'2024-02-29 23:59:59.123456'",
    "timestamp_ntz": "timestamp_ntz'0001-01-01 00:00:00'",
    "collated": "'a' collate utf8_lcase",
    "not_a_number": "double('NaN')",
    "bytes": "X'ff'",
    "map": "map('k', 1)",
    "days_and_seconds": "interval '-1 2:03:04.5' day to second",
    "void": "null",
    "no_fields": "struct()",
    "variant": """parse_json('{"a": 1}')""",
    "time": "time'12:34:56'",
    "geometry": "st_geomfromwkb(X'0101000000000000000000F03F0000000000000040')",
    # Spark makes no Arrow of these.
    "months": "interval '14' month",
    "calendar_interval": "make_interval(1, 2)",
    "array_of_nothing": "array()",
    "fields_of_one_name": "struct(1 a, 2 a)",
}


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkSession]:
    session = cluster.start("local[1]")
    yield session
    session.stop()


@pytest.mark.parametrize("emit", ["prediction", "merge"])
@pytest.mark.parametrize("name", TYPES)
def test_any_type_is_kept_as_it_was(spark: SparkSession, binary: str, iris: str, name: str, emit: str) -> None:
    df = spark.sql(f"select {TYPES[name]} c, {FLOWER}")
    scored = score(df, iris, binary=binary, emit=emit, keep=["c"] if emit == "prediction" else [])
    assert scored.schema["c"] == df.schema["c"]
    text = "hex(st_asbinary(c))" if name == "geometry" else "c" if name == "bytes" else "to_json(struct(c))"
    rows = scored.where("_reject is null").selectExpr("species", text).collect()
    assert rows == df.selectExpr("'setosa' species", text).collect()


def test_a_user_defined_type_is_kept_as_it_was(spark: SparkSession, binary: str, iris: str) -> None:
    df = spark.createDataFrame([(Vectors.dense([1.0, 2.0]),)], ["c"]).selectExpr("c", *FLOWER.split(", "))
    [row] = score(df, iris, binary=binary, keep=["c"]).collect()
    assert row.c == Vectors.dense([1.0, 2.0]) and row.species == "setosa"


@pytest.mark.parametrize("sql", ["interval '14' month", "make_interval(1, 2)", "array()", "struct(1 a, 2 a)"])
def test_what_spark_makes_no_arrow_of_is_refused_where_it_is_read(spark: SparkSession, binary: str, sql: str) -> None:
    with pytest.raises(Refused, match="Spark makes no Arrow of the column a.b, which the host is to read: leave"):
        score(spark.sql(f"select 1 id, {sql} `a.b`"), str(RELEASE / "libbare.so"), binary=binary)


@pytest.mark.parametrize("emit", ["prediction", "merge"])
def test_any_name_is_a_name(spark: SparkSession, binary: str, iris: str, emit: str) -> None:
    names = ["a.b", "x`y", "id", "Id", "a,b", "-x", "", "Species", "c0"]
    df = spark.sql(f"select 1, 'x', 3, 4, 5, 6, 7, 8, 9, {FLOWER}")
    df = df.toDF(*names, *df.columns[len(names):])
    kept = names[::-1] if emit == "prediction" else []
    scored = score(df, iris, binary=binary, emit=emit, keep=kept)
    assert scored.columns == [*(kept or df.columns), "species", "_reject"]
    [row], [was] = scored.collect(), df.collect()
    assert dict(zip(scored.columns, row)) == {
        **{name: value for name, value in zip(df.columns, was) if name in (kept or df.columns)},
        "species": "setosa", "_reject": None}


def test_names_that_are_in_the_way_but_not_kept(spark: SparkSession, binary: str, iris: str) -> None:
    df = spark.sql(f"select 1 `a.b`, 2 `x``y`, 3 `a,b`, 4 Sepal_Length, 5 species, 6 c1, {FLOWER}")
    [row] = score(df, iris, binary=binary).collect()
    assert row.species == "setosa" and row._reject is None


@pytest.mark.parametrize("columns, keep, error, told", [
    ("1 id, 2 id", [], Refused, "two columns id, and the host could not tell them apart"),
    ("1 species", ["species"], Refused, "the model predicts species, and a column species is kept"),
    ("1 id", ["id", "id"], Refused, "id is twice among those to keep"),
    ("1 _Reject", ["_Reject"], Refused, "there is a column _reject already"),
    ("1 id", ["ID"], Refused, "no column ID to keep"),
])
def test_names_that_can_not_be_are_told_before_anything_runs(
    spark: SparkSession, binary: str, iris: str, columns: str, keep: list[str], error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        score(spark.sql(f"select {columns}, {FLOWER}"), iris, binary=binary, keep=keep)


def test_no_columns_are_refused(spark: SparkSession, binary: str, iris: str) -> None:
    with pytest.raises(Refused, match="without columns has nothing to score"):
        score(spark.sql(f"select {FLOWER}").select(), iris, binary=binary)


def test_rejects_stand_beside_what_is_kept(spark: SparkSession, binary: str, iris: str) -> None:
    df = spark.sql(f"select split('a,b', ',') `a.b`, {FLOWER}")
    df = df.withColumn("sepal_width", F.lit(None).cast("double"))
    [row] = score(df, iris, binary=binary, keep=["a.b"]).collect()
    assert row["a.b"] == ["a", "b"] and row.species is None and row._reject.path == "sepal_width"
