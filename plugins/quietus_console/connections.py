"""Airflow's connections as the resolver that ``include`` asks for. One role's secret per call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowNotFoundException

from include.connections import business_connection, endpoint_of, postgres_conninfo, s3_client
from include.model.doors import Endpoint
from include.model.errors import Refused
from include.model.words import Role

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class AirflowConnections:
    """Resolves ``<connection>_<role>`` through Airflow: environment, secrets back end or metadata."""

    def postgres(self, connection: str, role: Role) -> str:
        found = self._get(f"{connection}_{role.value}")
        return postgres_conninfo(
            host=found.host,
            port=found.port,
            login=found.login,
            password=found.password,
            database=found.schema,
            application=f"quietus {role.value}",
        )

    def s3(self, connection: str, role: Role) -> S3Client:
        found = self._get(f"{connection}_{role.value}")
        return s3_client(
            access_key=found.login,
            secret_key=found.password,
            extra=found.extra_dejson,
        )

    def s3_as(self, connection: str, business_role: str) -> S3Client:
        found = self._get(business_connection(connection, business_role))
        return s3_client(
            access_key=found.login,
            secret_key=found.password,
            extra=found.extra_dejson,
        )

    def text(self, name: str) -> str:
        found = self._get(name)
        return str(found.extra_dejson.get("text") or found.host or "")

    def endpoint(self, name: str) -> Endpoint:
        found = self._get(name)
        return endpoint_of(
            name, login=found.login or "", secret=found.password or "", extra=found.extra_dejson
        )

    @staticmethod
    def _get(conn_id: str) -> Any:
        from airflow.sdk import Connection

        try:
            return Connection.get(conn_id)
        except AirflowNotFoundException:
            raise Refused(
                "the connection is not declared",
                about=conn_id,
                next_step="add it to airflow_settings.yaml or to your secrets back end",
            ) from None
