"""Readers: files of other tools as rows of the one observation table."""

from augury.data.readers.part import LeftOut, ModelInfo, Part
from augury.data.readers.reader import KINDS, READERS, Reader, find_reader, kinds
from augury.data.readers.results import ReadResults, Unresolved, read_results, write_results

__all__ = [
    "KINDS",
    "READERS",
    "LeftOut",
    "ModelInfo",
    "Part",
    "ReadResults",
    "Reader",
    "Unresolved",
    "find_reader",
    "kinds",
    "read_results",
    "write_results",
]
