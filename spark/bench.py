#!/usr/bin/env python3
"""What the cluster costs: `score_files` against the host alone with as many cores, as the slope between a
small and a large file, so that what is there at each start drops out; `score` against a `mapInArrow` that
only passes the same batches through `cat`, written as one would by hand, and, where scikit-learn is
installed, against a `pandas_udf` with the plugin's model. Rounds alternate, since a machine has moods."""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import cluster  # noqa: E402
import pandas as pd  # noqa: E402
import pyarrow as pa  # noqa: E402
from pyspark.sql import DataFrame, SparkSession  # noqa: E402
from pyspark.sql import functions as F  # noqa: E402
from records import SIZES, flower  # noqa: E402

from etl_host_spark import score, score_files  # noqa: E402

try:
    from sklearn.datasets import load_iris
    from sklearn.svm import SVC
except ImportError:
    SVC = None


def through_cat(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    first = next(batches, None)
    if first is None:
        return

    def feed() -> None:
        with child.stdin, pa.ipc.new_stream(child.stdin, first.schema) as stream:
            stream.write_batch(first)
            for batch in batches:
                stream.write_batch(batch)

    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        feeder = threading.Thread(target=feed)
        feeder.start()
        yield from pa.ipc.open_stream(child.stdout)
        feeder.join()


def in_pandas() -> Callable[..., object]:
    """The plugin's model, as its README says that it is fitted."""
    iris = load_iris()
    model = SVC(gamma=0.001, C=100).fit(iris.data[:-1], iris.target[:-1])
    names = iris.target_names

    @F.pandas_udf("string")
    def species(*sizes: pd.Series) -> pd.Series:
        return pd.Series(names[model.predict(pd.concat(sizes, axis=1).to_numpy())])

    return species


def timed(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--release", default=str(ROOT.parent / "target" / "release"))
    parser.add_argument("--megabytes", type=int, nargs=2, default=[1000, 4000])
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--keep", choices=["none", "id", "all"], default="all",
                        help="of a frame of the model's four columns, or of fourteen: strings, nulls, nested ones")
    parser.add_argument("--rounds", type=int, default=5)
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


def flowers(spark: SparkSession, rows: int, wide: bool) -> DataFrame:
    sizes = [F.round(F.rand(seed) * 7.8 + 0.1, 1).alias(name) for seed, name in enumerate(SIZES)]
    number = F.col("id")
    others = [
        number, (number % 1000).cast("int").alias("bed"), (number % 7 == 0).alias("wild"), F.rand(9).alias("weight"),
        F.date_add(F.lit("2026-01-01"), (number % 300).cast("int")).alias("picked"),
        F.concat(F.lit("flower "), number).alias("name"), F.sha1(number.cast("string")).alias("photo"),
        F.concat(F.lit("found in row "), number % 100, F.lit(", near the \"old\" gate")).alias("note"),
        F.when(number % 11 != 0, number * 3).alias("seeds"),
        F.struct(number.alias("bed"), F.array(number % 5, number % 6).alias("rows")).alias("place"),
    ]
    return spark.range(rows, numPartitions=4).select(*sizes, *(others if wide else []))


def frames(spark: SparkSession, binary: str, plugin: str, flags: argparse.Namespace) -> None:
    df = flowers(spark, flags.rows, flags.keep != "none").cache()
    df.count()
    kept = {"none": [], "id": ["id"], "all": df.columns}[flags.keep]
    given = df.select(*dict.fromkeys([*kept, *SIZES]))
    scored = score(given, plugin, binary=binary, **({"emit": "merge"} if flags.keep == "all" else {"keep": kept}))
    contenders = {"cat": given.mapInArrow(through_cat, given.schema), "score": scored}
    if SVC is not None:
        species = in_pandas()(*SIZES).alias("species")
        contenders["pandas_udf"] = given.select(*kept, species)
        sample = df.limit(20_000).coalesce(1).cache()
        ours = score(sample, plugin, binary=binary).select("species").collect()
        assert ours == sample.select(species).collect(), "they predict the same"
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(flags.rounds + 1):
        for name, frame in contenders.items():
            seconds = timed(lambda: frame.write.format("noop").mode("overwrite").save())
            if turn:  # the first one starts workers
                rates[name].append(flags.rows / seconds)
                print(f"{name}: {seconds:.2f} s, {rates[name][-1]:,.0f} rows/s", flush=True)
    for name, rate in rates.items():
        ratio = median(rates["score"]) / median(rate)
        print(f"{name}: median {median(rate):,.0f} rows/s, score / {name}: {ratio:.2f}", flush=True)


if __name__ == "__main__":
    main()
