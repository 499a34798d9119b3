"""The graph of the system that etl-host takes after: LdjsonReader, MLModelTransformer, LdjsonWriter.

One record at a time through Bonobo's queues, checked against the model's schema, predicted by
scikit-learn on its own: the original's shape, with its classes written anew and today's libraries.
"""

import importlib
import sys
from abc import ABC, abstractmethod

import numpy
import old_python  # noqa: F401  (must come before bonobo)
import bonobo
from bonobo.nodes.io.json import LdjsonReader, LdjsonWriter
from model import FIELDS, SPECIES, fitted
from schema import Or, Schema, SchemaError


class MLModelSchemaValidationException(Exception):
    """A record that breaks the input schema."""


class MLModel(ABC):
    @abstractmethod
    def predict(self, data):
        """The prediction for one record."""


class IrisModel(MLModel):
    input_schema = Schema(dict.fromkeys(FIELDS, float))
    output_schema = Schema({"species": Or(*SPECIES)})

    def __init__(self):
        self._model = fitted()

    def predict(self, data):
        try:
            self.input_schema.validate(data)
        except SchemaError as error:
            raise MLModelSchemaValidationException(f"Failed to validate input data: {error}")
        row = numpy.array([data[field] for field in FIELDS]).reshape(1, -1)
        return {"species": SPECIES[int(self._model.predict(row)[0])]}


class MLModelTransformer:
    def __init__(self, module_name, class_name):
        model = getattr(importlib.import_module(module_name), class_name)()
        if not isinstance(model, MLModel):
            raise ValueError("The MLModelNode can only hold references to objects of type MLModel.")
        self._model = model

    def __call__(self, data):
        yield self._model.predict(data=data)


def main(source, output):
    graph = bonobo.Graph()
    graph.add_chain(
        LdjsonReader(source, mode="r"),
        MLModelTransformer(module_name=__name__, class_name="IrisModel"),
        LdjsonWriter(output, mode="w"),
    )
    bonobo.run(graph, services={})


if __name__ == "__main__":
    main(*sys.argv[1:])
