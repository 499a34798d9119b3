"""score of a DataFrame: the same predictions as of files, whatever its columns are, and rejects where they
were asked for. And plain `rdd.pipe`, which needs nothing of this package."""

import datetime
import decimal
import json
import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import cluster
import pyarrow as pa
import pytest
from conftest import RELEASE
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from records import SIZES, WithRows, lines, of_parts, on_one_machine, troubled

from etl_host_spark import HostFailed, Refused, score, score_files

ROWS = 5000
PARTITIONS = 4
COLUMNS = """id long, name string, short short, float float, yes boolean, day date, at timestamp,
    price decimal(9,2), bytes binary, list array<int>, deep struct<a: int, b: array<struct<c: string>>>,
    counts map<string, int>, sepal_length double, sepal_width double, petal_length int, petal_width float"""


def rows() -> list[tuple[object, ...]]:
    chance = random.Random(3)
    maybe = lambda value: None if chance.random() < 0.1 else value
    day = datetime.datetime(2024, 2, 29, 23, 59, 59, 123456)
    return [(number, maybe('a "text"\n\u00e9\U0001f33c'), maybe(-number), maybe(0.1), maybe(True),
             maybe(day.date()), maybe(day), maybe(decimal.Decimal("12.50")), maybe(b"\xff"), maybe([1, None]),
             maybe((1, [{"c": "x"}, None])), maybe({"k": 1}), chance.uniform(0.1, 8),
             maybe(chance.uniform(0.1, 8)), chance.randrange(1, 8), 0.25) for number in range(ROWS)]


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkSession]:
    session = cluster.start()
    yield session
    session.stop()


@pytest.fixture(scope="module")
def df(spark: SparkSession) -> DataFrame:
    return spark.createDataFrame(rows(), COLUMNS).repartition(PARTITIONS, "id").cache()


def test_predictions_are_those_of_the_file_form(
    spark: SparkSession, df: DataFrame, binary: str, iris: str, tmp_path: Path
) -> None:
    folder = str(tmp_path / "json")
    df.select("id", *SIZES).write.json(folder, ignoreNullFields=False)
    score_files(spark, f"{folder}/*.json", str(tmp_path / "out"), iris, binary=binary, options=["--keep", "id"])
    of_files = {(told["id"], told["species"]) for told in map(json.loads, of_parts(str(tmp_path / "out")).splitlines())}
    scored = score(df, iris, binary=binary, keep=["id"])
    good, bad = scored.where("_reject is null").collect(), scored.where("_reject is not null").collect()
    assert {(row.id, row.species) for row in good} == of_files and len(good) == len(of_files)
    of_rejects = [json.loads(line) for line in (tmp_path / "out" / "_rejects.ldjson").read_bytes().splitlines()]
    told_of = {json.loads(it["record"])["id"]: (it["step"], it["kind"], it["path"]) for it in of_rejects}
    assert {row.id: (row._reject.step, row._reject.kind, row._reject.path) for row in bad} == told_of
    assert all(row._reject.message.startswith("invalid type: null, expected f64") for row in bad)
    assert all(row.species is None and json.loads(row._reject.record).keys() == set(SIZES) for row in bad)
    assert len(good) + len(bad) == ROWS and len(bad) > ROWS / 20
    cluster.no_strays()


def test_what_is_kept_is_as_it_was_rejected_or_not(df: DataFrame, binary: str, iris: str) -> None:
    df = df.withColumns({"words": F.split("name", '"'), "pair": F.struct("id", "day"), "nan": F.lit(float("nan"))})
    for scored in (score(df, iris, binary=binary, emit="merge"), score(df, iris, binary=binary, keep=df.columns)):
        assert scored.schema[:len(df.columns)] == df.schema
        assert list(map(str, scored.select(df.columns).collect())) == list(map(str, df.collect()))


@pytest.mark.parametrize("emit, expected", [
    ("prediction", ["species", "_reject"]),
    ("merge", ["id", "name", "species", "_reject"]),
    ("nest", ["input", "prediction", "_reject"]),
])
def test_the_columns_are_the_schemas(df: DataFrame, binary: str, iris: str, emit: str, expected: list[str]) -> None:
    scored = score(df, iris, binary=binary, emit=emit)
    assert [name for name in scored.columns if name in expected] == expected
    assert scored.count() == ROWS


