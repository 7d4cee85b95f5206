"""Queues of bounded length before the threads that do the work."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from starlette.requests import Request

from latelite.serve.answers import BusyError, RequestError

Result = TypeVar("Result")


class Lane:
    """Work of one kind: so many threads, so many requests that wait for one, and no more.

    Lanes are apart from each other, so that a long list to rerank does not hold up a search.

    Args:
        name: of the threads.
        threads: that work at a time.
        waiting: requests that may wait.
        seconds: from joining the queue to the answer.
    """

    def __init__(self, name: str, *, threads: int, waiting: int, seconds: float) -> None:
        self.name = name
        self.refused = 0
        self._most = threads + waiting
        self._seconds = seconds
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=f"latelite-{name}")
        self._lock = threading.Lock()
        self._present = 0

    @property
    def present(self) -> int:
        """Requests that wait or are worked on."""
        return self._present

    async def run(self, request: Request, work: Callable[..., Result], *arguments: Any) -> Result:
        """Do some work on one of the lane's threads.

        Work that has not begun when its client goes away, or its time is up, is not begun at all.

        Raises:
            BusyError: too many are waiting, or it took too long.
        """
        with self._lock:
            if self._present >= self._most:
                self.refused += 1
                raise BusyError("The server is busy; try again in a second.")
            self._present += 1
        try:
            job = self._pool.submit(work, *arguments)
        except BaseException:
            self._leave()
            raise
        job.add_done_callback(self._leave)
        answer = asyncio.wrap_future(job)
        gone = asyncio.ensure_future(_disconnected(request))
        try:
            waiting: set[asyncio.Future[Any]] = {answer, gone}
            await asyncio.wait(waiting, timeout=self._seconds, return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return answer.result()
            job.cancel()
            if gone.done():
                raise RequestError(499, "The client closed the connection.")
            self.refused += 1
            raise BusyError(f"The answer took longer than {self._seconds:g} seconds.", retry_after=2)
        finally:
            gone.cancel()
            answer.cancel()

    def close(self) -> None:
        """Let the threads end; what waits is dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _leave(self, _: Future[Any] | None = None) -> None:
        with self._lock:
            self._present -= 1


async def _disconnected(request: Request) -> None:
    """Return when the client has gone. The body must have been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
