#!/usr/bin/env python3
"""Measures `etl-host` against a program written by hand for the same job (`static_iris`).

Needs the release build and nothing else; Linux, since it pins processes and reads /proc. Each timed
run has a run of the baseline right beside it, and a ratio compares these two, so a machine that
slows down for a minute slows both. The baseline stands beside itself, too: the spread of that ratio
is the noise to read the others by. What the programs wrote is checked before anything is timed
(predictions byte by byte, the rest by its number of lines): a fast wrong answer is none.

Memory is watched in the warm-up only, for watching costs a little time.
"""

import argparse
import datetime
import filecmp
import json
import math
import os
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
WATCH_SECONDS = 0.001
MB = 1_000_000


class Row(NamedTuple):
    name: str
    command: list
    cores: set
    output: Path | None = None
    lines: int = 0  # that the output must have
    exit_code: int = 0
    predictions: bool = True  # whether the output is a prediction for every record, no more


class Run(NamedTuple):
    seconds: float
    memory_bytes: int  # 0 where it wasn't watched


def main():
    args = arguments()
    data = Data(args)
    cores = sorted(os.sched_getaffinity(0))
    load = os.getloadavg()[0]

    clean = data.file("clean", ["--records", args.records])
    bad = data.file("bad", ["--records", args.records, "--bad", 1])
    bad_count = count_lines(bad.with_suffix(".manifest"))
    rows = timed_rows(args, data, clean, bad, bad_count, cores)
    warm_up = {row.name: run(row, watch=True) for row in rows}
    check(rows)
    rounds = [{row.name: pair(rows[0], row, index) for row in rows} for index in range(args.rounds)]
    line_bytes = clean.stat().st_size // args.records  # the same in all clean data
    memory = {size: piped_memory(args, data, size, line_bytes) for size in args.memory_bytes}
    start = {row.name: start_seconds(row, args.starts) for row in start_rows(args)}

    report = "\n".join([
        machine(cores, load),
        "",
        *rates(rows, warm_up, rounds, args.records),
        "",
        f"{args.records:,} records, {clean.stat().st_size / MB:.0f} MB; the median of {args.rounds} "
        "after a warm-up, each beside a run of the baseline, in brackets the smallest and largest "
        f"ratio of such a pair. One core: all threads share core {cores[0]}. 1 % bad: {bad_count:,} "
        "records are rejected. Memory: peak, resident.",
        "",
        "| input, through a pipe, 2 threads | peak memory |",
        "|---|---:|",
        *(f"| {size / MB:,.0f} MB | {peak / MB:.1f} MB |" for size, peak in memory.items()),
        "",
        f"| start to end of 15 records, median of {args.starts} | ms |",
        "|---|---:|",
        *(f"| {name} | {seconds * 1000:.1f} |" for name, seconds in start.items()),
    ])
    print(report)
    if args.write:
        replace_block(args.write, report)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    release = ROOT / "target/release"

    def path(flag, default, what):
        what = f"{what} [default: {default.relative_to(ROOT)}]"
        parser.add_argument(flag, type=Path, default=default, metavar="PATH", help=what)

    path("--host", release / "etl-host", "the program to measure")
    path("--plugin", release / "libiris_model.so", "the model")
    path("--static", release / "static_iris", "the baseline")
    path("--generate", release / "generate", "makes the data")
    path("--few", ROOT / "data/input.json", "the records that measure the start")
    path("--data", ROOT / "bench-data", "folder for inputs and outputs; inputs are used again")
    count = {"type": int, "metavar": "COUNT"}
    parser.add_argument("--records", **count, help="records in the timed runs [default: 1000000]")
    parser.add_argument("--rounds", **count, help="timed runs of each row [default: 5]")
    what = "a smoke run: less of everything; its numbers mean nothing"
    parser.add_argument("--quick", action="store_true", help=what)
    what = f"replace what stands between {BEGIN} and {END} in this file"
    parser.add_argument("--write", type=Path, metavar="FILE", help=what)
    args = parser.parse_args()
    args.records = args.records or (20_000 if args.quick else 1_000_000)
    args.rounds = args.rounds or (1 if args.quick else 5)
    args.starts = 3 if args.quick else 20
    args.memory_bytes = [MB, 20 * MB] if args.quick else [10 * MB, 1000 * MB]
    for needed in [args.host, args.plugin, args.static, args.generate, args.few]:
        if not needed.exists():
            parser.error(f"{needed} is missing; `cargo build --release --workspace` builds the programs")
    if args.write and not all(args.write.read_text().count(mark) == 1 for mark in [BEGIN, END]):
        parser.error(f"{args.write} has no place for the report: {BEGIN} and {END}, once each")
    return args


