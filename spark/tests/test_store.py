"""score_files into a store: its folder is what one machine writes, whatever happens to tasks and drivers."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import cluster
import pytest
from pyspark.sql import SparkSession
from records import FAILS, FAILS_THREE_TIMES, HANGS_AT_FIRST, RECORDS, lines, on_one_machine, troubled
from s3 import BUCKET, Server, allowed, serve

from etl_host_spark import (CommitRefused, HostFailed, OutputExists, Refused, UnfinishedCommit, finish, score_files)
from etl_host_spark.splits import plan
from etl_host_spark.store import Store


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(tmp_path_factory.mktemp("s3")) as server, allowed(server):
        yield server


@pytest.fixture(scope="module")
def spark(server: Server) -> Iterator[SparkSession]:
    session = cluster.start(environment=server.environment)
    yield session
    session.stop()


class Objects:
    """Inputs of `RECORDS` records, what one machine makes of them, and a size that gives some 20 splits."""

    def __init__(self, server: Server, folder: Path, binary: str, iris: str) -> None:
        self.server, self.binary, self.iris = server, binary, iris
        texts = [lines(seed, RECORDS // 2).encode() for seed in range(2)]
        self.inputs = [f"s3://{BUCKET}/in/{seed}.ldjson" for seed in range(2)]
        for seed, text in enumerate(texts):
            server.put(f"in/{seed}.ldjson", text)
        self.size = str(sum(map(len, texts)) // 20)
        self.expected = on_one_machine(binary, iris, self.inputs, folder / "one")
        self.planned = plan(binary, self.inputs, self.size, [])

    def score(self, spark: SparkSession, name: str, binary: str | None = None, **options: object) -> dict[str, int]:
        scored = score_files(spark, f"s3://{BUCKET}/in/", f"s3://{BUCKET}/{name}", self.iris,
                             binary=binary or self.binary, split_size=self.size, **options)  # type: ignore[arg-type]
        assert scored.splits == len(self.planned) > 19
        return scored.counts

    def is_whole(self, name: str) -> None:
        output, rejects, counts = self.expected
        names = self.server.names(name)
        parts = [part for part in names if part.startswith("part-")]
        assert len(parts) == len(self.planned)
        assert b"".join(self.server.get(f"{name}/{part}") for part in parts) == output
        assert self.server.get(f"{name}/_rejects.ldjson") == rejects
        assert json.loads(self.server.get(f"{name}/_summary.json"))["counts"] == counts
        job = json.loads(self.server.get(f"{name}/_manifest.ldjson").splitlines()[0])["job"]
        # An attempt of a job that failed before may have ended behind that.
        of_others = {found for found in names if found.startswith("_temporary/") and job not in found}
        others = set(names) - set(parts) - of_others
        assert others == {"_SUCCESS", "_manifest.ldjson", "_rejects.ldjson", "_summary.json"}
        cluster.no_strays()

    def is_empty(self, name: str) -> None:
        assert [found for found in self.server.names(name) if not found.startswith("_temporary/")] == []
        cluster.no_strays()

    def check(self, spark: SparkSession, name: str, binary: str | None = None, **options: object) -> None:
        assert self.score(spark, name, binary, **options) == self.expected[2]
        self.is_whole(name)


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory, server: Server, binary: str, iris: str) -> Objects:
    return Objects(server, tmp_path_factory.mktemp("objects"), binary, iris)


def test_the_parts_are_the_bytes_of_one_machine(spark: SparkSession, objects: Objects) -> None:
    objects.check(spark, "plain")
    with pytest.raises(OutputExists, match="holds _SUCCESS already"):
        objects.check(spark, "plain")


def test_a_file_of_services_travels_and_tells_where_the_store_is(
    spark: SparkSession, objects: Objects, tmp_path: Path
) -> None:
    services = tmp_path / "services.toml"
    services.write_text(f'[lake]\nkind = "s3"\nbucket = "{BUCKET}"\n')
    scored = score_files(spark, ["lake://in/0.ldjson", "lake://in/1.ldjson"], "lake://of/services", objects.iris,
                         binary=objects.binary, split_size=objects.size, services=str(services))
    assert scored.counts == objects.expected[2]
    parts = [name for name in objects.server.names("of/services") if name.startswith("part-")]
    assert b"".join(objects.server.get(f"of/services/{part}") for part in parts) == objects.expected[0]
    finish("lake://of/services", binary=objects.binary, services=str(services))


def test_a_task_that_fails_three_times(spark: SparkSession, objects: Objects, tmp_path: Path) -> None:
    host = troubled(tmp_path, objects.binary, objects.planned[5], FAILS_THREE_TIMES)
    objects.check(spark, "fails", host)
    assert len(os.listdir(tmp_path / "attempts")) == 4


def test_a_task_that_always_fails_leaves_nothing_to_be_seen(
    spark: SparkSession, objects: Objects, tmp_path: Path
) -> None:
    host = troubled(tmp_path, objects.binary, objects.planned[5], FAILS)
    with pytest.raises(Exception, match="etl-host ended with exit code 5: error: made to fail"):
        objects.check(spark, "always-fails", host)
    objects.is_empty("always-fails")
    objects.check(spark, "always-fails")


def test_more_rejects_than_the_whole_job_may_have(spark: SparkSession, objects: Objects) -> None:
    with pytest.raises(CommitRefused, match="records were rejected, at most 3 may be"):
        objects.check(spark, "rejects", max_rejects=3)
    assert objects.server.names("rejects") == []


def dies_in_its_commit(folder: Path, binary: str) -> str:
    """A host that dies with its driver when that commits; the steps are in the file `steps`."""
    script = folder / "etl-host"
    script.write_text(f"""#!/bin/bash
