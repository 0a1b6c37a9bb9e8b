"""Ports: chosen once, kept, and chosen anew only when somebody else listens there."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from include.model.errors import NotReachable
from include.sandbox.stack import ports
from include.sandbox.stack.ports import HIGHEST, LOWEST, PortBook, is_free


@contextmanager
def taken(port: int) -> Iterator[None]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", port))
        listener.listen()
        yield


def test_a_port_is_kept_for_the_next_start(tmp_path: Path) -> None:
    book = PortBook(tmp_path / "ports.json")
    chosen = {name: book.get(name, ours_is_listening=False) for name in ("company", "objects", "airflow")}
    assert len(set(chosen.values())) == 3
    assert all(LOWEST <= port <= HIGHEST for port in chosen.values())
    again = PortBook(tmp_path / "ports.json")
    assert {name: again.get(name, ours_is_listening=False) for name in chosen} == chosen
    assert again.known("nobody") is None


def test_a_port_that_somebody_took_meanwhile_is_chosen_anew_and_the_others_are_kept(tmp_path: Path) -> None:
    book = PortBook(tmp_path / "ports.json")
    company, objects = (book.get(n, ours_is_listening=False) for n in ("company", "objects"))
    with taken(company):
        assert not is_free(company)
        other = book.get("company", ours_is_listening=False)
        assert other not in (company, objects)
        assert book.get("objects", ours_is_listening=False) == objects
    assert PortBook(tmp_path / "ports.json").known("company") == other, "written down"


def test_a_port_that_our_own_server_listens_on_is_ours(tmp_path: Path) -> None:
    book = PortBook(tmp_path / "ports.json")
    port = book.get("company", ours_is_listening=False)
    with taken(port):
        assert book.get("company", ours_is_listening=True) == port


@pytest.mark.parametrize("text", ["", "{", "[]", '{"company": "x"}'])
def test_a_spoiled_book_costs_a_new_choice_and_nothing_else(tmp_path: Path, text: str) -> None:
    (tmp_path / "ports.json").write_text(text)
    port = PortBook(tmp_path / "ports.json").get("company", ours_is_listening=False)
    assert PortBook(tmp_path / "ports.json").known("company") == port


def test_no_free_port_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "is_free", lambda port: False)
    with pytest.raises(NotReachable, match="no free port"):
        ports.free_port()
