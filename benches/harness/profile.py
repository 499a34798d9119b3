"""Where the nanoseconds of a record go: `perf` samples a run on one core, stages gather the samples.

Functions are inlined into each other, so a sample is known by its whole inlined stack (`addr2line`,
from the line tables that a release build keeps, where only the outer names have their module): the
innermost function that belongs to a stage names it. The order of stages matters: what is left of the
border is whatever of `model_abi` no stage above it took. A table of stages is a reading aid and no
more: where the compiler has mixed two of them, a sample is of either.
"""

import re
import shutil
import subprocess
import sys
from collections import Counter
from typing import NamedTuple

from . import rows
from .run import Row, run

FREQUENCY_HZ = 4999  # no multiple of anything that the kernel does by the clock
KERNEL = "kernel: reading, writing, memory"
REST = "rest: copying, memory, start, not known"
# Tried on the functions of a sample from the innermost on, all stages on each.
STAGES = [
    ("check UTF-8", r"from_utf8|utf8_validation|simdutf8"),
    ("predict", r"iris_model::(svc|kernel)|iris_model::IrisModel|linear_model::LinearModel|^pulp::"),
    ("serialise the prediction", r"serde_json::ser\b|model_abi::output|zmij::|ryu::|itoa::|serde_core::ser"),
    ("parse", r"serde_json::(de|read|lexical)\b|serde_core::de\b|model_abi::parse|\w+_model::Flower"),
    ("cross the border", r"model_abi::|etl_host::plugin::(model|library)"),
    ("cut into records", r"etl_host::source"),
    ("check the answers", r"etl_host::json|etl_host::plugin::runner"),
    ("put records together", r"etl_host::step"),
    ("write", r"etl_host::sink|etl_host::storage"),
    ("order, queue, count", r"etl_host::(pipeline|batch)|crossbeam|std::sync|std::thread"),
]
# For functions that several stages use, where nothing around them says which.
FALLBACKS = [("cut into records", r"^memchr::"), ("parse", r"^core::(str|num)::")]


class Sample(NamedTuple):
    file: str
    symbol: str
    offset: int  # in the file


def profile_table(args, data, cores):
    """One column a model."""
    for tool in ["perf", "addr2line", "readelf"]:
        if not shutil.which(tool):
            sys.exit(f"a profile needs `{tool}`, which is not installed")
    columns = {plugin.name: stages_of(args, data, cores, plugin) for plugin in [args.plugin, args.linear]}
    names = [stage for stage, _ in STAGES] + [KERNEL, REST]
    yield "| ns a record, one core | " + " | ".join(f"`{name}`" for name in columns) + " |"
    yield "|---|" + "---:|" * len(columns)
    total = {name: sum(stages.values()) for name, stages in columns.items()}
    for stage in names:
        cells = (f"{ns[stage]:.0f} ({100 * ns[stage] / total[name]:.0f} %)" for name, ns in columns.items())
        yield f"| {stage} | " + " | ".join(cells) + " |"
    yield "| all | " + " | ".join(f"{ns:.0f}" for ns in total.values()) + " |"


def stages_of(args, data, cores, plugin):
    """Nanoseconds a record by stage."""
    recorded, output = data.folder / "perf.data", data.output("profile")
    source = data.clean(args.records)
    command = rows.host_command(args, plugin, 1, "--input", source, "--output", output)
    perf = ["perf", "record", "--quiet", "-F", FREQUENCY_HZ, "-o", recorded, "--", *command]
    run(Row("profile", perf, cores.one, args.records, output, args.records), drop=True)
    counts = Counter(samples(recorded))
    recorded.unlink()
    stacks = {}
    for file in {sample.file for sample in counts}:
        offsets = sorted({sample.offset for sample in counts if sample.file == file})
        stacks[file] = dict(zip(offsets, inlined(file, offsets)))
    found = Counter()
    for sample, count in counts.items():
        functions = [*stacks[sample.file].get(sample.offset, []), sample.symbol]
        found[stage(sample.file, functions)] += count * 1e9 / FREQUENCY_HZ / args.records
    return found


def samples(recorded):
    """Each of `perf`'s samples, its address as a place in the file that was mapped there."""
    command = ["perf", "script", "-i", recorded, "--show-mmap-events", "-F", "ip,sym,dso"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    mapped = re.compile(r"PERF_RECORD_MMAP.*\[(0x\w+)\((0x\w+)\) @ (\w+) .*\]: \S+ (.+)")
    sampled = re.compile(r"\s*([0-9a-f]+) (.*) \((.+)\)$")
    maps = []
    for line in said.splitlines():
        if match := mapped.match(line):
            start, length, offset = (int(number, 16) for number in match.groups()[:3])
            maps.append((start, length, offset))
        elif match := sampled.match(line):
            address = int(match[1], 16)
            # The newest first: an exec maps anew what was mapped before.
            for start, length, offset in reversed(maps):
                if start <= address < start + length:
                    address += offset - start
                    break
            yield Sample(match[3], match[2], address)


def inlined(file, offsets):
    """The functions at each place, the innermost first; none where the file says nothing."""
    segments = list(load_segments(file)) if file.startswith("/") else []
    addresses = [
        address + place - offset
        for place in offsets
        for offset, address, length in segments
        if offset <= place < offset + length
    ]
    if len(addresses) != len(offsets):
        return [[] for _ in offsets]
    command = ["addr2line", "--functions", "--inlines", "--demangle", "--addresses", f"--exe={file}"]
    asked = "\n".join(f"{address:#x}" for address in addresses)
    said = subprocess.run(command, input=asked, capture_output=True, text=True).stdout
    stacks = []
    for line in said.splitlines():
        if re.fullmatch(r"0x[0-9a-f]{16}", line):
            stacks.append([])
            is_function = True
        elif is_function:
            stacks[-1].append(line)
            is_function = False
        else:
            is_function = True
    return stacks


def load_segments(file):
    """Offset in the file, address and length of each part that is mapped."""
    said = subprocess.run(["readelf", "-lW", file], capture_output=True, text=True).stdout
    for line in said.splitlines():
        if line.split()[:1] == ["LOAD"]:
            _, offset, address, _, length, *_ = line.split()
            yield int(offset, 16), int(address, 16), int(length, 16)


def stage(file, functions):
    if not file.startswith("/"):
        return KERNEL  # or the little of it that is mapped into every process
    for rules, names in [(STAGES, functions), (FALLBACKS, functions)]:
        for name in names:
            for stage, pattern in rules:
                if re.search(pattern, name):
                    return stage
    return REST
