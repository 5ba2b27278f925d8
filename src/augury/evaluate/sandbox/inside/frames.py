"""Messages over a stream socket: four bytes of length, then as many bytes."""

from __future__ import annotations

import socket
import struct

HEADER = struct.Struct(">I")


class TooLongError(ValueError):
    """The other side announced more than it may send."""


def send(channel: socket.socket, data: bytes) -> None:
    """Send one message.

    Raises:
        OSError: the other side is gone.
    """
    channel.sendall(HEADER.pack(len(data)) + data)


def receive(channel: socket.socket, limit: int) -> bytes | None:
    """The next message, or None where the other side has hung up.

    Raises:
        TooLongError: the message is longer than `limit` bytes.
        OSError: the channel's own time limit has passed, or the other side died.
    """
    header = _exactly(channel, HEADER.size)
    if header is None:
        return None
    (length,) = HEADER.unpack(header)
    if length > limit:
        raise TooLongError(f"a message of {length} bytes, where {limit} are allowed")
    return _exactly(channel, length)


def _exactly(channel: socket.socket, count: int) -> bytes | None:
    data = channel.recv(count, socket.MSG_WAITALL)
    while len(data) < count:
        more = channel.recv(count - len(data), socket.MSG_WAITALL)
        if not more:
            return None
        data += more
    return data
