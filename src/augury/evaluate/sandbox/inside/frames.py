"""Messages over a stream socket: four bytes of length, then that many bytes."""

from __future__ import annotations

import socket
import struct

HEADER = struct.Struct(">I")


class TooLongError(ValueError):
    """The other side announced a message longer than allowed."""


def send(channel: socket.socket, data: bytes) -> None:
    """Send one message.

    Raises:
        OSError: the other side is gone.
    """
    channel.sendall(HEADER.pack(len(data)) + data)


def receive(channel: socket.socket, limit: int) -> bytes | None:
    """Receive the next message, or None if the other side has hung up.

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


def send_with(channel: socket.socket, data: bytes, descriptor: int) -> None:
    """Send one message and a descriptor.

    Raises:
        OSError: the other side is gone.
    """
    socket.send_fds(channel, [HEADER.pack(len(data))], [descriptor])
    channel.sendall(data)


def receive_with(channel: socket.socket, limit: int) -> tuple[bytes, int] | None:
    """Receive the next message and its descriptor, or None if the other side has hung up.

    Raises:
        TooLongError: the message is longer than `limit` bytes.
        OSError: the other side died.
    """
    header, descriptors, _, _ = socket.recv_fds(channel, HEADER.size, 1)
    if len(header) < HEADER.size:
        return None
    (length,) = HEADER.unpack(header)
    if length > limit:
        raise TooLongError(f"a message of {length} bytes, where {limit} are allowed")
    data = _exactly(channel, length)
    return None if data is None else (data, descriptors[0])


def _exactly(channel: socket.socket, count: int) -> bytes | None:
    data = channel.recv(count, socket.MSG_WAITALL)
    while len(data) < count:
        more = channel.recv(count - len(data), socket.MSG_WAITALL)
        if not more:
            return None
        data += more
    return data
