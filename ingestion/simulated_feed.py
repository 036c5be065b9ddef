"""The simulated market as a feed: asked every flush interval for what was received since, by the clock."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from django.conf import settings

from ingestion import status
from ingestion.feeds import Owner
from ingestion.pipeline import Pipeline
from ingestion.providers import simulated_faults
from ingestion.providers.simulated import Outage, Simulation
from ingestion.providers.simulated_faults import GAP, Faults, FaultySimulation
from ingestion.status import ConnectionStatus

# What a hole that nobody noticed at once is recorded as.
MUTE_REASON: Final = "mute"


class SimulatedFeed:
    """It has no socket; what SIMULATED_FAULTS has go wrong is told to the listener as a venue's feed would.

    owner: told of the holes; a gap while it lasts, a mute stretch when it is over.
    """

    def __init__(self, pipeline: Pipeline, seed: int, ticks_per_s: float, faults: Faults, owner: Owner) -> None:
        self.pipeline, self._seed, self._ticks_per_s = pipeline, seed, ticks_per_s
        self._faults, self._owner = faults, owner
        self.state, self.reconnects, self.venue_errors = status.CONNECTING, 0, 0
        self._simulation: Simulation | FaultySimulation | None = None
        self._symbols: tuple[str, ...] = ()
        self._out: Outage | None = None

    def follow(self, symbols: Sequence[str]) -> None:
        wanted = tuple(sorted(symbols))
        if wanted != self._symbols:
            self._symbols = wanted
            self._simulation = self._market(wanted) if wanted else None

    def _market(self, symbols: Sequence[str]) -> Simulation | FaultySimulation:
        return simulated_faults.market(self._seed, symbols, self._ticks_per_s, self._faults)

    def resubscribe_books(self, symbols: Sequence[str]) -> None:
        """Its books come whole."""

    def unheard(self) -> list[str]:
        return []

    def mute(self) -> list[str]:
        return []

    def refused(self) -> list[str]:
        return []

    def connections(self) -> list[ConnectionStatus]:
        return []

    async def run(self) -> None:
        from_us = time.time_ns() // 1000
        self.state = status.LIVE
        while True:
            await asyncio.sleep(settings.LISTENER_FLUSH_INTERVAL_MS / 1000)
            now_us = time.time_ns() // 1000
            if self._simulation is not None and now_us > from_us:
                self.pipeline.offer(self._simulation.ticks(from_us, now_us))
                for outage in self._simulation.outages(from_us, now_us):
                    self._begin(outage)
                    if outage.until_us <= now_us:
                        self._end(outage)
            from_us = max(from_us, now_us)

    def _begin(self, outage: Outage) -> None:
        if outage != self._out:
            self._out = outage
            if outage.kind == GAP:
                self.state = status.CONNECTING
                self._owner.lost(self, outage.from_us)

    def _end(self, outage: Outage) -> None:
        if outage.kind == GAP:
            self.state = status.LIVE
            self.reconnects += 1
            self._owner.found(self)
        else:
            self._owner.missed(outage.from_us, MUTE_REASON)
