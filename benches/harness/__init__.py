"""The parts of bench.py: `data` and `rows` say what is run, `run` and `timing` run it, `stacks` are
the Python ones; `promises`, `report` and `chart` tell what came out, `profile` where the time goes."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
MB = 1_000_000
