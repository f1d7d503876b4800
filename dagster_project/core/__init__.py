"""Computation: plain Python, DuckDB and Polars. Paths and rules are passed in; Dagster, the
environment and the clock are never read here.
"""
