"""pandas reads and writes the JSON in chunks, scikit-learn predicts."""

import sys

import pandas
from model import FIELDS, SPECIES, fitted

CHUNK_RECORDS = 100_000


def main(source, output):
    model = fitted()
    with pandas.read_json(source, lines=True, chunksize=CHUNK_RECORDS) as chunks, open(output, "w") as out:
        for chunk in chunks:
            species = pandas.Categorical.from_codes(model.predict(chunk[FIELDS].to_numpy()), SPECIES)
            pandas.DataFrame({"species": species}).to_json(out, orient="records", lines=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
