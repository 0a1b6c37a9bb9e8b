"""Tests of what is done once a year."""
