"""Where things are: the binary and the plugins of `ETL_HOST_RELEASE`, a folder [default: target/release]."""

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RELEASE = Path(os.environ.get("ETL_HOST_RELEASE", ROOT / "target" / "release"))
sys.path[:0] = [str(ROOT / "spark"), str(Path(__file__).parent)]


@pytest.fixture(scope="session")
def binary() -> str:
    return str(RELEASE / "etl-host")


@pytest.fixture(scope="session")
def iris() -> str:
    return str(RELEASE / "libiris_model.so")
