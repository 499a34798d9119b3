"""What is run of our own programs, and what each is set beside."""

import math
import os
from typing import NamedTuple

from .data import count_lines, expect_lines
from .run import Row, piped_memory

STATIC = "static baseline"
PLAIN = "static baseline, plain sum"
QUICK = "static baseline, the plugins' parser"
EACH = "static baselines, one on each core"
PARSE = "static baseline, parse only"
HOST = "etl-host"
HOST_ALL = "etl-host, all cores"
NEST = "etl-host, nest"
MERGE = "etl-host, merge"
BAD = "etl-host, 1 % bad"
JOURNAL = "etl-host, all cores, a journal"
ISOLATED = "etl-host, all cores, in workers"
STATIC_LINEAR = "linear: static baseline"
HOST_LINEAR = "linear: etl-host"
HOST_LINEAR_ALL = "linear: etl-host, all cores"

# Each pair is run side by side; the first of a row's pairs stands in the table of rates. A row beside
# itself shows the noise to read the others by.
PAIRS = [
    (STATIC, STATIC),
    (PLAIN, STATIC),
    (EACH, STATIC),
    (PARSE, STATIC),
    (HOST, STATIC),
    (HOST, PLAIN),
    (QUICK, HOST),
    (HOST_ALL, EACH),
    (NEST, HOST),
    (MERGE, HOST),
    (BAD, HOST),
    (JOURNAL, HOST_ALL),
    (ISOLATED, HOST_ALL),
    (STATIC_LINEAR, PARSE),
    (HOST_LINEAR, PARSE),
    (HOST_LINEAR, STATIC_LINEAR),
    (HOST_LINEAR_ALL, HOST_LINEAR),
]


class Cores(NamedTuple):
    one: set
    all: set

    @classmethod
    def ours(cls):
        cores = sorted(os.sched_getaffinity(0))
        return cls({cores[0]}, set(cores))


def host_command(args, plugin, threads, *more):
    return [args.host, "--plugin", plugin, "--threads", threads, "--quiet", *more]


def native_rows(args, data, cores):
    """By name, and how many records of the bad input are rejected."""
    clean = data.clean(args.records)
    bad = data.file("bad", ["--records", args.records, "--bad", 1])
    bad_count = count_lines(bad.with_suffix(".manifest"))

    def static(name, flags=(), answers="iris", core=cores.one, twins=(), program=args.static):
        output = data.output(name)
        command = [program, *flags, clean, output]
        return Row(name, command, core, args.records, output, args.records, 0, answers, twins)

    def host(name, pinned, plugin=args.plugin, source=clean, rejects=0, flags=(), answers=""):
        output = data.output(name)
        more = ["--input", source, "--output", output, *flags]
        command = host_command(args, plugin, len(pinned), *more)
        lines, exit_code = args.records - rejects, 1 if rejects else 0
        return Row(name, command, pinned, args.records, output, lines, exit_code, answers)

    twins = [static(f"{EACH}: {core}", core={core}) for core in sorted(cores.all - cores.one)]
    rows = [
        static(STATIC),
        static(PLAIN, ["--plain"]),
        static(QUICK, ["--quick"]),
        static(EACH, twins=tuple(twins)),
        Row(PARSE, [args.static, "--parse-only", clean], cores.one, args.records),
        host(HOST, cores.one, answers="iris"),
        host(HOST_ALL, cores.all, answers="iris"),
        host(NEST, cores.one, flags=["--emit", "nest"]),
        host(MERGE, cores.one, flags=["--emit", "merge"]),
        host(BAD, cores.one, source=bad, rejects=bad_count),
        # Ten times as often as it is by default: else a run this short would journal nothing.
        host(JOURNAL, cores.all, flags=["--resume", "--checkpoint-seconds", "0.1"], answers="iris"),
        host(ISOLATED, cores.all, flags=["--isolate"], answers="iris"),
        static(STATIC_LINEAR, answers="linear", program=args.static_linear),
        host(HOST_LINEAR, cores.one, args.linear, answers="linear"),
        host(HOST_LINEAR_ALL, cores.all, args.linear, answers="linear"),
    ]
    return {row.name: row for row in rows}, bad_count


def start_rows(args, cores):
    few = count_lines(args.few)
    return [
        Row(STATIC, [args.static, args.few, "/dev/null"], cores.all, few),
        Row(HOST, host_command(args, args.plugin, 1, "--input", args.few), cores.all, few),
    ]


def host_memory(args, data, size):
    """Peak memory of a run with two threads over a pipe that brings this many bytes."""
    output = data.output("piped")
    command = host_command(args, args.plugin, 2, "--input", "-", "--output", output)
    peak = piped_memory(args.generate, size, command)
    sample = data.clean(args.records)  # the lines of all clean data are equally long
    expect_lines(output, math.ceil(size / (sample.stat().st_size // args.records)))
    output.unlink()
    return peak
