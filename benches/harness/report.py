"""Tables of what was measured, and the places in the documents that they go to.

A place is what stands between `<!-- NAME:begin -->` and `<!-- NAME:end -->`; all around it is written
by hand.
"""

import datetime
import platform
from pathlib import Path

from . import MB, ROOT, chart, rows
from .promises import promises
from .run import shown

DOCUMENT = ROOT / "docs/benchmarks.md"
PICTURE = ROOT / "docs/benchmarks.svg"
README = ROOT / "README.md"
PLACES = ["machine", "promises", "rates", "python", "memory", "start"]


def tables(machine, native, bad_count, args, python, memory, starts):
    """The lines of each place in the document."""
    return {
        "machine": [machine],
        "promises": promise_table(native, python, memory, args.quick),
        "rates": [*rate_table(native), "", rate_words(native, bad_count, args)],
        "python": [*python_table(python), "", python_words(python, args)] if python else ["Not measured."],
        "memory": memory_table(memory),
        "start": start_table(starts, args),
    }


def promise_table(native, python, memory, is_smoke):
    head = ["| | promised | measured | met |", "|---|---:|---:|---|"]
    found = promises(native, python, memory)
    if is_smoke:  # whose numbers mean nothing
        found = [promise._replace(met=None) for promise in found]
    return [*head, *(promise.line() for promise in found)]


def rate_table(native):
    yield "| | cores | records/s | ns a record | rate beside another's | memory |"
    yield "|---|---:|---:|---:|---:|---:|"
    beside = {}
    for row, other in native.ratios:
        beside.setdefault(row, other)
    for name, row in native.rows.items():
        seconds, records = native.seconds[name], row.records_all
        other = beside[name]
        yield (
            f"| {name} | {row.cores_used} | {records / seconds:,.0f} | {seconds / records * 1e9:,.0f} "
            f"| {native.ratios[name, other]} × {other} | {native.memory_bytes[name] / MB:.1f} MB |"
        )


def rate_words(native, bad_count, args):
    row = native.rows[rows.STATIC]
    size = row.command[-2].stat().st_size / MB
    return (
        f"{args.records:,} records, {size:.0f} MB; medians of {args.rounds} rounds after a warm-up. Each "
        "ratio is of two runs right beside each other, in brackets the smallest and the largest. One "
        f"core: all threads share core {min(row.cores)}. 1 % bad: {bad_count:,} records are rejected. "
        "Memory: peak, resident."
    )


def python_table(python):
    yield "| | cores | records | records/s | with the start | start, ms | times slower | memory | differing |"
    yield "|---|---:|---:|---:|---:|---:|---:|---:|---:|"
    for name, stack in python.items():
        row, differing = stack.row, "" if stack.differing is None else f"{stack.differing:,}"
        yield (
            f"| {name} | {row.cores_used} | {row.records:,} | {stack.rate:,.0f} "
            f"| {stack.rate_with_start:,.0f} | {stack.start_seconds * 1000:,.0f} "
            f"| {stack.times_slower} | {stack.memory_bytes / MB:,.0f} MB | {differing} |"
        )


def python_words(python, args):
    return (
        f"Medians of {args.rounds} rounds, in each of which all take their turn. Times slower: than "
        f"{rows.HOST_ALL} in the same round, the start taken off on both sides. Start: a run with one "
        "record. Differing: predictions that are not etl-host's."
    )


def memory_table(memory):
    lines = (f"| {size / MB:,.0f} MB | {peak / MB:.1f} MB |" for size, peak in memory.items())
    return ["| input, through a pipe, 2 threads | peak memory |", "|---|---:|", *lines]


def start_table(starts, args):
    head = [f"| start to end of 15 records, median of {args.starts} | ms |", "|---|---:|"]
    return [*head, *(f"| {name} | {seconds * 1000:.1f} |" for name, seconds in starts.items())]


def summary(machine, python, memory):
    """For the README."""
    yield from [machine, "", "| | cores | records/s | times slower |", "|---|---:|---:|---:|"]
    for name, stack in python.items():
        times = python[rows.HOST_ALL].rate / stack.rate
        slower = f"{times:,.{1 if times < 100 else 0}f}"
        yield f"| {name} | {stack.row.cores_used} | {stack.rate:,.0f} | {slower} |"
    peaks = ", ".join(f"{peak / MB:.1f} MB for {size / MB:,.0f} MB" for size, peak in memory.items())
    yield from ["", f"Peak memory, two threads, the input through a pipe: {peaks}."]


def bars(python):
    def bar(name, stack):
        return chart.Bar(f"{name} ({cores(stack)})", stack.rate, name in (rows.HOST, rows.HOST_ALL))

    return [bar(*item) for item in python.items()]


def cores(stack):
    return "1 core" if stack.row.cores_used == 1 else f"{stack.row.cores_used} cores"


def machine_words(cores_all, load):
    cpu = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.split(":", 1)[1].strip()
            break
    return (
        f"{cpu}, {len(cores_all)} cores, {platform.system()} {platform.release()}, load {load:.1f} before "
        f"the first run; {datetime.date.today()}"
    )


def command_words(argv):
    return f"`{shown(['python3', *argv])}`"


def missing_places(path, names):
    text = path.read_text()
    marks = [f"<!-- {name}:{edge} -->" for name in names for edge in ("begin", "end")]
    return [mark for mark in marks if text.count(mark) != 1]


def fill(path, places):
    text = path.read_text()
    for name, lines in places.items():
        begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
        before, rest = text.split(begin)
        text = "\n".join([before + begin, *lines, end + rest.split(end)[1]])
    path.write_text(text)
