"""The columns of a scored DataFrame: every name and every type that a DataFrame may have, kept or not, comes
back as it was or is refused with a reason before anything runs."""

from collections.abc import Iterator

import cluster
import pytest
from pyspark.ml.linalg import Vectors
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from etl_host_spark import HostFailed, Refused, score

FLOWER = "double(5.1) sepal_length, double(3.5) sepal_width, double(1.4) petal_length, double(0.2) petal_width"

# SQL, and what it is when it comes back, where that is another type.
TYPES = {
    "split": ("split('a,b', ',')", None),
    "array": ("array(1, 2)", None),
    "array_of_structs": ("array(named_struct('a', 1, 'b', array('x')))", None),
    "struct": ("named_struct('a', tinyint(1), 'b', date'2024-02-29')", None),
    "decimal": ("cast(1.5 as decimal(38, 3))", None),
    "timestamp": ("timestamp'2024-02-29 23:59:59.123456'", None),
    "timestamp_ntz": ("timestamp_ntz'0001-01-01 00:00:00'", None),
    "collated": ("'a' collate utf8_lcase", None),
    "bytes": ("X'ff'", "string"),
    "map": ("map('k', 1)", "string"),
    "days": ("interval '1' day", "string"),
    "days_and_seconds": ("interval '-1 2:03:04.5' day to second", "string"),
    "void": ("null", "string"),
    "no_fields": ("struct()", "string"),
    "variant": ("""parse_json('{"a": 1}')""", "struct<value:string,metadata:string>"),
    "time": ("time'12:34:56'", "string"),
    "geometry": ("st_geomfromwkb(X'0101000000000000000000F03F0000000000000040')", "struct<srid:bigint,wkb:string>"),
    "days_in_array": ("array(interval '1' day)", "array<string>"),
    "bytes_in_struct": ("named_struct('bytes', X'ff', 'short', smallint(1), 'void', null)",
                        "struct<bytes:string,short:smallint,void:string>"),
}


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkSession]:
    session = cluster.start("local[1]")
    yield session
    session.stop()


@pytest.mark.parametrize("emit", ["prediction", "merge"])
@pytest.mark.parametrize("name", TYPES)
def test_a_type_comes_back_as_the_documentation_says(
    spark: SparkSession, binary: str, iris: str, name: str, emit: str
) -> None:
    sql, comes_back = TYPES[name]
    df = spark.sql(f"select {sql} c, {FLOWER}")
    scored = score(df, iris, binary=binary, emit=emit, keep=["c"] if emit == "prediction" else [])
    assert scored.schema["c"].dataType.simpleString() == (comes_back or df.schema["c"].dataType.simpleString())
    [row] = scored.collect()
    assert row.species == "setosa" and row._reject is None
    if comes_back is None:
        assert row.c == df.first().c


def test_a_user_defined_type_comes_back_as_what_it_is_made_of(spark: SparkSession, binary: str, iris: str) -> None:
    df = spark.createDataFrame([(Vectors.dense([1.0, 2.0]),)], ["c"]).selectExpr("c", *FLOWER.split(", "))
    [row] = score(df, iris, binary=binary, keep=["c"]).collect()
    assert row.c["values"] == [1.0, 2.0] and row.species == "setosa"


@pytest.mark.parametrize("sql", ["interval '14' month", "make_interval(1, 2)", "array()", "struct(1 a, 2 a)"])
def test_what_spark_makes_no_arrow_of_is_refused_by_its_name(
    spark: SparkSession, binary: str, iris: str, sql: str
) -> None:
    with pytest.raises(Refused, match="Spark makes no Arrow of the column a.b: leave it out, or cast it"):
        score(spark.sql(f"select {sql} `a.b`, {FLOWER}"), iris, binary=binary)


@pytest.mark.parametrize("emit", ["prediction", "merge"])
def test_any_name_is_a_name(spark: SparkSession, binary: str, iris: str, emit: str) -> None:
    names = ["a.b", "x`y", "id", "Id", "a b", "-x", "", "Species", "c0"]
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
    ("1 `a,b`, 2 a, 3 b", ["a,b"], Refused, "a,b can't be kept, as its name has a comma"),
    ("1 id, 2 id", [], Refused, "two columns id, and the host could not tell them apart"),
    ("1 species", ["species"], HostFailed, "`species` is in the record and in the prediction"),
    ("1 id", ["id", "id"], Refused, "the host keeps id, species, and not id, id first"),
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
    assert row["a.b"] is None and row.species is None and row._reject.path == "sepal_width"
