"""Who wants what, and for how long."""

import time_machine

from ingestion import demand


def test_wishes_add_up_and_run_out(own_prefix):
    with time_machine.travel(1_800_000_000, tick=False) as clock:
        demand.want("portfolio:1", [1, 2], ttl_s=10)
        demand.want("portfolio:2", [2, 3], ttl_s=30)
        assert demand.wanted() == {1, 2, 3}
        clock.shift(11)
        assert demand.wanted() == {2, 3}
        demand.want("portfolio:2", [3], ttl_s=30)
        clock.shift(25)
        assert demand.wanted() == {3}


def test_wanting_nothing_is_allowed(own_prefix):
    demand.want("portfolio:1", [], ttl_s=10)
    assert demand.wanted() == set()
