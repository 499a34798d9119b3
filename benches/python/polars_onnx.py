"""Polars reads and writes the JSON, ONNX Runtime predicts; both use every core they are given."""

import sys

import numpy
import polars
from model import FIELDS, SPECIES, classes, session

CHUNK_RECORDS = 100_000  # ONNX Runtime holds the kernels of a whole call in memory


def main(source, output):
    onnx = session()
    schema = dict.fromkeys(FIELDS, polars.Float32)  # what the ONNX model takes
    rows = polars.read_ndjson(source, schema=schema).to_numpy(order="c")
    chunks = (rows[start : start + CHUNK_RECORDS] for start in range(0, len(rows), CHUNK_RECORDS))
    indices = polars.Series(numpy.concatenate([classes(onnx, chunk) for chunk in chunks]))
    species = polars.Series(SPECIES)[indices]
    polars.DataFrame({"species": species}).write_ndjson(output)


if __name__ == "__main__":
    main(*sys.argv[1:])
