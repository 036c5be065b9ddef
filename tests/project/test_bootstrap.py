"""What the bootstrap decides: which Python, which node, what is done already."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from project import bootstrap

ROOT = Path(bootstrap.__file__).parent.parent


@pytest.mark.parametrize(
    ("shown", "enough"),
    [
        ("v20.18.3", False),
        ("v20.19.0", True),
        ("v20.20.2", True),
        ("v21.7.0", False),
        ("v22.11.0", False),
        ("v22.12.0", True),
        ("v24.19.0", True),
        ("v18.20.0", False),
        ("", False),
    ],
)
def test_which_node_the_front_end_is_built_with(shown, enough):
    assert bootstrap.node_is_new_enough(shown) is enough


def test_a_digest_tells_names_and_contents_apart_and_no_order(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("a")
    two.write_text("b")
    before = bootstrap.digest([one, two])
    assert bootstrap.digest([two, one]) == before
    one.write_text("b")
    two.write_text("a")
    assert bootstrap.digest([one, two]) != before


def test_what_was_made_from_the_front_end_is_not_its_source(tmp_path):
    for name in ("pages/market.tsx", "dist/market.js", "node_modules/preact/package.json", "package.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    found = {str(path.relative_to(tmp_path)) for path in bootstrap.sources(tmp_path)}
    assert found == {"pages/market.tsx", "package.json"}


def test_a_step_is_done_again_when_what_it_was_made_from_changed(tmp_path):
    stamp = tmp_path / "stamp"
    assert not bootstrap.stamped(stamp, "1")
    stamp.write_text("1")
    assert bootstrap.stamped(stamp, "1")
    assert not bootstrap.stamped(stamp, "2")


def test_an_environment_for_development_serves_to_run(tmp_path, monkeypatch):
    environment = bootstrap.Environment(tmp_path)
    (tmp_path / "installed-dev").write_text(environment._value("dev"))
    monkeypatch.setattr(environment, "is_sound", lambda: True)
    bootstrap.prepare_python(environment, "run")
    assert not (tmp_path / "installed-run").exists()


def test_an_environment_without_python_or_anything_to_install_with_is_not_sound(tmp_path, monkeypatch):
    environment = bootstrap.Environment(tmp_path)
    assert not environment.is_sound()
    environment.python.parent.mkdir()
    environment.python.symlink_to(tmp_path / "removed")
    assert not environment.is_sound()
    environment.python.unlink()
    environment.python.symlink_to(sys.executable)
    monkeypatch.setattr(bootstrap.shutil, "which", lambda name: None)
    assert not environment.is_sound()
    (environment.folder / "bin" / "pip").touch()
    assert environment.is_sound()


def _stub(folder: Path, name: str, prints: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\necho {prints}\n")
    path.chmod(0o755)


def test_a_newer_python_is_found_by_name_and_asked_before_it_is_believed(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path}")
    assert bootstrap.newer_python() is None
    (tmp_path / "python3.14").write_text("#!/bin/sh\nexit 127\n")  # a version manager's stub that runs nothing
    (tmp_path / "python3.14").chmod(0o755)
    assert bootstrap.newer_python() is None
    _stub(tmp_path, "python3.12", "3 12")
    assert bootstrap.newer_python() == str(tmp_path / "python3.12")


def test_an_old_python_alone_is_told_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path}")
    with pytest.raises(SystemExit, match=r"3\.11 or newer, and this is 3\.9"):
        bootstrap.require_python((3, 9))


def test_a_python_without_ensurepip_is_told_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path}")
    monkeypatch.setattr(bootstrap, "_has_ensurepip", lambda: False)
    with pytest.raises(bootstrap.CannotPrepare, match="python3-venv"):
        bootstrap.Environment(tmp_path / ".venv").make()


def test_old_pythons_can_read_the_file_that_turns_them_away():
    ast.parse((ROOT / "project" / "bootstrap.py").read_text(), feature_version=(3, 7))


def test_the_bootstrap_needs_nothing_but_the_standard_library():
    code = "import sys; sys.path.insert(0, '.'); import project.bootstrap, project.progress, project.localservices"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], cwd=ROOT, check=True)
