"""``airflow_settings.yaml`` to what the processes read: connections and variables in the environment.

In the environment, not in Airflow's database: a secret then never lands in a table, a backup of it, or an
API's answer. Pools can live nowhere but in that database and go through the REST API.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from include.model.errors import Refused

# Astro's names of a connection's fields, and Airflow's in the JSON of AIRFLOW_CONN_<ID>.
_FIELDS = {
    "conn_type": "conn_type",
    "conn_host": "host",
    "conn_schema": "schema",
    "conn_login": "login",
    "conn_password": "password",
    "conn_port": "port",
    "conn_extra": "extra",
}


@dataclass(frozen=True)
class Pool:
    name: str
    slots: int
    description: str


@dataclass(frozen=True)
class Settings:
    """The file's three lists. A connection is its Airflow fields, by id."""

    connections: Mapping[str, Mapping[str, Any]]
    pools: tuple[Pool, ...]
    variables: Mapping[str, str]


def load(path: Path) -> Settings:
    """Read the file. Raises Refused if it is not of Astro's form, or holds a secret."""
    try:
        said = YAML(typ="safe").load(path.read_text("utf-8"))["airflow"]
        connections = {c["conn_id"]: c for c in said.get("connections") or () if c.get("conn_id")}
        pools = tuple(
            Pool(p["pool_name"], int(p["pool_slots"]), p.get("pool_description") or "")
            for p in said.get("pools") or ()
            if p.get("pool_name") and p.get("pool_slots")
        )
        variables = {
            v["variable_name"]: str(v["variable_value"])
            for v in said.get("variables") or ()
            if v.get("variable_name")
        }
    except (OSError, YAMLError, KeyError, TypeError, ValueError, AttributeError):
        raise Refused(
            "the file of connections, pools and variables cannot be read",
            about=path.name,
            next_step="compare it with an Astro project's airflow_settings.yaml",
        ) from None
    for conn_id, connection in connections.items():
        if connection.get("conn_password"):
            raise Refused("a secret is in the file", about=f"{path.name}, {conn_id}",
                          next_step="move it to the secrets back end")  # fmt: skip
    return Settings(
        {i: {_FIELDS[k]: v for k, v in c.items() if k in _FIELDS and v} for i, c in connections.items()},
        pools,
        variables,
    )


def connections(settings: Settings, running: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Each declared connection as JSON, by id, completed with what the running servers know of it.

    Raises Refused for a connection that leads nowhere.
    """
    complete = {}
    for conn_id, declared in settings.connections.items():
        known = dict(running.get(conn_id, {}))
        merged = {**known, **declared}
        extra = {**known.get("extra", {}), **_as_mapping(declared.get("extra"))}
        if extra:
            merged["extra"] = extra
        if not merged.get("host") and not extra:
            raise Refused(
                "no server of the sandbox answers to this connection, and it names no host",
                about=conn_id,
                next_step="name its host in airflow_settings.yaml, or take it out",
            )
        complete[conn_id] = json.dumps(merged, ensure_ascii=False, sort_keys=True)
    return complete


def _as_mapping(extra: Any) -> Mapping[str, Any]:
    if isinstance(extra, str):
        extra = json.loads(extra)
    return extra if isinstance(extra, Mapping) else {}
