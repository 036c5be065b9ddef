"""docs/licences.md names everything that we run with."""

import json
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_each_package_that_we_run_with_is_named_with_its_licence():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"]
    wanted = [*project["dependencies"], *optional["embedded"], *optional["ccxt"]]
    names = {re.match(r"[\w-]+", one)[0] for one in wanted}
    names |= set(json.loads((ROOT / "frontend/package.json").read_text())["dependencies"])
    rows = re.findall(r"^\| ([\w, -]+) \| .+ \| (\S.*) \|$", (ROOT / "docs/licences.md").read_text(), re.M)
    told = {name: licence for some, licence in rows for name in some.split(", ")}
    assert names - told.keys() == set()
