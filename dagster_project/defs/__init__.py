"""Dagster declarations: thin, loaded by ../definitions.py, imported by nobody."""
