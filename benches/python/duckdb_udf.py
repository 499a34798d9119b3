"""DuckDB reads and writes the JSON and asks ONNX Runtime through a vectorised (Arrow) function."""

import sys

import duckdb
import numpy
import pyarrow
from model import FIELDS, SPECIES, classes, session


def main(source, output):
    onnx = session()
    names = pyarrow.array(SPECIES)

    def species(sepal_length, sepal_width, petal_length, petal_width):
        columns = [sepal_length, sepal_width, petal_length, petal_width]
        rows = numpy.column_stack([column.to_numpy() for column in columns])
        return names.take(pyarrow.array(classes(onnx, rows)))

    database = duckdb.connect()
    floats = ["FLOAT"] * len(FIELDS)  # what the ONNX model takes
    database.create_function("species", species, floats, "VARCHAR", type="arrow")
    fields, types = ", ".join(FIELDS), dict.fromkeys(FIELDS, "FLOAT")
    database.execute(
        f"COPY (SELECT species({fields}) AS species"
        f" FROM read_json($source, format = 'newline_delimited', columns = {types}))"
        " TO $output (FORMAT json)",
        {"source": source, "output": output},
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
