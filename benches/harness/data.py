"""The folder of inputs and outputs, and what is asked of an output's lines."""

import json
import os
import subprocess
import sys
from itertools import islice, zip_longest

from . import MB

DIFFERING_MAX = 1e-4  # share of species that float32 may turn; more is another model


class Data:
    def __init__(self, args):
        self.folder, self.generate = args.data, args.generate
        self.folder.mkdir(parents=True, exist_ok=True)

    def output(self, name):
        kept = "".join(letter if letter.isalnum() else "-" for letter in name)
        return self.folder / f"{kept}.out"

    def clean(self, records):
        """Records are the same in each file: a small one is the beginning of a large one."""
        return self.file(f"clean-{records}", ["--records", records])

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


def count_lines(path):
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(MB), b""))


def expect_lines(path, expected):
    if (found := count_lines(path)) != expected:
        sys.exit(f"{path} has {found} lines, not {expected}")


def count_differing(path, right, records):
    """How many of the predictions are not what the first lines of `right` say, white space aside."""
    with path.open("rb") as ours, right.open("rb") as theirs:
        differing = 0
        for line, answer in zip_longest(ours, islice(theirs, records)):
            if line is None or answer is None:
                sys.exit(f"{path} has not one prediction for each of {records} records")
            differing += squeezed(line) != squeezed(answer)
    if differing > records * DIFFERING_MAX:
        sys.exit(f"{path}: {differing} of {records} predictions are not those of {right}")
    return differing


def squeezed(line):
    return line.replace(b" ", b"").rstrip()
