"""The HTTP service: answers, limits, and requests of every kind."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

import seqzoo
from seqzoo.contracts.errors import ConfigError, DataError
from seqzoo.runs.http_limits import LARGEST_BODY
from seqzoo.runs.http_service import MOST_CHARACTERS, MOST_TEXTS, create_app
from seqzoo.runs.joint_calls import BusyError, JointCalls
from seqzoo.runs.loaded import Loaded
from tests.contracts.test_tasks import build, spec_of

SUMS = ["535+61", "9+1", "77+8"]


@pytest.fixture(scope="module")
def sums() -> Loaded:
    return seqzoo.load("pretrained:addition_lstm")


@pytest.fixture(scope="module")
def tagger() -> Loaded:
    torch.manual_seed(0)
    return Loaded(build("tagging", "gru").eval(), spec_of("tagging"))


@pytest.fixture(scope="module")
def client(sums: Loaded, tagger: Loaded) -> Iterator[TestClient]:
    with TestClient(create_app({"sums": sums, "tags": tagger})) as client:
        yield client


def test_answers_are_those_of_predict(client: TestClient, sums: Loaded, tagger: Loaded) -> None:
    for name, run, texts in (("sums", sums, SUMS), ("tags", tagger, ["badge", "", "cab"])):
        answered = client.post("/predict", json={"texts": texts, "model": name})
        assert answered.status_code == 200
        assert answered.json()["model"] == name
        for mine, right in zip(answered.json()["predictions"], run.predict(texts), strict=True):
            assert mine["answer"] == right.answer
            assert mine["score"] == pytest.approx(right.score, abs=1e-4)


def test_an_answer_is_streamed(client: TestClient, sums: Loaded) -> None:
    answered = client.post("/stream", json={"text": "535+61", "model": "sums"})
    assert answered.headers["content-type"].startswith("text/event-stream")
    *pieces, last = [json.loads(line.removeprefix("data: ")) for line in answered.text.split("\n") if line]
    assert len(pieces) == 3
    assert "".join(piece["text"] for piece in pieces) == last["answer"] == "596"
    assert client.post("/stream", json={"text": "a", "model": "tags"}).status_code == 422


def test_an_input_that_grows(client: TestClient, tagger: Loaded) -> None:
    [whole] = tagger.predict(["badge"])
    with client.websocket_connect("/stream?model=tags") as one, client.websocket_connect("/stream?model=tags") as other:
        tags = []
        for piece in ("b", "adg", "e"):
            for socket in (one, other):
                socket.send_json({"text": piece})
            tags += one.receive_json()["answers"]
            other.receive_json()
        assert tags == whole.answer
        one.send_json({"end": True})
        assert one.receive_json() == {"answers": [], "prediction": None}
        other.send_json({"text": 1})
        assert "a message is" in other.receive_json()["error"]
        with pytest.raises(WebSocketDisconnect) as closed:
            other.receive_json()
        assert closed.value.code == 1008


def test_health_metrics_and_openapi(client: TestClient) -> None:
    client.post("/predict", json={"texts": SUMS, "model": "sums"})
    health = client.get("/health").json()
    assert (health["status"], health["models"]["sums"]) == ("ok", "task=transduction")
    assert {"/predict", "/stream", "/health"} <= client.get("/openapi.json").json()["paths"].keys()
    client.get("/nothing/here")
    metrics = client.get("/metrics").text
    assert 'seqzoo_requests_total{path="/predict",status="200"}' in metrics
    assert 'seqzoo_requests_total{path="other",status="404"}' in metrics
    assert "seqzoo_inputs_together_bucket" in metrics


def bad_bodies(number: int) -> Iterator[bytes]:
    """Bodies without an answer."""
    draw = random.Random(0)
    right = json.dumps({"texts": SUMS, "model": "sums"}).encode()
    yield from (b"", b"{}", b"[" * 100_000, b"null", b'{"texts": "1+1"}', b'{"texts": ["\\ud800"], "model": "sums"}')
    yield from (b'{"\\ud800": 1}', b'{"texts": [1]}', b'{"texts": []}', b'{"texts": ["1"], "model": "../x"}')
    yield from (b'{"texts": ["1"], "model": null}', b'{"texts": [NaN], "model": 1e999}', b"\xff\xfe{}")
    yield json.dumps({"texts": ["1"] * (MOST_TEXTS + 1), "model": "sums"}).encode()
    yield json.dumps({"texts": ["1" * (MOST_CHARACTERS + 1)], "model": "sums"}).encode()
    for _ in range(number):
        body = bytearray(right)
        for _ in range(draw.randint(1, 4)):
            body[draw.randrange(len(body) - 20)] = draw.randrange(256)
        try:
            content = json.loads(body)
        except ValueError:
            content = None
        if not (isinstance(content, dict) and content.keys() == {"texts", "model"} and content["model"] == "sums"):
            yield bytes(body)


def test_bad_requests_are_refused(client: TestClient) -> None:
    for body in bad_bodies(50):
        for path in ("/predict", "/stream"):
            answered = client.post(path, content=body, headers={"content-type": "application/json"})
            assert 400 <= answered.status_code < 500, body[:80]
            assert answered.json()["detail"]


def test_large_and_late_bodies_are_refused(client: TestClient, tagger: Loaded) -> None:
    large = b" " * (LARGEST_BODY + 1)
    assert client.post("/predict", content=large).status_code == 413
    assert client.post("/predict", content=(large[:1000] for _ in range(1100))).status_code == 413
    with TestClient(create_app({"tags": tagger}, seconds=1e-9)) as hasty:
        assert hasty.post("/predict", json={"texts": ["a"]}).status_code == 408


def test_an_answer_that_takes_too_long(tagger: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    goes_on = threading.Event()
    monkeypatch.setattr(Loaded, "predict", lambda self, texts: goes_on.wait(60) and [])
    with TestClient(create_app({"tags": tagger}, seconds=0.1)) as client:
        answered = client.post("/predict", json={"texts": ["a"]})
        goes_on.set()
    assert answered.status_code == 503
    assert "0.1 seconds" in answered.json()["detail"]


@pytest.mark.parametrize("task", ["captioning", "transcription"])
def test_runs_that_read_files_are_not_served(task: str, tagger: Loaded) -> None:
    with pytest.raises(ConfigError, match="a request must not name a file"):
        create_app({"x": Loaded(tagger.model, spec_of(task))})


def test_concurrent_calls_become_one_and_fail_alone() -> None:
    calls: list[list[int]] = []

    def answer(items: list[int]) -> list[int]:
        calls.append(items)
        if -1 in items:
            raise DataError("-1 has no answer")
        return [item * item for item in items]

    async def ask() -> list[object]:
        with ThreadPoolExecutor(1) as executor:
            joint = JointCalls(answer, executor, most=8, waiting=9)
            together = await asyncio.gather(joint([1, 2]), joint([3]), joint([4]))
            apart = await asyncio.gather(joint([5]), joint([-1]), return_exceptions=True)
            many = await asyncio.gather(joint([1] * 5), joint([2] * 4), joint([3]), return_exceptions=True)
            return [*together, *apart, *many]

    first, second, third, fifth, bad, ones, twos, late = asyncio.run(ask())
    assert (first, second, third, fifth) == ([1, 4], [9], [16], [25])
    assert isinstance(bad, DataError)
    assert (ones, twos) == ([1] * 5, [4] * 4)
    assert isinstance(late, BusyError)
    assert calls == [[1, 2, 3, 4], [5, -1], [5], [-1], [1] * 5, [2] * 4]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--port", "99999"], "--port is 99999"),
        (["--host", "256.1.1.1"], "cannot be served at"),
        (["--timeout", "0"], "--timeout is 0.0"),
        (["pretrained:addition_lstm"], "two runs have the name addition_lstm"),
    ],
)
def test_what_cannot_be_served(arguments: list[str], message: str, command: Callable) -> None:
    done = command("serve", "pretrained:addition_lstm", *arguments)
    assert done.status == 2
    assert message in done.err


@pytest.mark.slow
def test_a_service_stops_when_it_is_told(tmp_path: Path) -> None:
    started = [sys.executable, "-m", "seqzoo", "serve", "pretrained:addition_lstm", "--port", "0"]
    with subprocess.Popen(started, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("serving addition_lstm at http://127.0.0.1:")
        address = line.split()[3]
        request = urllib.request.Request(
            f"{address}/predict", b'{"texts": ["1+1"]}', {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request) as answered:
            assert json.load(answered)["predictions"][0]["answer"] == "2"
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert process.returncode in (0, -signal.SIGTERM)
    assert errors == ""
