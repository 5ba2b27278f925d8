"""Readers: what other tools write, as rows of the one observation table."""

from augury.data.readers.results import KINDS, ReadResults, Unresolved, read_results, write_results

__all__ = ["KINDS", "ReadResults", "Unresolved", "read_results", "write_results"]
