"""Doing the same to many things at once, where each is a request that is waited for: answers in order, and only so many
under way, so that memory does not grow with their number."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

WORKERS = 8


def abreast(work: Callable[[T], R], things: Iterable[T], *, workers: int = WORKERS) -> Iterator[R]:
    """``work(thing)`` of each thing, in the order of the things. What one raises is raised in its place."""
    with ThreadPoolExecutor(workers) as pool:
        under_way: deque[Future[R]] = deque()
        try:
            for thing in things:
                under_way.append(pool.submit(work, thing))
                if len(under_way) > workers:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:  # whoever asked for no more, or was refused one: the others need not be begun
            for future in under_way:
                future.cancel()
