"""The company's connections, but that one of its databases is reached somewhere else: in a restored copy, and not itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import psycopg

from include.model.doors import Connections, Endpoint
from include.model.words import Role

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class Elsewhere:
    """The same :class:`include.model.doors.Connections`, but that whatever ``connection`` is said to be goes ``there``."""

    def __init__(self, connections: Connections, connection: str, there: Callable[[str], str]) -> None:
        self._connections, self._connection, self._there = connections, connection, there

    def postgres(self, connection: str, role: Role) -> str:
        said = self._connections.postgres(connection, role)
        return self._there(said) if connection == self._connection else said

    def s3(self, connection: str, role: Role) -> S3Client:
        """As the real ones."""
        return self._connections.s3(connection, role)

    def text(self, name: str) -> str:
        """As the real ones."""
        return self._connections.text(name)

    def endpoint(self, name: str) -> Endpoint:
        """As the real ones."""
        return self._connections.endpoint(name)


def over_socket(sockets: str, port: int) -> Callable[[str], str]:
    """The same role, database and secret, on the server whose socket is in that directory."""
    place: dict[str, str | int | None] = {"host": sockets, "port": port, "hostaddr": None, "sslmode": None}
    return lambda conninfo: psycopg.conninfo.make_conninfo(conninfo, **place)
