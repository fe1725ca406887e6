"""Limits on the size and the time of HTTP requests, and counters of them for Prometheus."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

LARGEST_BODY = 2**20
"""In bytes."""
PATHS = ("/predict", "/stream", "/health", "/metrics", "/docs", "/openapi.json")
"""Counted by name; a client must not add others."""


class LimitedRequests:
    """An ASGI middleware that refuses bodies that are too large, or come too slowly, and counts requests.

    Args:
        app: the application.
        registry: of the counters.
        seconds: within which a body must come.
    """

    def __init__(self, app: Any, registry: CollectorRegistry, seconds: float):
        self.app, self.seconds = app, seconds
        labels = ["path", "status"]
        self.requests = Counter("seqzoo_requests", "requests by path and status", labels, registry=registry)
        self.times = Histogram("seqzoo_request_seconds", "time of requests", ["path"], registry=registry)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, statuses = time.perf_counter(), []

        async def counted(message: Any) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])
            await send(message)

        try:
            if self._announced(scope) > LARGEST_BODY:
                refusal = JSONResponse({"detail": _too_large()}, 413, {"Connection": "close"})
                await refusal(scope, receive, counted)
            else:
                await self.app(scope, self._limited(receive), counted)
        finally:
            path = scope["path"] if scope["path"] in PATHS else "other"
            self.requests.labels(path, str(statuses[0] if statuses else 500)).inc()
            self.times.labels(path).observe(time.perf_counter() - start)

    @staticmethod
    def _announced(scope: Any) -> int:
        """The length of the body that a client announces; 0: none."""
        length = dict(scope["headers"]).get(b"content-length", b"0")
        return int(length) if length.isdigit() else 0

    def _limited(self, receive: Any) -> Any:
        """`receive`, until the body is complete within the limits."""
        end, size, complete = time.monotonic() + self.seconds, 0, False

        async def limited() -> Any:
            nonlocal size, complete
            if complete:
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), end - time.monotonic())
            except asyncio.TimeoutError:
                raise HTTPException(408, f"the request did not come within {self.seconds:g} seconds") from None
            size += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if size > LARGEST_BODY:
                raise HTTPException(413, _too_large())
            return message

        return limited


def _too_large() -> str:
    return f"a request has at most {LARGEST_BODY:,} bytes: send fewer texts at once"
