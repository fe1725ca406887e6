"""The address that a service or a page is served at."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable

from seqzoo.contracts.errors import ConfigError


def listener(host: str, ports: Iterable[int]) -> socket.socket:
    """Listen at the first free one of some ports.

    Args:
        host: name or address of this machine.
        ports: in the order in which they are tried; 0: a free one that the system chooses.

    Returns:
        A socket, with which connections wait until they are accepted.

    Raises:
        ConfigError: no port is free, or the host is not this machine.
    """
    ports = list(ports)
    for port in ports:
        if not 0 <= port < 2**16:
            raise ConfigError([f"--port is {port}: it must be from 0 to {2**16 - 1}"])
    error = OSError(errno.EADDRINUSE, "no port is free")
    for port in ports:
        try:
            return _listening(host, port)
        except OSError as reason:
            error = reason
            if error.errno != errno.EADDRINUSE:
                break
    place = f"--host {host}" + (f" --port {ports[0]}" if len(ports) == 1 else "")
    raise ConfigError([f"{place} cannot be served at: {error.strerror or error}"])


def _listening(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    opened = socket.socket(family, kind, protocol)  # without the protocol, asyncio delays small packets
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
        opened.listen(2048)
    except OSError:
        opened.close()
        raise
    return opened