class Data:
    """The folder of inputs and outputs."""

    def __init__(self, args):
        self.folder, self.generate = args.data, args.generate
        self.folder.mkdir(parents=True, exist_ok=True)

    def output(self, name):
        return self.folder / f"{name}.out"

    def file(self, name, flags):
        """An input; made again unless its size and flags match and it's younger than the generator."""
        endings = ["ldjson", "manifest", "made"]
        path, manifest, made = (self.folder / f"{name}.{ending}" for ending in endings)
        flags = [str(flag) for flag in flags]
        if path.exists() and made.exists() and path.stat().st_mtime > self.generate.stat().st_mtime:
            if json.loads(made.read_text()) == {"flags": flags, "bytes": path.stat().st_size}:
                return path
        made.unlink(missing_ok=True)
        with path.open("wb") as out:
            subprocess.run([self.generate, *flags, "--manifest", manifest], stdout=out, check=True)
            os.fsync(out.fileno())  # else it is written back while the first rows run
        made.write_text(json.dumps({"flags": flags, "bytes": path.stat().st_size}))
        return path


def host_command(args, threads, *more):
    return [args.host, "--plugin", args.plugin, "--threads", threads, "--quiet", *more]


def timed_rows(args, data, clean, bad, bad_count, cores):
    """The first is what each is compared with."""
    one = {cores[0]}
    static, plain = data.output("static"), data.output("static-plain")
    rows = [
        Row("static baseline", [args.static, clean, static], one, static, args.records),
        Row("static baseline, plain sum", [args.static, "--plain", clean, plain], one, plain, args.records),
        Row("static baseline, parse only", [args.static, "--parse-only", clean], one),
    ]

    def host(name, threads, pinned, source=clean, rejects=0, flags=()):
        output = data.output(name.replace(" ", "-").replace(",", "").replace("%", "percent"))
        command = host_command(args, threads, "--input", source, "--output", output, *flags)
        exit_code = 1 if rejects else 0
        lines, predictions = args.records - rejects, not rejects and not flags
        rows.append(Row(name, command, pinned, output, lines, exit_code, predictions))

    host("etl-host", 1, one)
    host("etl-host, merge", 1, one, flags=["--emit", "merge"])
    host("etl-host, nest", 1, one, flags=["--emit", "nest"])
    host("etl-host, 1 % bad", 1, one, bad, bad_count)
    host("etl-host, all cores", len(cores), set(cores))
    return rows


def start_rows(args):
    cores = os.sched_getaffinity(0)
    return [
        Row("static baseline", [args.static, args.few, "/dev/null"], cores),
        Row("etl-host", host_command(args, 1, "--input", args.few), cores),
    ]


def pair(baseline, row, index):
    """Seconds of the baseline and of the row, one right after the other, in turns the first."""
    first, second = [(baseline, row), (row, baseline)][index % 2]
    times = run(first, drop=True).seconds, run(second, drop=True).seconds
    return times if index % 2 == 0 else times[::-1]


def run(row, watch=False, drop=False):
    """Runs it once, stdout to nowhere. A wrong exit code ends the benchmark, with its words.

    A dropped output is never written back to disk while the next row runs.
    """
    if row.output:
        row.output.unlink(missing_ok=True)
    with tempfile.TemporaryFile() as said:
        begin = time.perf_counter()
        process = spawn(row.command, row.cores, said)
        memory_bytes = wait(process, watch)
        seconds = time.perf_counter() - begin
        expect_exit(process, row.exit_code, said)
    if row.output and drop:
        row.output.unlink()
    return Run(seconds, memory_bytes)


