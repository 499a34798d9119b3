"""Who scores files needs no pyarrow, on the driver or on a node."""

import subprocess
import sys

from conftest import ROOT

WITHOUT_PYARROW = "import sys; sys.modules['pyarrow'] = sys.modules['pandas'] = None; "


def python(code: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-c", WITHOUT_PYARROW + code], cwd=ROOT / "spark", capture_output=True,
                          text=True, check=False)


def test_files_are_scored_without_pyarrow() -> None:
    done = python("from etl_host_spark import finish, score_files; import etl_host_spark.files")
    assert done.returncode == 0, done.stderr


def test_score_tells_which_extra_to_install() -> None:
    done = python("from etl_host_spark import score")
    assert "ImportError: score needs pyarrow and pandas, on the driver and on the nodes" in done.stderr
    assert "pip install './spark[frames]'" in done.stderr


def test_score_tells_which_spark_it_needs() -> None:
    older = "import pyspark.sql.pandas.functions as there; del there.arrow_udf; "
    done = subprocess.run([sys.executable, "-c", older + "from etl_host_spark import score"], cwd=ROOT / "spark",
                          capture_output=True, text=True, check=False)
    assert "ImportError: score needs Spark 4.1 or newer, and here is 4." in done.stderr
