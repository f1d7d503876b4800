"""The benchmark: the program beside plain DuckDB, pandas and PySpark, in the same run.

Asks for ratios and for equal answers, never for absolute times. `make bench` runs it; what it
measures stands in cases.py, what each measured process does in tasks.py.
"""
