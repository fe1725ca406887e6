"""Measure `seqzoo serve` under load, on this machine, and write results/beyond.csv.

python scripts/load_test.py                                  # 32 clients for a minute, then 10,000 bad requests
python scripts/load_test.py RUN_DIR --inputs lines.txt       # another run, with lines that it can answer
"""

from __future__ import annotations

import argparse
import datetime
import http.client
import json
import os
import random
import shlex
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch

import seqzoo
from seqzoo.analysis.result_tables import add_measurements
from seqzoo.runs.loaded import Loaded
from seqzoo.runs.provenance import commit, hardware

TABLE = Path(__file__).resolve().parents[1] / "results" / "beyond.csv"
HEADERS = {"content-type": "application/json"}


def timed(answer: Callable[[str], bool], inputs: list[str], end: float, times: list[float], lost: list[str]) -> None:
    """Answer inputs one after the other until `end`, and add the time of each; lost: inputs without an answer."""
    draw = random.Random(threading.get_ident())
    while time.monotonic() < end:
        text, start = draw.choice(inputs), time.monotonic()
        if answer(text):
            times.append(time.monotonic() - start)
        else:
            lost.append(text)


def ask(address: str) -> Callable[[str], bool]:
    """A client with a connection of its own."""
    connection = http.client.HTTPConnection(address, timeout=60)

    def answer(text: str) -> bool:
        try:
            connection.request("POST", "/predict", json.dumps({"texts": [text]}), HEADERS)
            response = connection.getresponse()
            content = json.load(response)
            return response.status == 200 and len(content["predictions"]) == 1
        except (OSError, ValueError, http.client.HTTPException):
            connection.close()
            return False

    return answer


def under_load(address: str, inputs: list[str], clients: int, seconds: float) -> dict[str, str]:
    times, lost = list[float](), list[str]()
    end = time.monotonic() + seconds
    threads = [threading.Thread(target=timed, args=(ask(address), inputs, end, times, lost)) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {**summary(times, seconds), "requests without an answer": str(len(lost))}


def one_at_a_time(run: Loaded, inputs: list[str], seconds: float) -> dict[str, str]:
    times = list[float]()
    run.predict(inputs[:1])  # steps are compiled
    timed(lambda text: bool(run.predict([text])), inputs, time.monotonic() + seconds, times, [])
    return summary(times, seconds)


def summary(times: list[float], seconds: float) -> dict[str, str]:
    times = sorted(times)
    return {
        "requests": str(len(times)),
        "requests per second": f"{len(times) / seconds:.4g}",
        "p50 milliseconds": f"{1000 * times[len(times) // 2]:.3g}",
        "p99 milliseconds": f"{1000 * times[len(times) * 99 // 100]:.3g}",
    }


def bad_requests(address: str, inputs: list[str], number: int) -> dict[str, str]:
    """Requests of random bytes and of damaged JSON, and how many are answered by 4xx and by 5xx."""
    draw, statuses = random.Random(0), Counter[str]()
    connection = http.client.HTTPConnection(address, timeout=60)
    for _ in range(number):
        body = bytearray(json.dumps({"texts": [draw.choice(inputs)]}).encode())
        if draw.random() < 0.2:
            body = bytearray(draw.randbytes(draw.randrange(200)))
        for _ in range(draw.randrange(1, 6)):
            place = draw.randrange(len(body) + 1)
            body[place : place + draw.randrange(3)] = draw.choice((draw.randbytes(1), b"[", b"}", b"null", b"\\ud800"))
        connection.request(draw.choice(("POST", "PUT")), draw.choice(("/predict", "/stream")), bytes(body), HEADERS)
        response = connection.getresponse()
        response.read()
        statuses[f"{response.status // 100}xx"] += 1
    return {
        "requests": str(number),
        **{f"answered by {group}": str(statuses[group]) for group in ("2xx", "4xx", "5xx")},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run_dir", nargs="?", default="pretrained:addition_lstm")
    parser.add_argument("--inputs", type=Path, help="a file of lines that the run answers; default: sums")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--bad", type=int, default=10_000, help="number of bad requests")
    chosen = parser.parse_args()
    draw = random.Random(0)
    inputs = [f"{draw.randrange(1000)}+{draw.randrange(1000)}" for _ in range(1000)]
    if chosen.inputs is not None:
        inputs = chosen.inputs.read_text(encoding="utf-8").splitlines()
    torch.set_num_threads(1)
    busy = os.getloadavg()[0]
    measured = {"one at a time, in Python": one_at_a_time(seqzoo.load(chosen.run_dir), inputs, chosen.seconds / 4)}
    command = [sys.executable, "-m", "seqzoo", "serve", chosen.run_dir, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().split()[3].removeprefix("http://")
            ask(address)(inputs[0])
            measured["1 client"] = under_load(address, inputs, 1, chosen.seconds / 4)
            measured[f"{chosen.clients} clients"] = under_load(address, inputs, chosen.clients, chosen.seconds)
            measured["bad requests"] = bad_requests(address, inputs, chosen.bad)
        finally:
            process.terminate()
    common = {
        "part": "service",
        "command": f"python {shlex.join(['scripts/load_test.py', *sys.argv[1:]])}",
        "seed": "0",
        "hardware": f"{hardware(torch.device('cpu'))}, {os.cpu_count()} cores",
        "commit": commit() or "",
        "date": datetime.date.today().isoformat(),
        "remark": f"clients and service on one machine; {busy:.0f} other processes wanted a processor",
    }
    rows = [
        {"metric": f"{setting}: {measure}", "value": value, **common}
        for setting, values in measured.items()
        for measure, value in values.items()
    ]
    add_measurements(TABLE, rows)
    for row in rows:
        print(row["metric"], row["value"])


if __name__ == "__main__":
    main()