@pytest.mark.parametrize("emit, keep, columns", [
    ("prediction", [], ["species"]),
    ("prediction", ["a,b", "id"], ["a,b", "id", "species"]),
    ("merge", [], ["id", "a,b", *SIZES, "species"]),
    ("nest", [], ["input", "prediction"]),
])
def test_rejects_in_a_folder_are_those_of_the_last_attempt(
    df: DataFrame, binary: str, iris: str, tmp_path: Path, emit: str, keep: list[str], columns: list[str]
) -> None:
    df = df.select("id", F.col("name").alias("a,b"), *SIZES)
    scored = score(df, iris, binary=binary, emit=emit, keep=keep, rejects=str(tmp_path))
    assert scored.columns == columns
    bad = df.where("sepal_width is null").select("id", "a,b").collect()
    for _ in range(2):  # computed twice, and there once
        assert scored.count() == ROWS - len(bad)
        told = [json.loads(line) for path in tmp_path.iterdir() for line in path.read_bytes().splitlines()]
        assert len(told) == len(bad)
    if columns != ["species"]:
        records = [json.loads(reject["record"]) for reject in told]
        assert {(it["id"], it["a,b"]) for it in records} == set(map(tuple, bad))
    assert not [row for row in scored.collect() if None in row[-1:]]


def test_nested_is_the_row_and_its_prediction(df: DataFrame, binary: str, iris: str) -> None:
    [row] = score(df.where("id = 1"), iris, binary=binary, emit="nest").collect()
    assert row.input == df.where("id = 1").first() and row.prediction.asDict().keys() == {"species"}
    [row] = score(df.where("sepal_width is null").limit(1), iris, binary=binary, emit="nest").collect()
    assert row.input.sepal_width is None and row.prediction is None and row._reject.path == "sepal_width"


def test_a_bare_prediction_is_the_column_prediction(spark: SparkSession, binary: str) -> None:
    df = spark.range(3).selectExpr("double(id) n")
    numbers = partial(score, df, str(RELEASE / "libmisbehaving.so"), "number", binary=binary)
    assert [row.prediction for row in numbers().collect()] == [0, 1, 2]
    assert [tuple(row)[:2] for row in numbers(emit="nest").collect()] == [((0,), 0), ((1,), 1), ((2,), 2)]
    assert [tuple(row)[:2] for row in numbers(emit="merge").collect()] == [(0, 0), (1, 1), (2, 2)]


def test_a_bare_prediction_in_a_folder_too(spark: SparkSession, binary: str, tmp_path: Path) -> None:
    df = spark.sql("select * from values ('a', 1.5D), ('b', null), ('c', 2.5D) as t(id, n)")
    scored = score(df, str(RELEASE / "libmisbehaving.so"), "number", binary=binary, keep=["id"], rejects=str(tmp_path))
    assert list(map(tuple, scored.sort("id").collect())) == [("a", 1.5), ("c", 2.5)]
    [reject] = [json.loads(path.read_bytes()) for path in tmp_path.iterdir()]
    assert json.loads(reject["record"]) == {"id": "b", "n": None}


def test_what_is_no_object_is_nested_as_it_is(spark: SparkSession, binary: str) -> None:
    df = spark.sql("select named_struct('prediction', 5) say")
    [row] = score(df, str(RELEASE / "libmisbehaving.so"), "says", binary=binary, emit="nest").collect()
    assert row.prediction == '{"prediction":5}'


