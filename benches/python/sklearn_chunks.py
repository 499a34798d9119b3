"""A loop that anyone can write: json, and scikit-learn asked about some thousand records at a time."""

import json
import sys
from itertools import islice

from model import FIELDS, SPECIES, fitted

CHUNK_RECORDS = 10_000


def main(source, output):
    model = fitted()
    with open(source) as lines, open(output, "w") as out:
        while chunk := [json.loads(line) for line in islice(lines, CHUNK_RECORDS)]:
            rows = [[record[field] for field in FIELDS] for record in chunk]
            for index in model.predict(rows):
                out.write(json.dumps({"species": SPECIES[index]}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
