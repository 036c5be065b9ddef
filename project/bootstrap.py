"""Make this checkout ready: `.venv` from the hash-checked lock, node where there is none, the built front end.

    python3 -m project.bootstrap run|dev

Runs on a bare system Python (standard library only) and does nothing twice: each step leaves a stamp, the hash of what
it was made from. The top of this file parses on old Pythons, so that they can be told what is missing.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST_PYTHON = (3, 11)
NEWER_PYTHONS = ("python3.14", "python3.13", "python3.12", "python3.11")
REQUIREMENTS = ROOT / "requirements"
FRONTEND = ROOT / "frontend"
# Made from the front end's sources, or by its tools: not sources.
NOT_SOURCES = {"node_modules", "dist"}
# What Vite 8 runs on: 20.19 and later of 20, 22.12 and later.
OLDEST_NODES = ((20, 19), (22, 12))

NO_PYTHON = (
    "Tapehouse needs Python 3.11 or newer, and this is {found}.\n"
    "Install one beside it: python3.11 to python3.14 are found by their names."
)
NO_VENV = (
    "This Python cannot make a virtual environment: its module ensurepip is missing.\n"
    "On Debian and Ubuntu: apt-get install python3-venv. Or install uv, which needs no ensurepip."
)


class CannotPrepare(Exception):
    """Something is missing that we cannot provide. The text says what to do."""


# --- Python --------------------------------------------------------------------------------------------------------


def newer_python() -> str | None:
    """A Python that is new enough, by name; a name alone may be a stub that runs nothing."""
    for name in NEWER_PYTHONS:
        path = shutil.which(name)
        if path and _python_version(path) >= OLDEST_PYTHON:
            return path
    return None


def _python_version(python: str | Path) -> tuple[int, ...]:
    """Its (major, minor); () when it does not run."""
    command = [str(python), "-c", "import sys; print(*sys.version_info[:2])"]
    try:
        shown = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ()
    return tuple(int(part) for part in shown.split())


def require_python(version: tuple[int, ...] = tuple(sys.version_info[:2])) -> None:
    """Go on with a newer Python where this one is too old. Exits when there is none."""
    if version >= OLDEST_PYTHON:
        return
    found = newer_python()
    if found is None:
        raise SystemExit(NO_PYTHON.format(found=".".join(map(str, version))))
    os.execv(found, [found, "-m", "project.bootstrap", *sys.argv[1:]])  # noqa: S606


# --- Stamps --------------------------------------------------------------------------------------------------------


def digest(paths: list[Path]) -> str:
    """One hash over the files' names and contents, in whatever order they come."""
    total = hashlib.sha256()
    for path in sorted(paths):
        total.update(str(path).encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def stamped(stamp: Path, value: str) -> bool:
    """Whether the step that leaves `stamp` was last done for `value`."""
    try:
        return stamp.read_text() == value
    except OSError:
        return False


def sources(folder: Path) -> list[Path]:
    """The front end's sources, without what was made of them."""
    found: list[Path] = []
    for here, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in NOT_SOURCES]
        found += [Path(here) / name for name in files]
    return found


# --- The environment -----------------------------------------------------------------------------------------------


