"""Who may see what, by the roles that Airflow's log-in gives a user."""

from __future__ import annotations

from typing import Any

AUDITS = frozenset({"VIEWER", "AUDITOR", "ADMIN"})
"""Airflow's roles whose work is to look. Who opens or decides cases reads the person's edition, and is told of no
confidential hold."""
OPERATES = frozenset({"OP", "OPS"})
"""Those whose work is to keep the nights going."""

STOPS = OPERATES | {"ADMIN"}
"""Those who may stop everything that disposes, and let it go on."""


def audits(user: Any) -> bool:
    """Whether one of the user's roles is to look."""
    return not AUDITS.isdisjoint(_roles(user))


def operates(user: Any) -> bool:
    """Whether one of them is to keep the nights going."""
    return not OPERATES.isdisjoint(_roles(user))


def stops(user: Any) -> bool:
    """Whether one of them may stop what disposes, and let it go on."""
    return not STOPS.isdisjoint(_roles(user))


def _roles(user: Any) -> frozenset[str]:
    """Auth managers say ``role`` or ``roles``; who says neither is nobody's auditor."""
    said = (getattr(user, "role", None), *(getattr(user, "roles", None) or ()))
    return frozenset(str(getattr(role, "name", role)).upper() for role in said)
