"""TensorBoard event files: scalars by tag and step, checksums verified, without TensorFlow.

A file is TFRecords: length (8 bytes), masked CRC-32C of it (4), data, masked CRC-32C of the data
(4), all little endian. Data is a protobuf `Event`: wall_time = 1 (double), step = 2, summary = 5
{value = 1 {tag = 1, simple_value = 2 (float), tensor = 8}}; a tensor of one float is in float_val =
5, double_val = 6 or tensor_content = 4, where dtype = 1 says which (1 float, 2 double).
Formats: tensorflow/core/lib/io/record_writer.h and tensorflow/core/framework/summary.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from augury.data.readers.files import shorten
from augury.errors import DataError

CASTAGNOLI = 0x82F63B78  # the polynomial, bits reversed
MASK = 0xA282EAD8  # added after rotating by 15 bits, so that checksums of checksums work
VARINT, DOUBLE, BYTES, FLOAT = 0, 1, 2, 5  # wire types


@dataclass(frozen=True)
class Scalar:
    """One value of one tag."""

    tag: str
    step: int
    wall_time: float
    value: float


def read_scalars(data: bytes, source: str) -> tuple[list[Scalar], int | None]:
    """Read all scalars of an event file, in the order written, and where it was cut off.

    A last record without an end, as a killed run leaves it, is skipped. Any other damage is an
    error.

    Returns:
        The scalars, and the number of the record that was cut off, if any.

    Raises:
        DataError: it holds no complete record, a checksum does not match, or a record is not an
        event.
    """
    found: list[Scalar] = []
    records, cut = _records(data, source)
    for i, record in enumerate(records):
        try:
            found.extend(_event(record))
        except (ValueError, struct.error, IndexError) as error:
            raise DataError(f"record {i + 1} is not an event: {error}", source=source,
                            expected="a TensorBoard event file") from error  # fmt: skip
    return found, cut


def _records(data: bytes, source: str) -> tuple[list[bytes], int | None]:
    places: list[tuple[int, int]] = []
    at = 0
    cut = None
    while at < len(data):
        number = len(places) + 1
        blank = data[at : at + 12] == bytes(12) and not any(data[at:])  # padded with zeros
        if at + 12 > len(data) or blank:
            cut = number
            break
        (length,) = struct.unpack_from("<Q", data, at)
        # A wrong length could lead anywhere: its own checksum is verified first.
        (check,) = struct.unpack_from("<I", data, at + 8)
        if int(crc(np.frombuffer(data, np.uint8, 8, at)[None])[0]) != check:
            raise DataError(f"record {number}: the checksum of its length does not match",
                            source=source, expected="a TensorBoard event file")  # fmt: skip
        if at + 16 + length > len(data):
            cut = number
            break
        places.append((at + 12, length))
        at += 16 + length
    if not places:
        raise DataError("is cut off in its first record", source=source,
                        expected="a TensorBoard event file")  # fmt: skip
    raw = np.frombuffer(data, np.uint8)
    starts, lengths = np.array(places, np.int64).reshape(-1, 2).T
    for length in np.unique(lengths):
        which = np.flatnonzero(lengths == length)
        block = raw[starts[which, None] + np.arange(length)]
        there = raw[starts[which, None] + length + np.arange(4)].astype(np.uint32)
        stored = (there << np.arange(0, 32, 8, dtype=np.uint32)).sum(1, dtype=np.uint32)
        wrong = crc(block) != stored
        if wrong.any():
            record = int(which[int(np.argmax(wrong))]) + 1
            raise DataError(f"record {record}: the checksum of its data does not match",
                            source=source, expected="an undamaged event file")  # fmt: skip
    return [data[a : a + n] for a, n in places], cut


def crc(rows: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Compute the (n,) masked CRC-32C of (n, length) bytes."""
    state = np.full(len(rows), 0xFFFFFFFF, np.uint32)
    for column in rows.T:
        state = TABLE[(state ^ column) & np.uint32(0xFF)] ^ (state >> np.uint32(8))
    state = ~state
    turned = (state >> np.uint32(15)) | (state << np.uint32(17))
    return turned + np.uint32(MASK)


def _table() -> NDArray[np.uint32]:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        odd = np.where(table & np.uint32(1), np.uint32(CASTAGNOLI), np.uint32(0))
        table = (table >> np.uint32(1)) ^ odd
    return table


TABLE = _table()


def _fields(data: bytes) -> Iterator[tuple[int, int, int | bytes]]:
    """Yield (number, wire type, value) of a protobuf message; the caller skips unknown ones."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == VARINT:
            whole, at = _varint(data, at)
            yield number, kind, whole
            continue
        if kind == BYTES:
            size, at = _varint(data, at)
        elif kind in (DOUBLE, FLOAT):
            size = 8 if kind == DOUBLE else 4
        else:
            raise ValueError(f"wire type {kind}")
        if at + size > len(data):
            raise ValueError("a field is longer than its record")
        yield number, kind, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("an integer of more than 64 bits")


def _event(record: bytes) -> Iterator[Scalar]:
    wall_time, step, summaries = 0.0, 0, []
    for number, kind, value in _fields(record):
        if number == 1 and kind == DOUBLE and isinstance(value, bytes):
            (wall_time,) = struct.unpack("<d", value)
        elif number == 2 and kind == VARINT and isinstance(value, int):
            step = value
        elif number == 5 and kind == BYTES and isinstance(value, bytes):
            summaries.append(value)
    if step >= 2**63:
        raise ValueError(f"step {shorten(step - 2**64)}")
    for summary in summaries:
        for number, kind, value in _fields(summary):
            if number == 1 and kind == BYTES and isinstance(value, bytes):
                tag, scalar = _value(value)
                if scalar is not None:
                    yield Scalar(tag, step, wall_time, scalar)


def _value(message: bytes) -> tuple[str, float | None]:
    tag, scalar = "", None
    for number, kind, value in _fields(message):
        if not isinstance(value, bytes):
            continue
        if number == 1 and kind == BYTES:
            tag = value.decode()
        elif number == 2 and kind == FLOAT:
            scalar = float(struct.unpack("<f", value)[0])
        elif number == 8 and kind == BYTES:
            scalar = _tensor(value)
    return tag, scalar


def _tensor(message: bytes) -> float | None:
    """Return the number in a tensor of one number; None for any other."""
    dtype, raw = 0, b""
    for number, _, value in _fields(message):
        if number == 1 and isinstance(value, int):
            dtype = value
        elif number in (4, 5, 6) and isinstance(value, bytes):
            raw += value
    form = {1: "<f", 2: "<d"}.get(dtype)
    if form is None or len(raw) != struct.calcsize(form):
        return None
    return float(struct.unpack(form, raw)[0])
