"""Runs etl-host and its plugins on a Spark cluster that is there already.

`score_files` scores files in splits, and leaves a folder that is whole or not there; `score` scores a
DataFrame. Spark schedules and retries, the host does the work, and this package only starts it and
commits what it wrote. Nothing here reads or predicts a record.

`score` alone needs pyarrow and pandas, so it is imported when it is asked for.
"""

from typing import TYPE_CHECKING, Any

import pyspark

from .commit import CommitRefused, OutputExists, UnfinishedCommit
from .files import Scored, finish, score_files
from .host import HostFailed, Refused

if TYPE_CHECKING:
    from .frames import score

__all__ = [
    "CommitRefused",
    "HostFailed",
    "OutputExists",
    "Refused",
    "Scored",
    "UnfinishedCommit",
    "finish",
    "score",
    "score_files",
]


def __getattr__(name: str) -> Any:
    if name != "score":
        raise AttributeError(f"module {__name__} has no attribute {name}")
    try:
        from .frames import score
    except ImportError as error:
        if error.name == "pyspark.sql.pandas.functions":
            raise ImportError(f"score needs Spark 4.1 or newer, and here is {pyspark.__version__}") from error
        if (error.name or "").split(".")[0] != "pyarrow":
            raise
        raise ImportError("score needs pyarrow and pandas, on the driver and on the nodes: "
                          "pip install './spark[frames]'", name=error.name) from error
    return score
