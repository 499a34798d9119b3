"""Runs etl-host and its plugins on a Spark cluster that is there already.

`score_files` scores files in splits, and leaves a folder that is whole or not there; `score` scores a
DataFrame. Spark schedules and retries, the host does the work, and this package only starts it and
commits what it wrote. Nothing here reads or predicts a record.
"""

from .commit import CommitRefused, OutputExists, UnfinishedCommit
from .files import Scored, finish, score_files
from .frames import score
from .host import HostFailed, Refused

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
