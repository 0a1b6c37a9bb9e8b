"""What is due, found set-based by a role that can only read. See ``look``."""

from include.stores.postgres.retention.look import Look, look

__all__ = ["Look", "look"]
