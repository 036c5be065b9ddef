"""The simulated market as a feed: asked every flush interval for what happened since, by the clock."""

import asyncio
import time
from collections.abc import Sequence

from django.conf import settings

from ingestion import status
from ingestion.pipeline import Pipeline
from ingestion.providers.simulated import Simulation
from ingestion.status import ConnectionStatus


class SimulatedFeed:
    """It has no socket, so that nothing about it can be lost, refused or mute."""

    def __init__(self, pipeline: Pipeline, seed: int, ticks_per_s: float) -> None:
        self.pipeline, self._seed, self._ticks_per_s = pipeline, seed, ticks_per_s
        self.state, self.reconnects, self.venue_errors = status.CONNECTING, 0, 0
        self._simulation: Simulation | None = None
        self._symbols: tuple[str, ...] = ()

    def follow(self, symbols: Sequence[str]) -> None:
        wanted = tuple(sorted(symbols))
        if wanted != self._symbols:
            self._symbols = wanted
            self._simulation = Simulation(self._seed, wanted, self._ticks_per_s) if wanted else None

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
            from_us = max(from_us, now_us)
