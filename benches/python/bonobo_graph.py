"""The graph of the system that etl-host takes after: LdjsonReader, MLModelTransformer, LdjsonWriter.

One record at a time through Bonobo's queues, checked against the model's schema, predicted by
scikit-learn on its own: the original's shape, with its classes written anew and today's libraries.
"""

import importlib
import sys
import time
from abc import ABC, abstractmethod

import numpy
import old_python  # noqa: F401  (must come before bonobo)
import bonobo
from bonobo.execution.strategies import ThreadPoolExecutorStrategy
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
            raise MLModelSchemaValidationException(f"Failed to validate input data: {error}") from error
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


class OneAfterTheOther(ThreadPoolExecutorStrategy):
    """Bonobo's default, a thread for each node; but the next starts when the last has. Otherwise a
    reader of one record is at its end before there is a writer, and the run takes itself for over.
    """

    def get_starter(self, executor, futures):
        start = super().get_starter(executor, futures)

        def started(node):
            start(node)
            while not (node.started or futures[-1].done()):
                time.sleep(0.0001)

        return started


def main(source, output):
    graph = bonobo.Graph()
    graph.add_chain(
        LdjsonReader(source, mode="r"),
        MLModelTransformer(module_name=__name__, class_name="IrisModel"),
        LdjsonWriter(output, mode="w"),
    )
    # By default its file system is the working folder, and an absolute path is one below it.
    services = {"fs": bonobo.open_fs("/")}
    bonobo.run(graph, strategy=OneAfterTheOther(), services=services)


if __name__ == "__main__":
    main(*sys.argv[1:])
