"""Serving the page, which requests nothing from other machines."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any

import gradio as gr

from seqzoo.runs.demo.page import build_page
from seqzoo.runs.demo.shown import Shown
from seqzoo.runs.listening import listener

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
    # gradio itself waits several seconds for each port, and says no reason
    with listener(host, range(FIRST_PORT, FIRST_PORT + 100) if port is None else [port]) as free:
        port = free.getsockname()[1]
    with TemporaryDirectory(prefix="seqzoo-demo-", ignore_cleanup_errors=True) as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        page = build_page(runs)
        try:
            _, url, _ = page.launch(server_name=host, server_port=port, inbrowser=in_browser, **settings())
            yield url
        finally:
            page.close(verbose=False)


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
