#!/usr/bin/env python3
"""Measures `etl-host` against a program written by hand for the same job (`static_iris`), and
against the stacks that a Python user would pick (`benches/python`), all on the same data.

Needs the release build, and for the stacks a virtual environment (`make bench` makes it); Linux,
since it pins processes and reads /proc. What the programs wrote is checked before anything is timed:
a fast wrong answer is none. Memory is watched in the warm-up only, for watching costs a little time.
"""

import argparse
import os
import sys
from pathlib import Path

from harness import MB, ROOT, chart, report, rows
from harness.data import Data
from harness.profile import profile_table
from harness.stacks import measure_stacks
from harness.timing import measure_native, start_seconds


def main():
    args = arguments()
    data, cores = Data(args), rows.Cores.ours()
    machine = report.machine_words(cores.all, os.getloadavg()[0])
    if args.profile:
        tell(args, {"profile": [machine, "", *profile_table(args, data, cores)]})
        return

    native_rows, bad_count = rows.native_rows(args, data, cores)
    native = measure_native(native_rows, rows.PAIRS, args.rounds)
    python = None if args.no_python else measure_stacks(args, data, cores)
    memory = {size: rows.host_memory(args, data, size) for size in args.memory_bytes}
    starts = {row.name: start_seconds(row, args.starts) for row in rows.start_rows(args, cores)}

    machine = f"{machine}; {report.command_words(sys.argv)}"
    tell(args, report.tables(machine, native, bad_count, args, python, memory, starts))
    if args.write:
        report.fill(report.README, {"bench": report.summary(machine, python, memory)})
        title = "Iris records scored a second, the start of the process taken off"
        subtitle = f"{machine.split(', load')[0]}; logarithmic scale"
        report.PICTURE.write_text(chart.svg(title, subtitle, report.bars(python)))


def tell(args, places):
    places = {name: list(lines) for name, lines in places.items()}
    print("\n\n".join("\n".join(lines) for lines in places.values()))
    if args.write:
        report.fill(report.DOCUMENT, places)


def arguments():
    parser = argparse.ArgumentParser(description=" ".join(__doc__.split("\n\n")[0].split()))
    release = ROOT / "target/release"

    def path(flag, default, what):
        what = f"{what} [default: {default.relative_to(ROOT)}]"
        parser.add_argument(flag, type=Path, default=default, metavar="PATH", help=what)

    def counts(flag, what, default, **more):
        what = f"{what} [default: {default}]"
        parser.add_argument(flag, type=positive, metavar="COUNT", help=what, **more)

    def switch(flag, what):
        parser.add_argument(flag, action="store_true", help=what)

    path("--host", release / "etl-host", "the program to measure")
    path("--plugin", release / "libiris_model.so", "the model")
    path("--linear", release / "liblinear_model.so", "the light model")
    path("--static", release / "static_iris", "the baseline")
    path("--static-linear", release / "static_linear", "the baseline of the light model")
    path("--generate", release / "generate", "makes the data")
    path("--python", ROOT / "target/bench-venv/bin/python", "runs the Python stacks")
    path("--few", ROOT / "data/input.json", "the records that measure the start")
    path("--data", ROOT / "bench-data", "folder for inputs and outputs; inputs are used again")
    counts("--records", "records in the runs of our own programs", "1000000")
    what = "records for the fast Python stacks, and ours beside them; the slow ones; the original's graph"
    counts("--python-records", what, "5000000 500000 20000", nargs=3)
    counts("--rounds", "timed runs of each row", "5")
    what = "sizes of the inputs that memory is watched with"
    counts("--memory-bytes", what, "10000000 1000000000", nargs="+")
    switch("--no-python", "leave the Python stacks out")
    switch("--profile", "only say where the time of a record goes, with `perf`")
    switch("--quick", "a smoke run: less of everything; its numbers mean nothing")
    switch("--write", "write docs/benchmarks.md, its picture, and the table in README.md")
    args = parser.parse_args()
    args.records = args.records or (20_000 if args.quick else 1_000_000)
    default = [200_000, 100_000, 2_000] if args.quick else [5_000_000, 500_000, 20_000]
    args.python_records = args.python_records or default
    args.rounds = args.rounds or (1 if args.quick else 5)
    args.starts = 3 if args.quick else 20
    args.memory_bytes = args.memory_bytes or ([MB, 20 * MB] if args.quick else [10 * MB, 1000 * MB])
    check_arguments(parser, args)
    return args


def positive(text):
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


def check_arguments(parser, args):
    fast, slow, graph = args.python_records
    if max(slow, graph) > fast:
        parser.error("--python-records: the fast stacks get the most; the others' are the first of theirs")
    programs = [args.host, args.static, args.static_linear, args.generate]
    for needed in [*programs, args.plugin, args.linear, args.few]:
        if not needed.exists():
            parser.error(f"{needed} is missing; `cargo build --release --workspace` builds the programs")
    if args.write and args.no_python and not args.profile:
        parser.error("--write needs the Python stacks: the document's tables are of one run")
    if not (args.no_python or args.profile or args.python.exists()):
        parser.error(f"{args.python} is missing; `make bench` installs it, --no-python does without")
    if args.write:
        for path, names in [(report.DOCUMENT, [*report.PLACES, "profile"]), (report.README, ["bench"])]:
            if missing := report.missing_places(path, names):
                parser.error(f"{path} should have these once each: {', '.join(missing)}")


if __name__ == "__main__":
    main()
