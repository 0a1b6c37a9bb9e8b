"""Many things at once: the answers keep the order, only so many are under way, and what one raises is not lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator

import pytest

from include.model.abreast import abreast


def test_answers_come_in_the_order_of_the_things() -> None:
    assert list(abreast(lambda n: time.sleep((7 - n) / 200) or n, range(8))) == list(range(8))


def test_things_are_taken_only_as_answers_are() -> None:
    taken = 0

    def things() -> Iterator[int]:
        nonlocal taken
        for n in range(1000):
            taken += 1
            yield n

    answers = abreast(lambda n: n, things(), workers=3)
    assert next(answers) == 0
    assert taken == 4
    assert isinstance(answers, Generator)
    answers.close()


def test_no_more_are_under_way_than_there_are_workers() -> None:
    now, most, lock = 0, 0, threading.Lock()

    def work(_n: int) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.005)
        with lock:
            now -= 1

    list(abreast(work, range(20), workers=3))
    assert 1 < most <= 3


def test_what_one_raises_is_raised_in_its_place() -> None:
    answers = abreast(lambda n: 6 // (2 - n), range(5))
    assert [next(answers), next(answers)] == [3, 6]
    with pytest.raises(ZeroDivisionError):
        next(answers)
