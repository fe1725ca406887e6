"""Answer HTTP requests with finished runs."""

from __future__ import annotations

import argparse
import importlib.util
import socket
from pathlib import Path

from seqzoo.commands.command_line import find_modules_here
from seqzoo.configuration.pretrained import PREFIX
from seqzoo.contracts.errors import ConfigError, not_installed

PACKAGES = ("fastapi", "uvicorn", "wsproto", "prometheus_client")


def serve(arguments: list[str]) -> None:
    """Serve runs until the process is interrupted or terminated; requests that have begun are then still answered."""
    parser = argparse.ArgumentParser(
        "seqzoo serve",
        description="Answer HTTP requests with trained models: POST /predict, answers while they are written by POST "
        "/stream, inputs that grow by a WebSocket /stream, GET /health, GET /metrics for Prometheus, and GET /docs.",
    )
    parser.add_argument("run_dirs", nargs="+", metavar="run_dir", help="run directories, or pretrained:NAME")
    parser.add_argument("--host", default="127.0.0.1", help="address (default: 127.0.0.1, this machine alone)")
    parser.add_argument("--port", type=int, default=8000, help="port; 0: a free one (default: 8000)")
    parser.add_argument("--timeout", type=float, default=30.0, help="limit of a request in seconds (default: 30)")
    parser.add_argument(
        "--threads", type=int, default=1, help="threads of torch (default: 1, the fastest for small models)"
    )
    parser.add_argument(
        "--allow-module", action="append", default=[], help="a Python module of your own that the runs may use"
    )
    chosen = parser.parse_intermixed_args(arguments)
    for package in PACKAGES:
        if importlib.util.find_spec(package) is None:
            raise ConfigError([f"the service needs {not_installed(package, 'serve')}"])
    if chosen.allow_module:
        find_modules_here()
    names = [
        run_dir.removeprefix(PREFIX) if run_dir.startswith(PREFIX) else Path(run_dir).resolve().name
        for run_dir in chosen.run_dirs
    ]
    if len({*names}) < len(names):
        raise ConfigError(
            [f"two runs have the name {max(names, key=names.count)}: rename a folder, which names its run"]
        )
    for name in ("timeout", "threads"):
        if not getattr(chosen, name) > 0:
            raise ConfigError([f"--{name} is {getattr(chosen, name)}: it must be above 0"])
    listener = _listener(chosen.host, chosen.port)
    import torch
    import uvicorn

    from seqzoo.runs.http_service import create_app
    from seqzoo.runs.loading import load

    torch.set_num_threads(chosen.threads)
    runs = {
        name: load(run_dir, allow_modules=chosen.allow_module)
        for name, run_dir in zip(names, chosen.run_dirs, strict=True)
    }
    app = create_app(runs, chosen.timeout)
    host, port = listener.getsockname()[:2]
    print(f"serving {', '.join(names)} at http://{host}:{port} (requests: http://{host}:{port}/docs)", flush=True)
    settings = uvicorn.Config(
        app, log_level="warning", ws="wsproto", ws_max_size=2**20, timeout_graceful_shutdown=int(chosen.timeout) + 1
    )
    uvicorn.Server(settings).run(sockets=[listener])


def _listener(host: str, port: int) -> socket.socket:
    """A socket that listens at an address.

    Raises:
        ConfigError: the address is taken, or not of this machine.
    """
    if not 0 <= port < 2**16:
        raise ConfigError([f"--port is {port}: it must be from 0 to {2**16 - 1}"])
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)  # without it, asyncio delays small packets
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)  # connections wait until the service has started
    except OSError as error:
        raise ConfigError([f"--host {host} --port {port} cannot be served at: {error.strerror or error}"]) from None
    return listener
