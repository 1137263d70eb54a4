"""Results of a function that threads compute ahead of the one who asks for them, in order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from typing import Generic, TypeVar

Result = TypeVar("Result")


def computed_ahead(
    function: Callable[[int], Result], numbers: Sequence[int], workers: int, ahead: int
) -> Generator[Result, None, None]:
    """Yield ``function(number)`` for all numbers in their order, computed by threads.

    An exception of the function is raised where its result would have come. Threads start with the first result that is
    asked for; all have ended when the generator ends or is closed, also by ``break`` or an exception in its consumer.

    Args:
        function: called once for each number, from several threads.
        numbers: its arguments.
        workers: how many threads; 0 to compute in the calling thread.
        ahead: how many results beyond the last one that was asked for may wait or be in work.
    """
    if workers == 0:
        yield from map(function, numbers)
        return
    queue = _Queue(function, numbers, ahead)
    threads = [
        threading.Thread(target=queue.work, name=f"archcost-loader-{worker}", daemon=True)
        for worker in range(min(workers, len(numbers)))
    ]
    try:
        for thread in threads:
            thread.start()
        for place in range(len(numbers)):
            yield queue.wait_for(place)
    finally:
        queue.close()
        for thread in threads:
            if thread.ident is not None:
                thread.join()


class _Queue(Generic[Result]):
    """What the threads and the consumer share."""

    def __init__(self, function: Callable[[int], Result], numbers: Sequence[int], ahead: int) -> None:
        self._function, self._numbers, self._ahead = function, numbers, ahead
        self._changed = threading.Condition()
        self._begun = 0
        self._asked = -1
        self._closed = False
        self._results: dict[int, Result] = {}
        self._errors: dict[int, BaseException] = {}

    def work(self) -> None:
        """Compute results until all have been begun or nobody wants them."""
        while (place := self._next()) is not None:
            try:
                result = self._function(self._numbers[place])
            except BaseException as error:  # noqa: BLE001  (raised again in the consumer)
                with self._changed:
                    self._errors[place] = error
                    self._changed.notify_all()
                return
            with self._changed:
                self._results[place] = result
                self._changed.notify_all()

    def _next(self) -> int | None:
        """Return the next place to compute, when it is its turn; None if there is none."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or self._begun >= len(self._numbers) or self._begun <= self._asked + self._ahead
            )
            if self._closed or self._begun >= len(self._numbers):
                return None
            self._begun += 1
            return self._begun - 1

    def wait_for(self, place: int) -> Result:
        """Return the result of a place; raise the exception if there was one."""
        with self._changed:
            self._asked = place
            self._changed.notify_all()
            self._changed.wait_for(lambda: place in self._results or place in self._errors)
            if place in self._errors:
                raise self._errors[place]
            return self._results.pop(place)

    def close(self) -> None:
        """Let the threads end."""
        with self._changed:
            self._closed = True
            self._results.clear()
            self._changed.notify_all()
