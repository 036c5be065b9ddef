"""Whole installations for the flow tests."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.flows.installation import Installation, prepare


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A migrated PostgreSQL with the demo data, made once and copied for each installation."""
    folder = tmp_path_factory.mktemp("prepared")
    yield prepare(folder)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def install(prepared: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., Installation]]:
    """`install(FEEDS="binance", …)` makes an installation with these settings; its services are started by the test."""
    made: list[Installation] = []
    request.node.installations = made
    with ExitStack() as stack:

        def make(**settings: str) -> Installation:
            made.append(Installation(tmp_path / f"installation{len(made)}", prepared, **settings))
            return stack.enter_context(made[-1])

        yield make


@pytest.fixture
def installation(install: Callable[..., Installation]) -> Installation:
    """One with the default settings: the simulated feed."""
    return install()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """Show a failed test what its processes said."""
    report = yield
    if report.failed:
        for made in getattr(item, "installations", []):
            report.sections.append(("what the services said", made.said()))
    return report
