"""How much is taken in: bytes of one message, and messages in a time.

All messages together are counted in each process, and cost it nothing: that is what keeps strangers off everything else.
What one sender may send is counted by the house, in one place for all processes.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from fastapi import Request
from quietus_recipients.saying import Said

MAX_BODY = 256 * 2**10  # bytes; the longest answer is a few thousand transaction numbers
IN_ALL = (50.0, 200.0)  # messages a second, and how many at once
EACH = (5.0, 100.0)  # of one sender, once it has shown who it is


class Allowance:
    """A bucket of tokens: ``burst`` at once, ``per_second`` after that."""

    def __init__(self, per_second: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second, self._burst, self._clock = per_second, burst, clock
        self._left, self._seen = burst, clock()
        self._turn = threading.Lock()

    def take(self) -> None:
        """One message. Raises Said (429, with the time to wait) if there is none left."""
        with self._turn:
            now = self._clock()
            self._left = min(self._burst, self._left + (now - self._seen) * self._per_second)
            self._seen = now
            if self._left < 1:
                raise _too_many(math.ceil((1 - self._left) / self._per_second))
            self._left -= 1


@dataclass(frozen=True)
class Allowances:
    """One for each sender that is known. Asked only after a sender has shown who it is: nobody can use up another's.

    ``spend``: takes one message of a sender off its allowance (messages a second, and how many at once), wherever that is
    counted; 0, or the seconds to wait.
    """

    spend: Callable[[str, float, float], int]
    per_second: float = EACH[0]
    burst: float = EACH[1]

    def take(self, sender: str) -> None:
        """One message. Raises Said (429, with the time to wait) if there is none left."""
        if wait := self.spend(sender, self.per_second, self.burst):
            raise _too_many(wait)


def _too_many(wait: int) -> Said:
    return Said(429, "too many messages; send this one again later", headers={"Retry-After": str(wait)})


async def body_of(request: Request, limit: int = MAX_BODY) -> bytes:
    """The raw body of a JSON message, never more than ``limit`` of it in memory. Raises Said (413, 415, 400)."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Said(415, "send application/json")
    said = request.headers.get("content-length", "0")
    if not said.isdecimal():
        raise Said(400, "the content length is no number")
    if int(said) > limit:
        raise Said(413, f"a message has at most {limit} bytes")
    read = bytearray()
    async for part in request.stream():
        read += part
        if len(read) > limit:
            raise Said(413, f"a message has at most {limit} bytes")
    return bytes(read)
