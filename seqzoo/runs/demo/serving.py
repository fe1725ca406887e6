"""Serving the page, which requests nothing from other machines."""

from __future__ import annotations

import errno
import os
import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any

import gradio as gr

from seqzoo.contracts.errors import ConfigError
from seqzoo.runs.demo.page import build_page
from seqzoo.runs.demo.shown import Shown

FIRST_PORT = 7860
LARGEST_FILE = "10mb"
"""Maximum size of a file that is uploaded."""
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; "
    "connect-src 'self' data: blob:; form-action 'self'; frame-src 'none'; object-src 'none'"
)
"""What the browser may request: only what this server sends."""


class ContentPolicy:
    """Adds POLICY to every response.

    Args:
        app: the application, in the protocol ASGI.
    """

    def __init__(self, app: Any):
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def send_with_policy(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"content-security-policy", POLICY.encode())]
            await send(message)

        await self.app(scope, receive, send_with_policy)


@contextmanager
def served(runs: Sequence[Shown], host: str, port: int | None = None, in_browser: bool = False) -> Iterator[str]:
    """A context in which the page for some runs is served, at the address that it returns.

    Recordings, sounds and pictures are in a folder that no other user can read, and that is deleted at the end.

    Args:
        runs: at least one.
        host: address to serve at.
        port: None: the first free one from FIRST_PORT on.
        in_browser: open the page in the browser.

    Raises:
        ConfigError: the page cannot be served there.
    """
    port = free_port(host, port)
    with TemporaryDirectory(prefix="seqzoo-demo-", ignore_cleanup_errors=True) as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        page = build_page(runs)
        try:
            _, url, _ = page.launch(server_name=host, server_port=port, inbrowser=in_browser, **settings())
            yield url
        finally:
            page.close(verbose=False)


def free_port(host: str, port: int | None) -> int:
    """A port that the page can be served at; arguments and errors as of `served`.

    gradio itself waits several seconds for each port, and says no reason.
    """
    if port is not None and not 0 < port < 2**16:
        raise ConfigError([f"the port is {port}: it must be between 1 and {2**16 - 1}"])
    error = OSError(errno.EADDRINUSE, "no port is free")
    for candidate in range(FIRST_PORT, FIRST_PORT + 100) if port is None else [port]:
        try:
            with socket.create_server((host, candidate), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
                return candidate
        except OSError as reason:
            error = reason
        if error.errno != errno.EADDRINUSE:
            break
    place = host if port is None else f"{host}:{port}"
    why = (error.strerror or str(error)).partition(" (while")[0].rstrip(".")
    raise ConfigError([f"the page cannot be served at {place}: {why}"])


def settings() -> dict[str, Any]:
    """How the page is served: to this machine alone, without statistics and without anything from other machines."""
    return {
        "share": False,
        "quiet": True,
        "prevent_thread_lock": True,
        "max_file_size": LARGEST_FILE,
        "theme": gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
        "footer_links": [],
        "run_history": False,
        "enable_monitoring": False,
        "ssr_mode": False,
        "pwa": False,
        "mcp_server": False,
        "app_kwargs": {"middleware": [(ContentPolicy, (), {})]},
    }


def serve(runs: Sequence[Shown], host: str, port: int | None, in_browser: bool) -> None:
    """Serve the page for some runs until Ctrl-C or SIGTERM; arguments and errors as of `served`."""
    ended = threading.Event()
    with served(runs, host, port, in_browser) as url:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: ended.set())
        print(f"{url}   (Ctrl-C ends it)", flush=True)
        ended.wait()
