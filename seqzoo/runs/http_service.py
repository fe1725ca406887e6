"""An HTTP service that answers with trained models. It needs the packages of the extra `serve`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Annotated, Any, TypeVar

from fastapi import FastAPI, HTTPException, Response, WebSocket, WebSocketDisconnect
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, Histogram, generate_latest
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from seqzoo.contracts.batch import Prediction
from seqzoo.contracts.capabilities import Streamed, Streams, Writes
from seqzoo.contracts.errors import ConfigError, SeqzooError, shortened
from seqzoo.contracts.strict_json import finite, to_json
from seqzoo.contracts.version import __version__
from seqzoo.runs.answering import Stream
from seqzoo.runs.http_limits import LimitedRequests
from seqzoo.runs.joint_calls import BusyError, JointCalls
from seqzoo.runs.loaded import Loaded
from seqzoo.runs.written_pieces import WrittenPieces

MOST_TEXTS, MOST_CHARACTERS = 64, 10_000
"""Of a request, and of each of its texts."""
MOST_STREAMS = 64
"""Maximum number of open streams; further ones are refused."""
T = TypeVar("T")


def _encodable(text: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("the text has half of a surrogate pair, which is not a character") from None
    return text


Text = Annotated[str, Field(max_length=MOST_CHARACTERS), AfterValidator(_encodable)]


class Question(BaseModel):
    """Texts to be answered. model: which of the runs; it may be left out if there is only one."""

    model_config = ConfigDict(extra="forbid", strict=True)
    texts: Annotated[list[Text], Field(min_length=1, max_length=MOST_TEXTS)]
    model: Text | None = None


class Beginning(BaseModel):
    """A text whose answer is written token by token. model: as of `Question`."""

    model_config = ConfigDict(extra="forbid", strict=True)
    text: Text
    model: Text | None = None


class Answer(BaseModel):
    """An answer: a text, or one text per step. score: its log-probability; null where there is none."""

    answer: str | list[str]
    score: float | None


class Answers(BaseModel):
    """The answer to each text."""

    model: str
    predictions: list[Answer]


class _Service:
    """The runs that are served, and what joins the calls of each."""

    def __init__(self, runs: Mapping[str, Loaded], seconds: float):
        for name, run in runs.items():
            spec = run.spec
            if spec.given_as_files or spec.picture is not None or spec.steps_per_quarter is not None:
                reason = "reads recordings, pictures or notes from files, and a request must not name a file"
                raise ConfigError([f"{name} {reason}: serve runs that read texts or numbers"])
        self.runs, self.seconds, self.streams = runs, seconds, 0
        # one thread, because a network of this size is slower on several
        self.executor = ThreadPoolExecutor(1, thread_name_prefix="seqzoo")
        self.registry = CollectorRegistry()
        inputs = Histogram(
            "seqzoo_inputs_together",
            "inputs answered in one call",
            registry=self.registry,
            buckets=[1, 2, 4, 8, 16, 32, 64],
        )
        self.predict: dict[str, JointCalls[str, Prediction]] = {
            name: JointCalls(run.predict, self.executor, report=inputs.observe) for name, run in runs.items()
        }
        self.push: dict[str, JointCalls[tuple[Stream, str], Streamed]] = {
            name: JointCalls(_push, self.executor) for name in runs
        }
        waiting = Gauge("seqzoo_inputs_waiting", "inputs that wait for an answer", registry=self.registry)
        waiting.set_function(lambda: sum(calls.waiting for calls in self.predict.values()))
        streams = Gauge("seqzoo_streams", "streams that are open", registry=self.registry)
        streams.set_function(lambda: self.streams)

    def end_stream(self) -> None:
        """Count one stream less."""
        self.streams -= 1

    def run(self, name: str | None) -> str:
        """The name of the run that a request is about."""
        if name is None and len(self.runs) == 1:
            return next(iter(self.runs))
        if name is None or name not in self.runs:
            known = ", ".join(self.runs)
            raise HTTPException(
                404, f'the model is unknown: name one of {known}, as in "model": "{known.split(", ")[0]}"'
            )
        return name

    async def in_time(self, answer: Awaitable[T]) -> T:
        """An answer, within the limit of time."""
        try:
            return await asyncio.wait_for(answer, self.seconds)
        except BusyError:
            raise HTTPException(503, "too many requests wait: try again later", {"Retry-After": "1"}) from None
        except asyncio.TimeoutError:
            raise HTTPException(503, f"there was no answer within {self.seconds:g} seconds: send less") from None
        except SeqzooError as error:
            raise HTTPException(422, str(error)) from None


def _push(pairs: list[tuple[Stream, str]]) -> list[Streamed]:
    return Stream.push_together([stream for stream, _ in pairs], [piece for _, piece in pairs])


def create_app(runs: Mapping[str, Loaded], seconds: float = 30.0) -> FastAPI:
    """The service as an ASGI application.

    Args:
        runs: by their names in requests.
        seconds: limit of a request.

    Raises:
        ConfigError: a run reads files.
    """
    service = _Service(runs, seconds)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        service.executor.shutdown(wait=True, cancel_futures=True)

    app = FastAPI(title="seqzoo", version=__version__, lifespan=lifespan)
    app.add_middleware(LimitedRequests, registry=service.registry, seconds=seconds)
    app.exception_handler(RequestValidationError)(_explain)
    _add_reports(app, service)
    _add_predictions(app, service)
    _add_growing_inputs(app, service)
    return app


async def _explain(request: Any, error: RequestValidationError) -> JSONResponse:
    """What is wrong with a request, without repeating it."""
    mistakes = [
        {"where": shortened(".".join(map(str, mistake["loc"]))), "mistake": shortened(mistake["msg"])}
        for mistake in error.errors()[:10]
    ]
    return JSONResponse({"detail": mistakes}, 422)


def _add_reports(app: FastAPI, service: _Service) -> None:
    @app.get("/health")
    async def health() -> dict[str, Any]:
        """Whether the service answers, and the models with their tasks."""
        return {"status": "ok", "models": {name: run.task_name for name, run in service.runs.items()}}

    @app.get("/metrics")
    async def metrics() -> Response:
        """Counters for Prometheus."""
        return Response(generate_latest(service.registry), media_type=CONTENT_TYPE_LATEST)


def _add_predictions(app: FastAPI, service: _Service) -> None:
    @app.post("/predict")
    async def predict(question: Question) -> Answers:
        """The answer to each text. Texts of concurrent requests are answered together."""
        name = service.run(question.model)
        predictions = await service.in_time(service.predict[name](question.texts))
        return Answers(model=name, predictions=[Answer(**_plain(prediction)) for prediction in predictions])

    @app.post("/stream", response_class=StreamingResponse)
    async def stream(beginning: Beginning) -> StreamingResponse:
        """The answer to a text while it is written, as server-sent events `{"text": PIECE}` and, at the end,
        `{"answer": TEXT, "score": NUMBER}`.
        """
        run = service.runs[service.run(beginning.model)]
        if not isinstance(run.model.task, Writes):
            raise HTTPException(422, f"{run.task_name} does not write token by token: use /predict, or a WebSocket")
        if service.streams >= MOST_STREAMS:
            raise HTTPException(503, "too many streams are open: try again later", {"Retry-After": "1"})
        pieces = WrittenPieces(run, beginning.text, service.executor, service.seconds, service.end_stream)
        service.streams += 1
        await service.in_time(pieces.begin())

        async def events() -> AsyncIterator[str]:
            try:
                async for piece in pieces:
                    content = {"text": piece} if isinstance(piece, str) else _plain(piece)
                    yield f"data: {to_json(content)}\n\n"
            except (SeqzooError, asyncio.TimeoutError) as error:
                yield f"event: error\ndata: {to_json(str(error) or 'the time is over')}\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")


def _add_growing_inputs(app: FastAPI, service: _Service) -> None:
    @app.websocket("/stream")
    async def follow(socket: WebSocket, model: str | None = None) -> None:
        """Answers to an input that grows: messages `{"text": PIECE}`, and at the end `{"end": true}`."""
        await socket.accept()
        if service.streams >= MOST_STREAMS:
            await socket.close(1013, "too many streams are open")
            return
        service.streams += 1
        try:
            await _follow(socket, service, service.run(model))
        except HTTPException as error:
            await _close(socket, str(error.detail))
        except (SeqzooError, ValueError) as error:
            await _close(socket, str(error))
        except (asyncio.TimeoutError, BusyError):
            await socket.close(1013, "there was no message, or no answer, in time")
        except WebSocketDisconnect:
            pass
        finally:
            service.end_stream()


async def _follow(socket: WebSocket, service: _Service, name: str) -> None:
    run = service.runs[name]
    if not isinstance(run.model.task, Streams):
        raise ConfigError([f"{run.task_name} does not answer before the end of its input: use /predict"])
    stream = run.stream()
    while True:
        received = await asyncio.wait_for(socket.receive(), service.seconds)
        if received["type"] == "websocket.disconnect":
            return
        piece = _piece(received.get("text"))
        if piece is None:
            loop = asyncio.get_running_loop()
            last = await asyncio.wait_for(loop.run_in_executor(service.executor, stream.end), service.seconds)
            prediction = None if last.prediction is None else _plain(last.prediction)
            await socket.send_json({"answers": list(last.answers), "prediction": prediction})
            await socket.close()
            return
        [streamed] = await asyncio.wait_for(service.push[name]([(stream, piece)]), service.seconds)
        await socket.send_json({"answers": list(streamed.answers)})


def _piece(message: str | None) -> str | None:
    """The text of a message; None: the input has ended."""
    wrong = 'a message is {"text": "..."} or {"end": true}'
    try:
        content = json.loads(message or "")
    except (ValueError, RecursionError):
        raise ValueError(wrong) from None
    if content == {"end": True}:
        return None
    if not isinstance(content, dict) or content.keys() != {"text"} or not isinstance(content["text"], str):
        raise ValueError(wrong)
    if len(content["text"]) > MOST_CHARACTERS:
        raise ValueError(f"a text has at most {MOST_CHARACTERS:,} characters")
    return _encodable(content["text"])


async def _close(socket: WebSocket, reason: str) -> None:
    """Say what is wrong, and close."""
    await socket.send_json({"error": reason})
    await socket.close(1008)


def _plain(prediction: Prediction) -> dict[str, Any]:
    return {"answer": prediction.answer, "score": finite(prediction.score)}
