"""score_files on a cluster: its folder is what one machine writes, whatever happens to tasks and executors."""

import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import cluster
import pytest
from pyspark.sql import SparkSession
from records import (DIES, FAILS, FAILS_THREE_TIMES, HANGS, HANGS_AT_FIRST, RECORDS, lines, of_parts, on_one_machine,
                     rows, troubled)

from etl_host_spark import CommitRefused, OutputExists, Refused, score_files
from etl_host_spark.splits import plan


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkSession]:
    session = cluster.start()
    yield session
    session.stop()


class Files:
    """Inputs of `RECORDS` records, what one machine makes of them, and a size that gives some 20 splits."""

    def __init__(self, folder: Path, binary: str, iris: str) -> None:
        self.inputs = [str(folder / name) for name in ("first.ldjson", "second.ldjson")]
        for seed, path in enumerate(self.inputs):
            Path(path).write_text(lines(seed, RECORDS // 2))
        self.binary, self.iris = binary, iris
        self.size = str(sum(map(os.path.getsize, self.inputs)) // 20)
        self.expected = on_one_machine(binary, iris, self.inputs, folder / "one")
        self.planned = plan(binary, self.inputs, self.size, [])

    def check(self, spark: SparkSession, output: Path, binary: str | None = None, **options: object) -> None:
        """Scores them on the cluster, in the same way as one machine."""
        scored = score_files(spark, self.inputs, str(output), self.iris, binary=binary or self.binary,
                             split_size=self.size, **options)  # type: ignore[arg-type]
        one_output, one_rejects, one_counts = self.expected
        assert scored.splits == len(self.planned) > 19
        assert scored.counts == one_counts
        assert of_parts(str(output)) == one_output
        assert (output / "_rejects.ldjson").read_bytes() == one_rejects
        assert json.loads((output / "_summary.json").read_bytes())["counts"] == one_counts
        names = {path.name for path in output.iterdir() if not path.name.startswith("part-")}
        assert names == {"_SUCCESS", "_manifest.json", "_rejects.ldjson", "_summary.json"}
        cluster.no_strays()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, binary: str, iris: str) -> Files:
    return Files(tmp_path_factory.mktemp("files"), binary, iris)


def test_the_parts_are_the_bytes_of_one_machine(spark: SparkSession, files: Files, tmp_path: Path) -> None:
    files.check(spark, tmp_path / "out")
    with pytest.raises(OutputExists):
        files.check(spark, tmp_path / "out")


def test_rows_with_line_feeds_in_them_too(spark: SparkSession, binary: str, iris: str, tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text(rows(7, RECORDS // 10))
    output, rejects, counts = on_one_machine(binary, iris, [str(path)], tmp_path / "one", "--keep", "note")
    scored = score_files(spark, str(path), str(tmp_path / "out"), iris, binary=binary, options=["--keep", "note"],
                         split_size=str(path.stat().st_size // 7))
    assert scored.splits > 6 and scored.counts == counts
    assert of_parts(str(tmp_path / "out")) == output
    assert (tmp_path / "out" / "_rejects.ldjson").read_bytes() == rejects


def test_paths_on_the_nodes_do_as_well(spark: SparkSession, files: Files, tmp_path: Path) -> None:
    files.check(spark, tmp_path / "out", ship=False)


def test_a_task_that_fails_three_times(spark: SparkSession, files: Files, tmp_path: Path) -> None:
    host = troubled(tmp_path, files.binary, files.planned[5], FAILS_THREE_TIMES)
    files.check(spark, tmp_path / "out", host)
    assert len(os.listdir(tmp_path / "attempts")) == 4


@pytest.mark.parametrize("trouble, told", [(FAILS, "ended with exit code 5: error: made to fail"),
                                           (DIES, "was ended by signal 11")])
def test_a_task_that_always_fails_tells_why_and_nothing_is_published(
    spark: SparkSession, files: Files, tmp_path: Path, trouble: str, told: str
) -> None:
    host = troubled(tmp_path, files.binary, files.planned[5], trouble)
    with pytest.raises(Exception, match=f"etl-host {told}"):
        files.check(spark, tmp_path / "out", host)
    assert list((tmp_path / "out").iterdir()) == []
    cluster.no_strays()


def parents(pid: int) -> Iterator[int]:
    while pid > 1:
        yield pid
        pid = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


def test_an_executor_that_is_killed_in_the_middle(spark: SparkSession, files: Files, tmp_path: Path) -> None:
    host = troubled(tmp_path, files.binary, files.planned[5], HANGS_AT_FIRST)

    def kill() -> None:
        cluster.wait_until(lambda: os.listdir(tmp_path / "attempts"), 120)
        [hanging] = map(int, os.listdir(tmp_path / "attempts"))
        [executor] = set(parents(hanging)) & set(cluster.executors())
        os.kill(executor, signal.SIGKILL)
        killed.append(hanging)

    killed: list[int] = []
    killer = threading.Thread(target=kill)
    killer.start()
    files.check(spark, tmp_path / "out", host)
    killer.join()
    assert killed and killed[0] not in cluster.hosts()  # whose entry may wait for init to look after it


def test_a_job_that_is_cancelled_ends_its_processes(spark: SparkSession, files: Files, tmp_path: Path) -> None:
    host = troubled(tmp_path, files.binary, files.planned[5], HANGS)

    def cancel() -> None:
        cluster.wait_until(lambda: os.listdir(tmp_path / "attempts"), 120)
        spark.sparkContext.cancelAllJobs()

    canceller = threading.Thread(target=cancel)
    canceller.start()
    with pytest.raises(Exception, match="(?i)cancel"):
        files.check(spark, tmp_path / "out", host)
    canceller.join()
    assert list((tmp_path / "out").iterdir()) == []
    cluster.no_strays()


def test_more_rejects_than_the_whole_job_may_have(spark: SparkSession, files: Files, tmp_path: Path) -> None:
    with pytest.raises(CommitRefused, match="records were rejected, at most 3 may be"):
        files.check(spark, tmp_path / "out", max_rejects=3)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("change, told", [
    ({"inputs": "in.ldjson"}, "relative"),
    ({"output": "file:///out"}, "a commit is made in a store, and `/out/` is in none"),
    ({"options": ["--resume"]}, "--resume can't be among the options"),
    ({"options": ["--range=0:1"]}, "--range can't be among the options"),
    ({"binary": "no-such-program"}, "no program no-such-program here"),
    ({"plugin": "/etc/hostname"}, "/etc/hostname: "),
    ({"output_format": "xlsx"}, "no output is called xlsx"),
])
def test_what_can_not_be_is_refused_before_a_task_runs(
    spark: SparkSession, files: Files, tmp_path: Path, change: dict[str, object], told: str
) -> None:
    wanted = {"inputs": files.inputs, "output": str(tmp_path / "out"), "plugin": files.iris, "binary": files.binary}
    with pytest.raises(Refused, match=told):
        score_files(spark, **{**wanted, **change})  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()
