"""A journal of each test's own, and empty tick tables: they have no models, so Django's flush leaves them."""

import uuid

import pytest

from tests.ingestion.rows import clear_tables, empty_tables
from worker.redis import client, key


@pytest.fixture
def shard():
    """A shard of the test's own, whose source is `simulated`; its keys are removed afterwards."""
    name = f"simulated:test-{uuid.uuid4().hex[:12]}"
    yield name
    client().delete(key("journal", name), key("journal", name, "state"), key("changes", name), key("journal", "dead"))


@pytest.fixture
def tick_tables(transactional_db):
    """The tick tables, empty."""
    empty_tables()
    yield
    empty_tables()


@pytest.fixture
def tick_tables_in_transaction(db):
    """As `tick_tables`, inside one transaction that is rolled back: quicker, for tests with a single connection."""
    clear_tables()
