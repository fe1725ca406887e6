"""Answer HTTP requests with finished runs."""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path

from seqzoo.commands.command_line import add_allow_module, find_modules_here
from seqzoo.configuration.pretrained import PREFIX
from seqzoo.contracts.errors import ConfigError, not_installed
from seqzoo.runs.listening import listener

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
    add_allow_module(parser, "the runs may use")
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
    opened = listener(chosen.host, [chosen.port])  # before the runs are loaded, which takes seconds
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
    host, port = opened.getsockname()[:2]
    print(f"serving {', '.join(names)} at http://{host}:{port} (requests: http://{host}:{port}/docs)", flush=True)
    settings = uvicorn.Config(
        app, log_level="warning", ws="wsproto", ws_max_size=2**20, timeout_graceful_shutdown=int(chosen.timeout) + 1
    )
    uvicorn.Server(settings).run(sockets=[opened])
