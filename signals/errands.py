"""Work that somebody waits for, though not for ever: what takes longer is brought to its end without them."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from django.db import connections

T = TypeVar("T")


class Errand(Generic[T]):
    """`work`, in a thread of its own. Where nobody waits for it any more, `afterwards` is given its answer, there."""

    def __init__(self, work: Callable[[], T], afterwards: Callable[[T], object]) -> None:
        self._work, self._afterwards = work, afterwards
        self._lock, self._answers, self._alone = threading.Condition(), list[T](), False
        # A server that stops does not wait for it either: whoever looks after the rows goes on from there.
        threading.Thread(target=self._run, name="errand", daemon=True).start()

    def wait(self, seconds: float) -> T | None:
        """The answer; None where it takes longer."""
        with self._lock:
            self._lock.wait_for(lambda: self._answers, seconds)
            self._alone = not self._answers
            return self._answers[0] if self._answers else None

    def _run(self) -> None:
        try:
            answer = self._work()
            with self._lock:
                self._answers.append(answer)
                self._lock.notify_all()
                alone = self._alone
            if alone:
                self._afterwards(answer)
        finally:
            connections.close_all()