class Environment:
    """The virtual environment under `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "bin" / "python"

    def is_sound(self) -> bool:
        """Its interpreter may have been removed or replaced since; and something must be able to install into it."""
        if _python_version(self.python) < OLDEST_PYTHON:
            return False
        return shutil.which("uv") is not None or any(self.folder.glob("bin/pip*"))

    def make(self) -> None:
        from project import progress

        with progress.step("make the environment .venv"):
            uv = shutil.which("uv")
            if uv:
                progress.run([uv, "venv", "--seed", "--clear", "--python", sys.executable, self.folder])
            elif _has_ensurepip():
                progress.run([sys.executable, "-m", "venv", "--clear", self.folder])
            else:
                raise CannotPrepare(NO_VENV)

    def has(self, lock: str) -> bool:
        return stamped(self._stamp(lock), self._value(lock))

    def install(self, lock: str, title: str) -> None:
        """Install everything that the lock names, each file checked against its hash."""
        from project import progress

        path = REQUIREMENTS / f"{lock}.lock"
        with progress.step(f"install {title}"):
            self._install(path)
            self._stamp(lock).write_text(self._value(lock))

    def _install(self, path: Path) -> None:
        """By uv, several times faster; where it does not reach the packages that pip is set up for, by pip."""
        from project import progress

        uv = shutil.which("uv") or self._own_uv()
        if uv:
            command: list[str | Path] = [uv, "pip", "install", "--python", self.python, "--require-hashes", "-r", path]
            try:
                progress.run(command)
                return
            except progress.StepFailed:
                print("\n  uv could not install them; pip goes on", flush=True)
        progress.run(self._pip(path))

    def _own_uv(self) -> str | None:
        """uv, itself by hash, in the environment; None where pip does not get it either."""
        from project import progress

        own = self.folder / "bin" / "uv"
        with contextlib.suppress(progress.StepFailed):
            if not own.exists():
                progress.run(self._pip(REQUIREMENTS / "uv.lock"))
            return str(own)
        return None

    def _pip(self, path: Path) -> list[str | Path]:
        return [self.python, "-m", "pip", "install", "--disable-pip-version-check", "--require-hashes", "-r", path]

    def _stamp(self, lock: str) -> Path:
        return self.folder / f"installed-{lock}"

    def _value(self, lock: str) -> str:
        return digest([REQUIREMENTS / f"{lock}.lock"])


def _has_ensurepip() -> bool:
    command = [sys.executable, "-c", "import ensurepip, venv"]
    return subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == 0


def prepare_python(environment: Environment, purpose: str) -> None:
    """purpose: `run`, or `dev`, which holds `run` as well."""
    if not environment.is_sound():
        environment.make()
    if not any(environment.has(lock) for lock in dict.fromkeys((purpose, "dev"))):
        environment.install(purpose, "the Python packages")


# --- The front end -------------------------------------------------------------------------------------------------


def node_is_new_enough(shown: str) -> bool:
    """shown: what `node --version` prints, such as `v20.19.0`."""
    found = re.match(r"v(\d+)\.(\d+)", shown)
    if not found:
        return False
    version = int(found[1]), int(found[2])
    return any(version[0] == oldest[0] and version >= oldest for oldest in OLDEST_NODES) or version[0] > 22


def node_folder(environment: Environment) -> Path:
    """Where node and npm are: the system's when it is new enough, else one from the package registry, in .venv."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and node_is_new_enough(_shown([node, "--version"])):
        return Path(npm).parent
    if not environment.has("node"):
        environment.install("node", "node")
    return environment.folder / "bin"


def _shown(command: list[str]) -> str:
    try:
        return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout
    except OSError:
        return ""


def prepare_frontend(environment: Environment) -> None:
    """`npm ci` when the lock changed, `npm run build` when a source did."""
    from project import progress

    packages, built = FRONTEND / "node_modules" / ".installed", FRONTEND / "node_modules" / ".built"
    lock_value = digest([FRONTEND / "package-lock.json"])
    built_value = digest(sources(FRONTEND))
    is_built = stamped(built, built_value) and (FRONTEND / "dist" / "manifest.json").exists()
    if is_built and stamped(packages, lock_value):
        return
    env = {**os.environ, "PATH": f"{node_folder(environment)}{os.pathsep}{os.environ['PATH']}", "CI": "1"}
    if not stamped(packages, lock_value):
        with progress.step("install the front end's packages"):
            progress.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=FRONTEND, env=env)
            packages.write_text(lock_value)
    if not is_built:
        with progress.step("build the front end"):
            progress.run(["npm", "run", "build"], cwd=FRONTEND, env=env)
            built.write_text(built_value)


# --- Both ----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """One bootstrap at a time in this checkout: two `make run` may be started together."""
    folder = os.open(ROOT, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def main() -> int:
    require_python()
    parser = argparse.ArgumentParser(prog="python3 -m project.bootstrap")
    parser.add_argument("purpose", choices=["run", "dev"])
    purpose = parser.parse_args().purpose
    from project import progress

    environment = Environment(ROOT / ".venv")
    try:
        with alone():
            prepare_python(environment, purpose)
            prepare_frontend(environment)
    except (CannotPrepare, progress.StepFailed) as failure:
        print(f"\n{failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
