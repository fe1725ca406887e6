"""The address that a service is served at."""

from __future__ import annotations

import socket

import pytest

from seqzoo.contracts.errors import ConfigError
from seqzoo.runs.listening import listener


def test_the_first_free_port_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            ConfigError, match=rf"^--host 127\.0\.0\.1 --port {port} cannot be served at: Address already in use"
        ):
            listener("127.0.0.1", [port])
        with listener("127.0.0.1", [port, 0]) as free:
            assert free.getsockname()[1] not in (0, port)
            with socket.create_connection(free.getsockname()[:2]):
                pass


def test_what_is_not_a_port_or_an_address_of_this_machine() -> None:
    with pytest.raises(ConfigError, match="--port is 70000: it must be from 0 to 65535"):
        listener("127.0.0.1", [70_000])
    with pytest.raises(ConfigError, match=r"^--host 192\.0\.2\.1 cannot be served at: "):  # reserved for documentation
        listener("192.0.2.1", range(7860, 7870))