def spawn(command, cores, said, stdin=subprocess.DEVNULL):
    """The child inherits our cores: a preexec_fn would turn a cheap vfork into a fork of 15 MB."""
    ours = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    command = [str(part) for part in command]
    process = subprocess.Popen(command, stdin=stdin, stdout=subprocess.DEVNULL, stderr=said)
    os.sched_setaffinity(0, ours)
    return process


def expect_exit(process, code, said):
    if process.returncode != code:
        said.seek(0)
        words = said.read()[-4000:].decode(errors="replace")
        sys.exit(f"{shown(process.args)}\nexit code {process.returncode}, not {code}\n{words}")


def wait(process, watch):
    """Reaps the process; gives its peak of resident memory, 0 if not watched.

    ru_maxrss alone would lie: an exec keeps the peak of the process that it replaces, here a fork
    of this Python with some 15 MB. Below that we go by what /proc last said.
    """
    if not watch:
        process.wait()
        return 0
    seen = 0
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        seen = max(seen, peak_bytes(process.pid))
        time.sleep(WATCH_SECONDS)
    process.returncode = os.waitstatus_to_exitcode(status)
    kernel_says = usage.ru_maxrss * 1024
    return kernel_says if kernel_says > peak_bytes("self") else seen


def peak_bytes(pid):
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


def piped_memory(args, data, size, line_bytes):
    output = data.output("piped")
    command = host_command(args, 2, "--input", "-", "--output", output)
    source = subprocess.Popen([args.generate, "--bytes", str(size)], stdout=subprocess.PIPE)
    with tempfile.TemporaryFile() as said, source.stdout as pipe:
        process = spawn(command, os.sched_getaffinity(0), said, pipe)
        pipe.close()  # the host alone holds it now
        peak = wait(process, watch=True)
        source.wait()
        expect_exit(process, 0, said)
    expect_lines(output, math.ceil(size / line_bytes))
    output.unlink()
    return peak


def start_seconds(row, count):
    run(row)
    return statistics.median(run(row).seconds for _ in range(count))


def check(rows):
    """Each output has its lines, and the host's predictions are the baseline's, byte for byte."""
    for row in rows:
        if row.output:
            expect_lines(row.output, row.lines)
    whole = [row.output for row in rows if row.output and row.predictions]
    for other in whole[1:]:
        if not filecmp.cmp(whole[0], other, shallow=False):
            sys.exit(f"{whole[0]} and {other} differ")


def expect_lines(path, expected):
    if (found := count_lines(path)) != expected:
        sys.exit(f"{path} has {found} lines, not {expected}")


def count_lines(path):
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(MB), b""))


def rates(rows, warm_up, rounds, records):
    yield "| | cores | records/s | ns a record | of static | memory |"
    yield "|---|---:|---:|---:|---:|---:|"
    for row in rows:
        pairs = [times[row.name] for times in rounds]
        seconds = statistics.median(own for _, own in pairs)
        ratios = sorted(baseline / own for baseline, own in pairs)
        ratio = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}–{ratios[-1]:.2f})"
        memory = warm_up[row.name].memory_bytes / MB
        yield (
            f"| {row.name} | {len(row.cores)} | {records / seconds:,.0f} "
            f"| {seconds / records * 1e9:,.0f} | {ratio} | {memory:.1f} MB |"
        )


def machine(cores, load):
    cpu = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.split(":", 1)[1].strip()
            break
    return (
        f"{cpu}, {len(cores)} cores, {platform.system()} {platform.release()}, load {load:.1f} before "
        f"the first run; {datetime.date.today()}; `{shown(['python3', *sys.argv])}`"
    )


def shown(command):
    return shlex.join(str(part) for part in command).replace(f"{ROOT}/", "")


def replace_block(path, report):
    text = path.read_text()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    path.write_text(f"{before}{BEGIN}\n{report}\n{END}{after}")


if __name__ == "__main__":
    main()
