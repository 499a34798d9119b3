"""Speculation has a cluster of its own: there Spark starts a second attempt where one is slow."""

import os
from pathlib import Path

import cluster
import pytest
from records import HANGS_AT_FIRST, troubled
from test_files import Files


def test_an_attempt_that_was_overtaken_is_not_seen(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, binary: str, iris: str
) -> None:
    files = Files(tmp_path_factory.mktemp("files"), binary, iris)
    host = troubled(tmp_path, files.binary, files.planned[5], HANGS_AT_FIRST)
    with cluster.on_two_hosts(tmp_path) as master:
        spark = cluster.start(master, spark_speculation="true", spark_speculation_interval="100ms",
                              spark_speculation_minTaskRuntime="1s", spark_speculation_quantile="0.5")
        try:
            files.check(spark, tmp_path / "out", host)
            assert len(os.listdir(tmp_path / "attempts")) == 2
        finally:
            spark.stop()
