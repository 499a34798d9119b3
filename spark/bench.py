#!/usr/bin/env python3
"""What the cluster costs: `score_files` against the host alone with as many cores, as the slope between a
small and a large file, so that what is there at each start drops out; `score` against a `mapInArrow` that
only passes the same batches through a child process. Rounds alternate, since a machine has moods."""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import cluster  # noqa: E402
import pyarrow as pa  # noqa: E402
from pyspark.sql import SparkSession  # noqa: E402
from pyspark.sql import functions as F  # noqa: E402
from records import flower  # noqa: E402

from etl_host_spark import score, score_files  # noqa: E402
from etl_host_spark.frames import _Feeder  # noqa: E402
from etl_host_spark.host import start  # noqa: E402


def through_a_child(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same stream, with `cat` in the place of a host."""
    batches = iter(batches)
    first = next(batches, None)
    if first is None:
        return
    with start(["cat"], pipes=True) as child:
        _Feeder(child, first, batches)
        yield from pa.ipc.open_stream(child.stdout)


def timed(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--release", default=str(ROOT.parent / "target" / "release"))
    parser.add_argument("--megabytes", type=int, nargs=2, default=[1000, 4000])
    parser.add_argument("--rows", type=int, default=4_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--split-size", default="128MiB")
    parser.add_argument("--only", choices=["files", "frames"])
    flags = parser.parse_args()
    binary, plugin = f"{flags.release}/etl-host", f"{flags.release}/libiris_model.so"
    spark = cluster.start()
    if flags.only != "frames":
        with tempfile.TemporaryDirectory(dir=ROOT.parent / "target") as folder:
            files(spark, binary, plugin, flags, Path(folder))
    if flags.only != "files":
        frames(spark, binary, plugin, flags)
    spark.stop()


def files(spark: SparkSession, binary: str, plugin: str, flags: argparse.Namespace, folder: Path) -> None:
    chance = random.Random(1)
    block = "".join(json.dumps(flower(chance)) + "\n" for _ in range(10_000))
    inputs = []
    for megabytes in flags.megabytes:
        inputs.append(str(folder / f"{megabytes}.ldjson"))
        with open(inputs[-1], "w") as file:
            for _ in range(megabytes * 1_000_000 // len(block)):
                file.write(block)
    names = iter(range(1_000_000))

    def alone(path: str) -> None:
        output = str(folder / f"alone-{next(names)}")
        subprocess.run([binary, "--plugin", plugin, "-i", path, "-o", output, "--threads", "2", "--quiet"], check=True)
        os.unlink(output)

    def on_the_cluster(path: str) -> None:
        output = str(folder / f"cluster-{next(names)}")
        score_files(spark, path, output, plugin, binary=binary, split_size=flags.split_size)
        subprocess.run(["rm", "-r", output], check=True)

    on_the_cluster(inputs[0])  # Spark sends binary and plugin
    slopes: dict[str, list[float]] = {"the host alone": [], "score_files": []}
    megabytes = flags.megabytes[1] - flags.megabytes[0]
    for _ in range(flags.rounds):
        for name, work in (("the host alone", alone), ("score_files", on_the_cluster)):
            few, many = (timed(lambda: work(path)) for path in inputs)
            slopes[name].append(megabytes / (many - few))
            print(f"{name}: {few:.2f} s, {many:.2f} s, slope {slopes[name][-1]:.0f} MB/s", flush=True)
    ratio = median(slopes["score_files"]) / median(slopes["the host alone"])
    print(f"score_files / the host alone: {ratio:.2f}", flush=True)


def frames(spark: SparkSession, binary: str, plugin: str, flags: argparse.Namespace) -> None:
    sizes = {"sepal_length": 4.3, "sepal_width": 2.0, "petal_length": 1.0, "petal_width": 0.1}
    df = spark.range(flags.rows, numPartitions=4)
    df = df.select(*((F.col("id") % 37 / 10 + least).alias(name) for name, least in sizes.items())).cache()
    df.count()
    scored = score(df, plugin, binary=binary)
    passed = df.mapInArrow(through_a_child, df.schema)
    rates: dict[str, list[float]] = {"cat": [], "score": []}
    for turn in range(flags.rounds + 1):
        for name, frame in (("cat", passed), ("score", scored)):
            seconds = timed(lambda: frame.write.format("noop").mode("overwrite").save())
            if turn:  # the first one starts workers
                rates[name].append(flags.rows / seconds)
                print(f"{name}: {seconds:.2f} s, {rates[name][-1]:,.0f} rows/s", flush=True)
    print(f"score / cat: {median(rates['score']) / median(rates['cat']):.2f}", flush=True)


if __name__ == "__main__":
    main()
