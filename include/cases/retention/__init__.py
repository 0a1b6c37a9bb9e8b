"""Retention limits: what is due, read only. Nothing in this room disposes of anything."""
