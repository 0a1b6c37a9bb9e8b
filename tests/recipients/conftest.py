"""The other side of each channel: an HTTPS server and a mail server of our own, that do what a test tells them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from include.model.doors import Endpoint
from include.model.errors import Refused
from include.recipients.calling import Patience
from include.recipients.opendsr import OpenDSR
from tests.recipients.authority import Authority, Issued
from tests.recipients.body import SECRET, Body, serving
from tests.recipients.letterbox import Letterbox, receiving
from tests.recipients.making import BODY

WHO = "jinlianhuitong"
DOMAIN = BODY[WHO].domain or ""
OURS = "https://console.example/quietus/recipients/callback"
QUICK = Patience(connect=2, silence=0.5, whole=2)


@dataclass
class World:
    """One body and how it is reached."""

    body: Body
    authority: Authority
    authority_file: str
    directory: Path
    signer: Issued

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(self.body.url, secret=SECRET, authority=self.authority_file)

    def channel(self, patience: Patience = QUICK, **changed: str | None) -> OpenDSR:
        said = {"url": self.body.url, "secret": SECRET, "authority": self.authority_file} | changed
        return OpenDSR(BODY[WHO], Endpoint(**said), callback_url=OURS, patience=patience)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def _world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("world")
    authority = Authority()
    signer = authority.issue(DOMAIN)
    with serving(Body(DOMAIN, signer), authority.issue("127.0.0.1"), directory) as body:
        yield World(body, authority, authority.file(directory), directory, signer)


@pytest.fixture
def world(_world: World) -> World:
    """The body, as it is when nothing is wrong with it."""
    fresh = Body(DOMAIN, _world.signer, port=_world.body.port)
    vars(_world.body).update(vars(fresh))
    return _world


@pytest.fixture(scope="module")
def _letterbox() -> Iterator[Letterbox]:
    with receiving() as box:
        yield box


@pytest.fixture
def letterbox(_letterbox: Letterbox) -> Letterbox:
    _letterbox.mode = ""
    _letterbox.letters.clear()
    return _letterbox


class Declared:
    """Connections that a test declares."""

    def __init__(self, endpoints: Mapping[str, Endpoint]) -> None:
        self._endpoints = endpoints

    def endpoint(self, name: str) -> Endpoint:
        if name not in self._endpoints:
            raise Refused("the connection is not declared", about=name)
        return self._endpoints[name]
