"""The classifier of plugins/iris_model (its README says how it is fitted), for the Python stacks.

`fitted()` is scikit-learn's own object, `session()` the same model in ONNX Runtime. Both are files in
`bench-data/models`, or where BENCH_MODELS says, which `python model.py` makes: a stack is timed with
loading its model, as a job in use does, and not with fitting it.
"""

import os
from pathlib import Path

import joblib

FIELDS = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
SPECIES = ["setosa", "versicolor", "virginica"]
FOLDER = Path(os.environ.get("BENCH_MODELS", "bench-data/models"))


def fitted():
    return joblib.load(FOLDER / "iris.joblib")


def session():
    import onnxruntime

    return onnxruntime.InferenceSession(FOLDER / "iris.onnx", providers=["CPUExecutionProvider"])


def classes(session, rows):
    """The class of each row of a float32 array `[rows, 4]`."""
    return session.run(None, {"rows": rows})[0]


def make():
    from onnx.utils import Extractor
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType
    from sklearn.datasets import load_iris
    from sklearn.svm import SVC

    iris = load_iris()
    assert list(iris.target_names) == SPECIES
    model = SVC(gamma=0.001, C=100).fit(iris.data[:-1], iris.target[:-1])
    FOLDER.mkdir(parents=True, exist_ok=True)
    joblib.dump(model, FOLDER / "iris.joblib")
    inputs = [("rows", FloatTensorType([None, len(FIELDS)]))]  # ONNX's classifier knows no float64
    onnx = to_onnx(model, initial_types=inputs, options={"zipmap": False})
    label = onnx.graph.output[0].name
    # Without the part that works out the scores, which nobody asks for here.
    onnx = Extractor(onnx).extract_model(["rows"], [label])
    (FOLDER / "iris.onnx").write_bytes(onnx.SerializeToString())


if __name__ == "__main__":
    make()
