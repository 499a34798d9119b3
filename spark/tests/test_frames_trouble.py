"""score of a DataFrame where something goes wrong on the way: no wrong rows, no host that is left behind, and
nobody who waits for ever."""

import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import cluster
import pytest
from conftest import RELEASE
from pyspark.sql import DataFrame, SparkSession
from records import HANGS, WithRows, troubled
from test_files import parents

from etl_host_spark import HostFailed, score

FLOWER = ("double(5.1) sepal_length", "double(3.5) sepal_width", "double(1.4) petal_length",
          "double(0.2) petal_width")
ROWS = 20_000
PARTITIONS = 4


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkSession]:
    session = cluster.start()
    yield session
    session.stop()


@pytest.fixture(scope="module")
def df(spark: SparkSession) -> DataFrame:
    return flowers(spark, ROWS)


def flowers(spark: SparkSession, rows: int) -> DataFrame:
    return spark.range(0, rows, 1, PARTITIONS).selectExpr("id", "string(id) name", *FLOWER)


def check(scored: DataFrame) -> None:
    """Each row is there once, with its prediction."""
    assert sorted((row.id, row.species) for row in scored.collect()) == [(id, "setosa") for id in range(ROWS)]
    cluster.no_strays()


def test_paths_on_the_nodes_do_as_well(df: DataFrame, binary: str, iris: str) -> None:
    check(score(df, iris, binary=binary, keep=["id"], ship=False))


def test_who_wants_no_more_rows_ends_the_hosts(spark: SparkSession, binary: str, iris: str) -> None:
    """Of so many that no host comes to their end."""
    assert len(score(flowers(spark, 10**11), iris, binary=binary).limit(3).collect()) == 3
    cluster.no_strays()


@pytest.mark.parametrize("keeps", ["sepal_width", "sepal_width,petal_width"])
def test_a_host_that_writes_other_columns_fails_the_task_and_names_both(
    df: DataFrame, binary: str, iris: str, tmp_path: Path, keeps: str
) -> None:
    host = troubled(tmp_path, binary, WithRows(), f'exec {binary} "$@" --keep={keeps}')
    columns = "".join(rf"{name} \(double\), " for name in keeps.split(","))
    with pytest.raises(Exception, match=rf"writes the columns {columns}species \(string\) here, and on the driver "
                                        r"species \(string\): do the nodes have another plugin"):
        score(df, iris, binary=host, keep=["id"]).collect()
    cluster.no_strays()


@pytest.mark.parametrize("goes_on", ["", '>"${@: -1}"'], ids=["on_stdout", "with_rejects"])
def test_a_host_that_writes_no_arrow_and_goes_on_is_not_waited_for(
    df: DataFrame, binary: str, iris: str, tmp_path: Path, goes_on: str
) -> None:
    broken = r"printf '\xff\xff\xff\xff\x08\0\0\0no arrow'"
    host = troubled(tmp_path, binary, WithRows(), f"{broken}; exec -a etl-host yes {goes_on}")
    with pytest.raises(Exception, match="etl-host was ended by signal 13"):
        score(df, iris, binary=host).collect()
    cluster.no_strays()


def test_an_executor_that_is_killed_in_the_middle(df: DataFrame, binary: str, iris: str, tmp_path: Path) -> None:
    """One attempt has given all its rows, and does not come to its end."""
    hanging = tmp_path / "hanging"
    host = troubled(tmp_path, binary, WithRows(),
                    f'mkdir {tmp_path}/first 2>/dev/null && {{ {binary} "$@"; echo $$ > {hanging}; {HANGS}; }}')

    def kill() -> None:
        cluster.wait_until(lambda: hanging.exists() and hanging.read_text().strip(), 120)
        [executor] = set(parents(int(hanging.read_text()))) & set(cluster.executors())
        os.kill(executor, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    check(score(df, iris, binary=host, keep=["id"]))
    killer.join()
    cluster.wait_until(lambda: not Path(f"/proc/{hanging.read_text().strip()}").exists(), 30)
    assert len(os.listdir(tmp_path / "attempts")) > PARTITIONS


def test_a_job_that_is_cancelled_ends_its_hosts(
    spark: SparkSession, df: DataFrame, binary: str, iris: str, tmp_path: Path
) -> None:
    host = troubled(tmp_path, binary, WithRows(), HANGS)

    def cancel() -> None:
        cluster.wait_until(lambda: os.listdir(tmp_path / "attempts"), 120)
        spark.sparkContext.cancelAllJobs()

    canceller = threading.Thread(target=cancel)
    canceller.start()
    left = set(Path(tempfile.gettempdir()).glob("etl-host-*"))
    with pytest.raises(Exception, match="(?i)cancel"):
        score(df, iris, binary=host).collect()
    canceller.join()
    cluster.no_strays()
    assert {path for path in Path(tempfile.gettempdir()).glob("etl-host-*") if "spark" not in path.name} <= left


def test_weights_lie_beside_the_plugin_on_the_driver_too(spark: SparkSession, binary: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "factor.txt").write_text("3")
    df = spark.range(0, 100, 1, PARTITIONS).selectExpr("double(id) n")
    for more in ([], ["--isolate"]):
        scored = score(df, str(RELEASE / "libweights.so"), binary=binary, keep=["n"], options=more,
                       files=[str(tmp_path / "data")])
        assert [(row.n, row.y) for row in scored.sort("n").collect()] == [(n, 3 * n) for n in range(100)]
    with pytest.raises(HostFailed, match="data/factor.txt"):
        score(df, str(RELEASE / "libweights.so"), binary=binary)
