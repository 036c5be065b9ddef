"""Where the recordings of real venues are, and what an independent computation found in them."""

import gzip
import json
import os
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
RECORDINGS = Path(os.environ.get("TAPEHOUSE_RECORDINGS", ROOT.parent / "shared" / "data"))


def recording(name):
    """The file's path; skips the test, saying why, where the recordings are absent."""
    path = RECORDINGS / name
    if not path.exists():
        pytest.skip(f"no recording {path}: set TAPEHOUSE_RECORDINGS")
    return path


@cache
def expected():
    return json.loads(recording("EXPECTED.json").read_text())


def frames(name):
    """(frame, received in µs) of a file of lines `<nanoseconds> <json>`."""
    with gzip.open(recording(name)) as lines:
        for line in lines:
            at_ns, _, frame = line.partition(b" ")
            yield frame.strip(), int(at_ns) // 1000