if [[ $1 = commit ]]; then
    [[ -e {folder}/steps ]] && exit 9
    [[ $2 != --check ]] && {{ cat > {folder}/steps; exit 9; }}
fi
exec {binary} "$@"
""")
    script.chmod(0o755)
    return str(script)


def test_a_driver_that_dies_behind_the_manifest(spark: SparkSession, objects: Objects, tmp_path: Path) -> None:
    output = f"s3://{BUCKET}/dies"
    with pytest.raises(HostFailed, match="exit code 9"):
        objects.check(spark, "dies", dies_in_its_commit(tmp_path, objects.binary))
    objects.is_empty("dies")
    with pytest.raises(CommitRefused, match="no commit was begun there"):
        finish(output, binary=objects.binary)
    objects.server.put("dies/_manifest.ldjson", (tmp_path / "steps").read_bytes())
    with pytest.raises(UnfinishedCommit):
        objects.check(spark, "dies")
    finish(output, binary=objects.binary)
    objects.is_whole("dies")
    finish(output, binary=objects.binary)
    objects.is_whole("dies")


def test_a_late_attempt_is_not_seen(spark: SparkSession, objects: Objects) -> None:
    objects.check(spark, "late")
    first = objects.server.get("late/_manifest.ldjson").splitlines()[0]
    job = Store(f"s3://{BUCKET}/late/", json.loads(first)["job"], len(objects.planned), ".ldjson", objects.binary, [])
    with job.attempt(5, "late") as late:
        command = [objects.binary, "--plugin", objects.iris, *objects.planned[5].options(), *late.options()]
        done = subprocess.run([*command, "--quiet", "--emit", "merge"], check=False)
        assert done.returncode in (0, 1) and late.left()["ticket"]["bytes"] > 0
    finish(job.output, binary=objects.binary)
    objects.is_whole("late")


def test_of_two_jobs_on_a_folder_one_commits(
    spark: SparkSession, objects: Objects, tmp_path: Path
) -> None:
    output, host = f"s3://{BUCKET}/two", tmp_path / "etl-host"
    # Behind the first look, and before its own commit, another job has been there.
    host.write_text(f"""#!/bin/bash
if [[ $1 = commit && $2 != --* && ! -e {tmp_path}/other ]]; then
    touch {tmp_path}/other
    printf '{{"job":"other"}}\\n' | {objects.binary} commit {output}/
fi
exec {objects.binary} "$@"
""")
    host.chmod(0o755)
    with pytest.raises(OutputExists, match="another job has published"):
        objects.check(spark, "two", str(host))
    assert objects.server.names("two") == ["_SUCCESS", "_manifest.ldjson"]


def test_what_is_no_store_is_refused(spark: SparkSession, objects: Objects) -> None:
    for output, told in [("https://127.0.0.1/out", "a web server is only read from"),
                         ("postgres://127.0.0.1/out", "a commit is made in a store"),
                         ("nowhere://out", "there is no service `nowhere`")]:
        with pytest.raises((Refused, HostFailed), match=told):
            score_files(spark, objects.inputs, output, objects.iris, binary=objects.binary)


def test_an_attempt_that_was_overtaken_is_not_seen(
    spark: SparkSession, objects: Objects, tmp_path: Path
) -> None:
    host = troubled(tmp_path, objects.binary, objects.planned[5], HANGS_AT_FIRST)
    spark.stop()
    with cluster.on_two_hosts(tmp_path) as master:
        other = cluster.start(master, objects.server.environment, spark_speculation="true",
                              spark_speculation_interval="100ms", spark_speculation_minTaskRuntime="1s",
                              spark_speculation_quantile="0.5")
        try:
            objects.check(other, "overtaken", host)
            assert len(os.listdir(tmp_path / "attempts")) == 2
        finally:
            other.stop()
