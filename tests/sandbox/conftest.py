from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sandbox.outside import Company, running


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    """A small company, and bodies outside it that are done at once."""
    with running(tmp_path_factory.mktemp("outside")) as made:
        yield made
