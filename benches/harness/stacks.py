"""The Python stacks (`benches/python`), each beside etl-host in the same rounds on the same records.

A stack that is slow gets fewer records, the beginning of the same data. The start of a process is
measured with an input of one record, and taken off on every side: what is left is the work.
"""

import os
import statistics
import subprocess
import sys
from typing import NamedTuple

from . import ROOT, rows
from .data import count_differing, expect_lines
from .run import Row, run
from .timing import Spread

SCRIPTS = ROOT / "benches/python"
# Script, name, and which of the three sizes is for it.
STACKS = [
    ("polars_onnx.py", "Polars, ONNX Runtime", "fast"),
    ("duckdb_udf.py", "DuckDB, ONNX Runtime", "fast"),
    ("pandas_chunks.py", "pandas, scikit-learn", "slow"),
    ("sklearn_chunks.py", "scikit-learn in chunks", "slow"),
    ("bonobo_graph.py", "the original's Bonobo graph", "graph"),
]
ORIGINAL = STACKS[-1][1]
OURS = [rows.HOST_ALL, rows.HOST, rows.STATIC]


class Stack(NamedTuple):
    row: Row
    start: Row  # the same with one record
    differing: int | None  # predictions that are not etl-host's; None for our own programs
    memory_bytes: int
    seconds: float = 0.0
    start_seconds: float = 0.0
    times_slower: Spread | None = None  # than etl-host on all cores, the start taken off

    @property
    def rate(self):
        return self.row.records / (self.seconds - self.start_seconds)

    @property
    def rate_with_start(self):
        return self.row.records / self.seconds


def measure_stacks(args, data, cores):
    """By name, etl-host on all cores first."""
    make_models(args, data)
    sizes = dict(zip(["fast", "slow", "graph"], args.python_records))
    stacks = [warm_up(*both, None) for both in our_rows(args, data, cores, sizes["fast"])]
    right = stacks[0].row.output
    for script, name, size in STACKS:
        stacks.append(warm_up(*python_rows(args, data, cores, script, name, sizes[size]), right))
    # In turns the other way round, so that no stack always runs behind the same one.
    rounds = [measure_round(stacks[:: -1 if index % 2 else 1]) for index in range(args.rounds)]
    starts = {stack.row.name: statistics.median(one[stack.row.name][1] for one in rounds) for stack in stacks}

    def record_seconds(stack, found):
        name = stack.row.name
        return (found[name][0] - starts[name]) / stack.row.records

    def measured(stack):
        name = stack.row.name
        seconds = statistics.median(found[name][0] for found in rounds)
        slower = [record_seconds(stack, found) / record_seconds(stacks[0], found) for found in rounds]
        return stack._replace(
            seconds=seconds, start_seconds=starts[name], times_slower=Spread.of(slower)
        )

    found = {stack.row.name: measured(stack) for stack in stacks}
    for name, stack in found.items():
        if stack.times_slower.low <= 0:
            sys.exit(f"{name}: {stack.row.records:,} records take no longer than the start; give it more")
    return found


def make_models(args, data):
    os.environ["BENCH_MODELS"] = str(data.folder / "models")
    model = data.folder / "models/iris.onnx"
    made_of = [SCRIPTS / "model.py", SCRIPTS / "requirements.txt"]
    if not model.exists() or any(part.stat().st_mtime > model.stat().st_mtime for part in made_of):
        subprocess.run([args.python, "-W", "ignore", made_of[0]], check=True)


def our_rows(args, data, cores, records):
    """Each with its twin for the start."""
    for name in OURS:
        pinned = cores.all if name == rows.HOST_ALL else cores.one
        both = []
        for records_now in [records, 1]:
            source, output = data.clean(records_now), data.output(f"{name}-{records_now}")
            command = [args.static, source, output]
            if name != rows.STATIC:
                more = ["--input", source, "--output", output]
                command = rows.host_command(args, args.plugin, len(pinned), *more)
            both.append(Row(name, command, pinned, records_now, output))
        yield both


def python_rows(args, data, cores, script, name, records):
    both = []
    for records_now in [records, 1]:
        source, output = data.clean(records_now), data.output(f"{script}-{records_now}")
        command = [args.python, "-W", "ignore", SCRIPTS / script, source, output]
        both.append(Row(name, command, cores.all, records_now, output))
    return both


def warm_up(row, start, right):
    """Runs both once; the answers are right, or the benchmark ends here."""
    memory_bytes = run(row, watch=True).memory_bytes
    differing = None
    if right is None:
        expect_lines(row.output, row.records)
    else:
        differing = count_differing(row.output, right, row.records)
    run(start)
    return Stack(row, start, differing, memory_bytes)


def measure_round(stacks):
    """Seconds of each stack, and of its start."""
    return {
        stack.row.name: (run(stack.row, drop=True).seconds, run(stack.start, drop=True).seconds)
        for stack in stacks
    }
