"""Where secrets come from outside Airflow: the environment, in the form in which Airflow takes them too.

A connection ``company`` for the role ``eraser`` is ``QUIETUS_CONN_COMPANY_ERASER``, else
``AIRFLOW_CONN_COMPANY_ERASER``: JSON with ``host``, ``port``, ``login``, ``password``, ``schema`` and
``extra``. ``Environment`` implements ``include.model.doors.Connections``; the two builders below it are
also used by the resolver inside Airflow, so that both give the same time-outs.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg

from include.model.doors import Endpoint
from include.model.errors import NotReachable, Refused
from include.model.words import Role

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PREFIXES = ("QUIETUS_CONN_", "AIRFLOW_CONN_")
SUCCESSOR_INBOX = "successor_inbox"
"""Connection ``<it>_courier``: the successor's bucket for bags, for both sides of a shutdown; its text is the bucket's name."""
CONNECT_SECONDS = 10
READ_SECONDS = 60  # S3: the longest silence inside one answer


def postgres_conninfo(
    *, host: str, port: int, login: str, password: str, database: str, application: str
) -> str:
    """A libpq conninfo that notices a dead server: time-out to connect, keepalives while waiting."""
    return psycopg.conninfo.make_conninfo(
        host=host,
        port=port,
        user=login,
        password=password,
        dbname=database,
        application_name=application,
        connect_timeout=CONNECT_SECONDS,
        keepalives=1,
        keepalives_idle=30,  # seconds
        keepalives_interval=10,
        keepalives_count=3,
        tcp_user_timeout=60_000,  # milliseconds
    )


def s3_client(*, access_key: str, secret_key: str, extra: Mapping[str, Any]) -> S3Client:
    """An S3 client with time-outs and standard retries. TLS is verified, and cannot be switched off.

    ``extra``: ``endpoint_url`` (absent: the public cloud), ``region_name``.
    """
    import boto3
    from botocore.config import Config

    client: S3Client = boto3.client(
        "s3",
        endpoint_url=extra.get("endpoint_url") or None,
        region_name=extra.get("region_name") or "us-east-1",
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        config=Config(
            s3={"addressing_style": "path"},  # a bucket is no host name on other people's servers
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"mode": "standard", "max_attempts": 5},  # backs off on SlowDown
            max_pool_connections=16,
        ),
    )
    return client


def endpoint_of(name: str, *, login: str, secret: str, extra: Mapping[str, Any]) -> Endpoint:
    """``extra``: ``url``; ``authority``, a file of certificates. Raises Refused for an address that anybody on the
    way could read; what goes to a ``mailto:`` address is protected by our own mail server's."""
    url = str(extra.get("url") or "")
    found = urlsplit(url)
    if found.scheme == "mailto" and "@" in found.path:
        return Endpoint(url, login, secret, extra.get("authority") or None)
    loopback = found.hostname in ("127.0.0.1", "::1", "localhost")
    if not found.hostname or not (
        found.scheme in ("https", "smtps") or (found.scheme in ("http", "smtp") and loopback)
    ):
        raise Refused(
            "the connection has no address that is protected on the way", about=name,
            next_step='set "url" of its extra to https://… (smtps://… for a mail server, mailto:… for letters)',
        )  # fmt: skip
    return Endpoint(url.rstrip("/"), login, secret, extra.get("authority") or None)


def business_connection(connection: str, business_role: str) -> str:
    """The id of the connection with a business role's key: ``objects_as_portal``."""
    return f"{connection}_as_{re.sub('[^a-z0-9]+', '_', business_role.lower()).strip('_')}"


class Environment:
    """The resolver of connections for the command line and for tests.

    ``variables``: the environment to read (default: this process's).
    """

    def __init__(self, variables: Mapping[str, str] | None = None) -> None:
        self._variables = os.environ if variables is None else variables
        self._clients: dict[tuple[str, str], S3Client] = {}

    def postgres(self, connection: str, role: Role) -> str:
        """The conninfo for one role. Raises Refused if the connection is not declared or is incomplete."""
        name = f"{connection}_{role.value}"
        said = self._declared(name)
        return postgres_conninfo(
            host=_text(said, name, "host"),
            port=_port(said, name),
            login=_text(said, name, "login"),
            password=_text(said, name, "password"),
            database=_text(said, name, "schema"),
            application=f"quietus {role.value}",
        )

    def s3(self, connection: str, role: Role) -> S3Client:
        """The S3 client with one role's key. Raises Refused as ``postgres`` does."""
        return self._client(f"{connection}_{role.value}")

    def s3_as(self, connection: str, business_role: str) -> S3Client:
        """The S3 client with the key of one of the company's own applications. Raises Refused as ``postgres`` does."""
        return self._client(business_connection(connection, business_role))

    def _client(self, name: str) -> S3Client:
        """One for each key: to make one takes longer than most of its requests, and any number of threads may use it."""
        said = self._declared(name)
        of = (name, json.dumps(said, sort_keys=True))
        if of not in self._clients:
            self._clients[of] = s3_client(
                access_key=_text(said, name, "login"),
                secret_key=_text(said, name, "password"),
                extra=_extra(said, name),
            )
        return self._clients[of]

    def text(self, name: str) -> str:
        """A plain connection: its ``extra.text``, else its ``host``."""
        said = self._declared(name)
        text = _extra(said, name).get("text")
        return str(text) if text else _text(said, name, "host")

    def endpoint(self, name: str) -> Endpoint:
        """Another company's address, with what we show there. Raises Refused as ``postgres`` does."""
        said = self._declared(name)
        return endpoint_of(
            name,
            login=str(said.get("login") or ""),
            secret=str(said.get("password") or ""),
            extra=_extra(said, name),
        )

    def _declared(self, name: str) -> dict[str, Any]:
        for prefix in PREFIXES:
            value = self._variables.get(prefix + name.upper())
            if value:
                break
        else:
            raise Refused(
                "the connection is not declared",
                about=name,
                next_step=f"set {PREFIXES[0]}{name.upper()}, or start the sandbox: quietus sandbox up",
            )
        try:
            said = json.loads(value)
        except ValueError:
            said = None
        if not isinstance(said, dict):
            raise Refused(
                "the connection is not a JSON object",
                about=name,
                next_step='write it as {"host": ..., "port": ..., "login": ..., "password": ...}',
            ) from None
        return said


def reachable(conninfo: str, about: str) -> None:
    """Connect once and leave. Raises NotReachable, never quoting the conninfo."""
    try:
        psycopg.connect(conninfo).close()
    except psycopg.OperationalError:
        raise NotReachable(
            "the database does not answer, or turned the role away",
            about=about,
            next_step="check that it runs (quietus sandbox status), and its secret",
        ) from None


def _text(said: Mapping[str, Any], name: str, key: str) -> str:
    value = said.get(key)
    if not isinstance(value, str) or not value:
        raise Refused(f"the connection has no {key}", about=name, next_step=f'add "{key}" to its JSON')
    return value


def _port(said: Mapping[str, Any], name: str) -> int:
    try:
        port = int(said.get("port") or 5432)
    except (TypeError, ValueError):
        port = 0
    if not 0 < port < 65536:
        raise Refused("the connection's port is not a port number", about=name)
    return port


def _extra(said: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    extra = said.get("extra") or {}
    if isinstance(extra, str):  # Airflow writes it as a string of JSON
        try:
            extra = json.loads(extra)
        except ValueError:
            extra = None
    if not isinstance(extra, dict):
        raise Refused("the connection's extra is not a JSON object", about=name)
    return extra