def test_a_config_may_be_a_file_of_the_driver(spark: SparkSession, binary: str, tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text('{"sleep_ms": 1}')
    scored = score(spark.sql("select 1.5D n"), str(RELEASE / "libmisbehaving.so"), "acts", binary=binary,
                   config=f"@{config}")
    config.unlink()
    assert scored.first().y == 1.5


def test_batches_of_any_size(spark: SparkSession, df: DataFrame, binary: str, iris: str) -> None:
    setting = "spark.sql.execution.arrow.maxRecordsPerBatch"
    for size in ("0", "1", "7"):
        spark.conf.set(setting, size)
        try:
            assert score(df.limit(100), iris, binary=binary).where("species is not null").count() > 50
        finally:
            spark.conf.unset(setting)


def test_a_stream_is_scored_too(
    spark: SparkSession, df: DataFrame, binary: str, iris: str, tmp_path: Path
) -> None:
    given = df.select("id", *SIZES)
    given.write.parquet(str(tmp_path / "in"))
    stream = spark.readStream.schema(given.schema).parquet(str(tmp_path / "in"))
    scored = score(stream, iris, binary=binary, keep=["id"])
    query = scored.writeStream.format("memory").queryName("scored").trigger(availableNow=True).start()
    assert query.awaitTermination(120)
    told = sorted(spark.table("scored").select("id", "species", "_reject").collect())
    assert told == sorted(score(given, iris, binary=binary, keep=["id"]).collect())


def test_a_model_that_names_no_fields_gets_all_columns(spark: SparkSession, binary: str) -> None:
    df = spark.sql("select 1 a, 'xy' b")
    [row] = score(df, str(RELEASE / "libbare.so"), binary=binary, keep=["b"]).collect()
    assert (row.b, json.loads(row.prediction)) == ("xy", {"bytes": len('{"a":1,"b":"xy"}')})


def test_what_was_scored_can_be_scored_again(df: DataFrame, binary: str, iris: str) -> None:
    once = score(df, iris, binary=binary, emit="merge").where("_reject is null").drop("_reject")
    twice = score(once.withColumnRenamed("species", "first"), iris, binary=binary, keep=["id", "first"])
    assert twice.where("_reject is null and first = species").count() == df.where("sepal_width is not null").count()


def test_the_model_is_asked_once_for_each_row(
    df: DataFrame, binary: str, iris: str, tmp_path: Path
) -> None:
    """However many columns are wanted, and whatever is filtered by."""
    host = troubled(tmp_path, binary, WithRows(), "true")
    scored = score(df, iris, binary=host, keep=["id"])
    wanted = scored.where("species = 'setosa' and _reject is null and id > 5").where("id < 4000")
    wanted.selectExpr("id", "species", "upper(species)", "_reject.kind", "_reject.message").collect()
    assert len(list((tmp_path / "attempts").iterdir())) == PARTITIONS


def test_no_rows_and_empty_partitions(spark: SparkSession, df: DataFrame, binary: str, iris: str) -> None:
    assert score(df.where("id < 0"), iris, binary=binary).collect() == []
    assert score(df.where("id < 2").repartition(6), iris, binary=binary).count() == 2


@pytest.mark.parametrize("change, error, told", [
    ({"keep": ["no_column"]}, Refused, "no column no_column to keep"),
    ({"emit": "all"}, Refused, "emit is prediction, merge or nest, and not all"),
    ({"emit": "merge", "keep": ["id"]}, Refused, "keep goes with emit='prediction': merge keeps all"),
    ({"model": "rose_model"}, HostFailed, "rose_model"),
    ({"options": ["--no-such-flag"]}, HostFailed, "exit code 2"),
    ({"options": ["--emit=merge"]}, Refused, "--emit can't be among"),
    *(({"options": [option]}, Refused, f"{option.split('=')[0]} can't be among") for option in (
        "--place", "-q", "--quiet", "--services=lake.toml", "-b", "--bucket=lake", "--hold=held.json", "--input=x")),
    ({"options": "--isolate"}, Refused, r"options is a list of texts: \['--isolate'\]"),
    ({"keep": "id"}, Refused, r"keep is a list of texts: \['id'\]"),
    ({"files": "/etc/hostname"}, Refused, r"files is a list of texts"),
    ({"rejects": "here"}, Refused, "folder given from `/`"),
    ({"ship": True, "files": ["/no/such/file"]}, Refused, "no file /no/such/file"),
])
def test_what_can_not_be_is_told_before_anything_runs(
    df: DataFrame, binary: str, iris: str, change: dict[str, object], error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        score(df, iris, **{"binary": binary, **change})  # type: ignore[arg-type]


def test_a_column_that_the_model_needs_is_missed_before_anything_runs(df: DataFrame, binary: str, iris: str) -> None:
    with pytest.raises(HostFailed, match="petal_width"):
        score(df.drop("petal_width"), iris, binary=binary)


# Rows go, then the host says why it can't go on; with no row it behaves, as it is asked for its columns.
DIES_ON_ROWS = "head -c 1000 > /dev/null; echo 'error: made to fail' >&2; exit 5"


def test_a_host_that_fails_fails_the_task_with_its_words(df: DataFrame, binary: str, iris: str, tmp_path: Path) -> None:
    host = troubled(tmp_path, binary, WithRows(), DIES_ON_ROWS)
    with pytest.raises(Exception, match="etl-host ended with exit code 5: error: made to fail"):
        score(df, iris, binary=host).collect()
    cluster.no_strays()


def test_an_error_of_who_makes_the_rows_is_told_as_it_is(df: DataFrame, binary: str, iris: str) -> None:
    def breaks(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield from batches
        raise ValueError("no more rows to be had")

    with pytest.raises(Exception, match="no more rows to be had"):
        score(df.mapInArrow(breaks, df.schema), iris, binary=binary).collect()
    cluster.no_strays()


def test_plain_pipes_work_too(spark: SparkSession, binary: str, iris: str, tmp_path: Path) -> None:
    path = tmp_path / "in.ldjson"
    path.write_text(lines(5, 3000))
    text = spark.sparkContext.textFile(str(path), 5)
    command = f"{binary} --plugin {iris} -i - -o - --quiet"
    output, _, _ = on_one_machine(binary, iris, [str(path)], tmp_path / "one")
    assert text.pipe(command).collect() == output.decode().splitlines()
    assert text.pipe(f"sh -c '{command}; test $? -le 1'", checkCode=True).collect() == output.decode().splitlines()
    with pytest.raises(Exception, match="error code 1"):
        text.pipe(f"sh -c '{command} --no-such-flag; test $? -le 1'", checkCode=True).collect()
