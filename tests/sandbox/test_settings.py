"""``airflow_settings.yaml``: what the processes get of it, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from include.catalogue import load as load_catalogue
from include.connections import Environment
from include.model.doors import BusinessKeys
from include.model.errors import Refused
from include.model.words import StoreKind
from include.sandbox.stack.places import CHECKOUT
from include.sandbox.stack.servers import Servers
from include.sandbox.stack.settings import connections, load

FILE = """
airflow:
  connections:
    - {conn_id: company_prover, conn_type: postgres, conn_host: , conn_schema: company, conn_extra: {sslmode: disable}}
    - {conn_id: far, conn_type: http, conn_host: far.example, conn_port: 8443}
    - {conn_id: , conn_type: , conn_host: }
  pools:
    - {pool_name: disposals, pool_slots: 4, pool_description: }
    - {pool_name: , pool_slots: , pool_description: }
  variables:
    - {variable_name: night_starts, variable_value: 2}
    - {variable_name: , variable_value: }
"""
RUNNING = {
    "company_prover": {
        "host": "127.0.0.1",
        "port": 15001,
        "login": "prover",
        "password": "s",
        "extra": {"a": 1},
    }
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "airflow_settings.yaml"
    path.write_text(FILE)
    return path


def test_connections_pools_and_variables_are_read_and_empty_entries_passed_over(file: Path) -> None:
    said = load(file)
    assert set(said.connections) == {"company_prover", "far"}
    assert [(p.name, p.slots, p.description) for p in said.pools] == [("disposals", 4, "")]
    assert said.variables == {"night_starts": "2"}


def test_a_connection_is_completed_by_the_server_that_runs_and_the_file_goes_first(file: Path) -> None:
    found = {i: json.loads(x) for i, x in connections(load(file), RUNNING).items()}
    assert found["company_prover"] == {
        "conn_type": "postgres", "schema": "company", "host": "127.0.0.1", "port": 15001, "login": "prover",
        "password": "s", "extra": {"a": 1, "sslmode": "disable"},
    }  # fmt: skip
    assert found["far"] == {"conn_type": "http", "host": "far.example", "port": 8443}


def test_a_connection_that_leads_nowhere_is_refused(file: Path) -> None:
    file.write_text(FILE.replace(", conn_extra: {sslmode: disable}", ""))
    with pytest.raises(Refused, match="names no host"):
        connections(load(file), {})


def test_a_secret_in_the_file_is_refused_and_not_repeated(file: Path) -> None:
    file.write_text(
        FILE.replace("conn_host: far.example", "conn_host: far.example, conn_password: canary-91")
    )
    with pytest.raises(Refused, match="a secret is in the file") as raised:
        load(file)
    assert "canary-91" not in str(raised.value)


@pytest.mark.parametrize(
    "text", ["", "airflow", "airflow: [", "other: {}", "airflow: {pools: [{pool_name: a, pool_slots: many}]}"]
)
def test_a_file_of_another_form_is_refused(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(Refused, match="cannot be read"):
        load(file)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="cannot be read"):
        load(tmp_path / "airflow_settings.yaml")


def test_the_projects_own_file_can_be_read() -> None:
    said = load(CHECKOUT / "airflow_settings.yaml")
    assert {"company_eraser", "company_prover", "records_case_writer", "objects_eraser"} <= set(
        said.connections
    )


def test_the_prover_is_given_the_keys_of_the_applications_that_the_catalogue_names(tmp_path: Path) -> None:
    servers = Servers(tmp_path)
    servers.places.make()
    try:
        told = servers.connections()
    finally:
        servers.places.purge()
    environment = Environment({f"QUIETUS_CONN_{i.upper()}": said for i, said in told.items()})
    assert isinstance(environment, BusinessKeys)
    (objects,) = (s for s in load_catalogue().stores if s.kind is StoreKind.S3)
    for role in objects.business_roles:
        assert environment.s3_as(objects.connection, role).meta.endpoint_url.startswith("http://127.0.0.1:")
    with pytest.raises(Refused, match="objects_as_arn_aws_iam_user_kyc_app"):
        environment.s3_as("objects", "arn:aws:iam:::user/KYC-app")
