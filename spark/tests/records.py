"""Inputs of the tests: flowers by chance, the same for a seed, some of them no good, and blank lines between;
and what one machine makes of them."""

import json
import os
import random
import subprocess
from collections.abc import Sequence
from pathlib import Path

from etl_host_spark.splits import Split

RECORDS = int(os.environ.get("SPARK_RECORDS", "100000"))
SIZES = ("sepal_length", "sepal_width", "petal_length", "petal_width")


def flower(chance: random.Random) -> dict[str, float]:
    return {name: round(chance.uniform(0.1, 7.9), 1) for name in SIZES}


def lines(seed: int, records: int) -> str:
    chance = random.Random(seed)
    written = []
    for number in range(records):
        kind = chance.random()
        record = {"id": number, **flower(chance)}
        if kind < 0.005:
            record["sepal_width"] = "wide"
        text = "\n" if kind > 0.99 else "no record\n" if kind > 0.985 else json.dumps(record) + "\n"
        written.append(text)
    return "".join(written)


def rows(seed: int, records: int) -> str:
    """CSV, with line feeds and commas between quotes."""
    chance = random.Random(seed)
    written = ["note," + ",".join(SIZES)]
    for number in range(records):
        sizes = [str(size) for size in flower(chance).values()]
        if chance.random() < 0.01:
            sizes[2] = "long"
        written.append(f'"a ""note"",\n{number}",' + ",".join(sizes))
    return "\n".join(written) + "\n"


def on_one_machine(binary: str, plugin: str, inputs: Sequence[str], folder: Path, *options: str
                   ) -> tuple[bytes, bytes, dict[str, int]]:
    """Output, rejects and counts of one host."""
    folder.mkdir()
    output, rejects, summary = (str(folder / name) for name in ("output", "rejects.ldjson", "summary.json"))
    reads = [word for path in inputs for word in ("--input", path)]
    done = subprocess.run([binary, "--plugin", plugin, *reads, "--output", output, "--rejects", rejects,
                           "--summary", summary, "--quiet", *options], check=False)
    assert done.returncode in (0, 1)
    counts = json.loads(Path(summary).read_bytes())["counts"]
    return Path(output).read_bytes(), Path(rejects).read_bytes(), counts


def of_parts(output: str) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(Path(output).glob("part-*")))


class WithRows:
    """What a host is told that is given a DataFrame's rows, and not when it is asked for its columns."""

    def options(self) -> list[str]:
        return ["--rejects"]


def troubled(folder: Path, binary: str, split: Split | WithRows, trouble: str) -> str:
    """A host that has some trouble (bash) with a split. `$n` counts its attempts, from 0, each
    of which leaves an entry in the folder `attempts`."""
    (folder / "attempts").mkdir()
    script = folder / "etl-host"
    script.write_text(f"""#!/bin/bash
if [[ " $* " == *" {' '.join(split.options())} "* ]]; then
    n=$(ls {folder}/attempts | wc -l)
    mkdir {folder}/attempts/$$
    {trouble}
fi
exec {binary} "$@"
""")
    script.chmod(0o755)
    return str(script)


HANGS_AT_FIRST = "[ $n = 0 ] && exec -a etl-host sleep 600"
FAILS_THREE_TIMES = "[ $n -lt 3 ] && { echo 'error: made to fail' >&2; exit 5; }"
FAILS = "echo 'error: made to fail' >&2; exit 5"
HANGS = "exec -a etl-host sleep 600"
DIES = "kill -SEGV $$"
