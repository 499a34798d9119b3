"""score_files on a cluster in the ways that are not everyday's: inputs that can't be cut, files that travel,
models in processes of their own."""

import gzip
import json
import random
from collections.abc import Iterator
from pathlib import Path

import cluster
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from conftest import RELEASE
from pyspark.sql import SparkSession
from records import flower, lines, of_parts, on_one_machine

from etl_host_spark import Refused, score_files

FLOWERS = 2000


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkSession]:
    session = cluster.start()
    yield session
    session.stop()


def compressed(folder: Path) -> list[str]:
    paths = [folder / f"{seed}.ldjson.gz" for seed in range(2)]
    for seed, path in enumerate(paths):
        path.write_bytes(gzip.compress(lines(seed, FLOWERS).encode()))
    return list(map(str, paths))


def columns(folder: Path) -> list[str]:
    """Some lack a number, and are rejected."""
    chance = random.Random(3)
    records = [{"id": id, **flower(chance), **({"sepal_width": None} if id % 10 == 0 else {})} for id in range(FLOWERS)]
    path = folder / "in.parquet"
    parquet.write_table(pa.Table.from_pylist(records), path)
    return [str(path)]


def some(folder: Path) -> list[str]:
    path = folder / "in.ldjson"
    path.write_text(lines(4, FLOWERS))
    return [str(path)]


@pytest.mark.parametrize("inputs, options, splits", [
    (compressed, [], 2),
    (columns, [], 1),
    (some, ["--isolate"], 4),
    (some, ["--emit", "merge", "--validate-output"], 4),
])
def test_each_is_what_one_machine_writes(
    spark: SparkSession, tmp_path: Path, binary: str, iris: str, inputs: object, options: list[str], splits: int
) -> None:
    paths = inputs(tmp_path)  # type: ignore[operator]
    output, rejects, counts = on_one_machine(binary, iris, paths, tmp_path / "one", *options)
    size = str(-(-sum(Path(path).stat().st_size for path in paths) // splits))
    scored = score_files(spark, paths, str(tmp_path / "out"), iris, binary=binary, split_size=size, options=options)
    assert (scored.splits, scored.counts) == (splits, counts)
    assert of_parts(str(tmp_path / "out")) == output
    assert (tmp_path / "out" / "_rejects.ldjson").read_bytes() == rejects
    cluster.no_strays()


def test_weights_lie_beside_the_plugin_and_services_elsewhere(spark: SparkSession, tmp_path: Path, binary: str) -> None:
    (tmp_path / "lake").mkdir()
    (tmp_path / "lake" / "in.ldjson").write_text("".join(f'{{"n":{n}}}\n' for n in range(100)))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "factor.txt").write_text("3")
    services = tmp_path / "services.toml"
    services.write_text(f'[lake]\nkind = "local"\nroot = "{tmp_path}/lake"\n')
    scored = score_files(spark, "lake://in.ldjson", str(tmp_path / "out"), str(RELEASE / "libweights.so"),
                         binary=binary, split_size="200", files=[str(tmp_path / "data")], services=str(services))
    assert scored.splits > 3 and scored.counts["written"] == 100
    predicted = [json.loads(line) for line in of_parts(str(tmp_path / "out")).splitlines()]
    assert [line["y"] for line in predicted] == [3 * n for n in range(100)]
    for folder in {line["folder"] for line in predicted}:
        assert not folder.startswith(str(RELEASE))
        # What lies there, the plugin may read; the services hold secrets.
        assert sorted(path.name for path in Path(folder).iterdir()) == ["data", "libweights.so"]


def test_two_files_for_one_place_are_refused(spark: SparkSession, tmp_path: Path, binary: str, iris: str) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "w.txt").write_text(folder)
    with pytest.raises(Refused, match="would lie at the same place beside the plugin"):
        score_files(spark, some(tmp_path), str(tmp_path / "out"), iris, binary=binary,
                    files=[str(tmp_path / "a" / "w.txt"), str(tmp_path / "b" / "w.txt")])
