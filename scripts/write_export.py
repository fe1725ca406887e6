"""Write docs/EXPORT.md: every cell as a file of ONNX and of torch.export, in sequences and in steps.

python scripts/write_export.py              # exports what results/export.csv lacks, and writes the page
python scripts/write_export.py lstm gru     # exports these cells again
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import logging
import math
import multiprocessing
import resource
import shlex
import signal
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from seqzoo.analysis.result_tables import read_table, write_table
from seqzoo.configuration.building import cell_factory
from seqzoo.configuration.registry import names
from seqzoo.contracts.batch import Batch
from seqzoo.contracts.errors import SeqzooError
from seqzoo.contracts.spec import DataSpec
from seqzoo.contracts.state import flatten
from seqzoo.network.backbones.recurrent import Recurrent
from seqzoo.network.encoders.features import FeatureEncoder
from seqzoo.network.model import Model
from seqzoo.runs.export_forms import Form
from seqzoo.runs.exporting import Format, difference, program, write_export
from seqzoo.runs.provenance import commit, hardware
from seqzoo.tasks.regression import Regression

REPOSITORY = Path(__file__).resolve().parents[1]
PAGE, TABLE = REPOSITORY / "docs" / "EXPORT.md", REPOSITORY / "results" / "export.csv"
FEATURES, UNITS, STEPS = 32, 64, 100
SPEC = DataSpec("regression", FEATURES, 2, per_step=True)
FORMATS: tuple[Format, ...] = ("onnx", "torch")
FORMS: tuple[Form, ...] = ("step", "sequence")
LIMIT = 120
"""Seconds of CPU time after which an export is stopped."""
COLUMNS = (
    "cell", "form", "format", "equal", "difference", "reason", "bytes", "milliseconds", "torch_milliseconds",
    "compiled_milliseconds", "seconds", "input_size", "hidden_size", "steps", "torch", "onnxruntime", "device",
    "threads", "command", "commit", "date",
)  # fmt: skip


def small_model(cell: str, **options: Any) -> Model:
    """One layer with initial weights."""
    torch.manual_seed(0)
    backbone = Recurrent(cell_factory(cell, **options), FEATURES, hidden_size=UNITS)
    return Model(FeatureEncoder(FEATURES), backbone, Regression(backbone.output_size, SPEC, ["mse"])).eval()


def measure(cell: str, form: Form, to: Format) -> dict[str, str]:
    """Export a cell, compare the file and time it, for one row."""
    torch.set_num_threads(1)
    start = time.perf_counter()
    model = small_model(cell)
    with tempfile.TemporaryDirectory() as folder:
        try:
            [path] = write_export(model, SPEC, to, form, Path(folder) / "exported")
        except SeqzooError as error:
            return {"equal": "no", "reason": str(error).partition(": ")[2] or str(error)}
        seconds = time.perf_counter() - start
        run = program(path, threads=1)
        with torch.no_grad():
            apart = difference([run], model, SPEC, form)
            times = step_times(run, cell) if form == "step" else sequence_times(run, cell)
        return {
            "equal": "yes",
            "difference": f"{apart:.1e}",
            "bytes": str(path.stat().st_size),
            "seconds": f"{seconds:.1f}",
            **times,
        }


def step_times(run: Callable[..., Any], cell: str) -> dict[str, str]:
    """Milliseconds of a step of one row: of the file, of torch, and compiled."""
    model, x = small_model(cell), torch.randn(1, FEATURES)
    state = model.backbone.initial_state(1)
    tensors = [part.clone() for part in flatten(state)]
    return {
        "milliseconds": milliseconds(lambda: run(x, *tensors)),
        "torch_milliseconds": milliseconds(lambda: model.step(x, state)),
        "compiled_milliseconds": compiled(cell, Batch(x[:, None], torch.ones(1, dtype=torch.long), padded=False)),
    }


def sequence_times(run: Callable[..., Any], cell: str) -> dict[str, str]:
    """Milliseconds per step of one row of `STEPS` steps."""
    x, lengths = torch.randn(1, STEPS, FEATURES), torch.tensor([STEPS])
    batch, model = Batch(x, lengths, padded=False), small_model(cell, engine="reference")
    return {
        "milliseconds": milliseconds(lambda: run(x, lengths), STEPS),
        "torch_milliseconds": milliseconds(lambda: model.encode(batch), STEPS),
        "compiled_milliseconds": compiled(cell, batch),
    }


def compiled(cell: str, batch: Batch) -> str:
    """Milliseconds per step of the compiled step; empty if it cannot be compiled."""
    model = small_model(cell, engine="fused")
    try:
        return milliseconds(lambda: model.encode(batch), batch.inputs.shape[1])
    except ValueError:
        return ""


def milliseconds(call: Callable[[], Any], steps: int = 1) -> str:
    """CPU time per step, the median of five rounds."""
    call()
    calls = min(50, math.ceil(0.01 / _seconds(call, 3)))
    return f"{1000 * statistics.median(_seconds(call, calls) for _ in range(5)) / steps:.3g}"


def _seconds(call: Callable[[], Any], calls: int) -> float:
    # of this thread, which does all the work: under a limit of CPU time the clock of the process only moves in ticks
    start = time.thread_time()
    for _ in range(calls):
        call()
    return (time.thread_time() - start) / calls


def in_a_process_of_its_own(cell: str, form: Form, to: Format) -> dict[str, str]:
    """`measure` in a copy of this process, which has recorded no program, and has imported what exporting needs."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(sender, cell, form, to), daemon=True)
    process.start()
    sender.close()
    try:
        return receiver.recv()
    except EOFError:
        process.join()
        slow = process.exitcode == -signal.SIGXCPU
        reason = f"was stopped after {LIMIT} seconds of CPU time" if slow else f"ended with {process.exitcode}"
        return {"equal": "no", "reason": f"the export {reason}"}
    finally:
        process.kill()
        process.join()


def _send(sender: Connection, cell: str, form: Form, to: Format) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(time.process_time()) + LIMIT, resource.RLIM_INFINITY))
    try:
        sender.send(measure(cell, form, to))
    except Exception as error:
        sender.send({"equal": "no", "reason": f"{type(error).__name__}: {error}".partition("\n")[0]})


def import_exporters() -> None:
    """Import what exporting imports when it is first used, so that copies of this process need not."""
    warnings.simplefilter("ignore")
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    import onnxruntime  # noqa: F401
    import torch._dynamo
    import torch.onnx._internal.exporter._core
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    # reading the operators of ONNX takes as long as an export
    operators = ONNXRegistry.from_torchlib()
    ONNXRegistry.from_torchlib = lambda *_, **__: operators  # type: ignore[method-assign]
    torch.set_num_threads(1)  # threads are not copied


def export_all(cells: list[str], again: bool) -> None:
    """Export cells in all formats and forms; each row is stored at once.

    Args:
        cells: names.
        again: whether rows that the table has are measured again.
    """
    import_exporters()
    common = {
        "input_size": str(FEATURES),
        "hidden_size": str(UNITS),
        "torch": importlib.metadata.version("torch").partition("+")[0],
        "onnxruntime": importlib.metadata.version("onnxruntime"),
        "device": hardware(torch.device("cpu")),
        "threads": "1",
        "command": f"python {shlex.join(['scripts/write_export.py', *sys.argv[1:]])}",
        "commit": commit() or "",
        "date": datetime.date.today().isoformat(),
    }
    rows = {_key(row): row for row in read_table(TABLE)}
    for cell in cells:
        for form in FORMS:
            for to in FORMATS:
                key = (cell, form, to)
                if key in rows and not again:
                    continue
                row = {"cell": cell, "form": form, "format": to, "steps": str(STEPS if form == "sequence" else 1)}
                rows[key] = {**row, **in_a_process_of_its_own(cell, form, to), **common}
                order = {name: number for number, name in enumerate(names("cell"))}
                known = [rows[one] for one in sorted(rows, key=lambda one: (order.get(one[0], -1), one))]
                write_table(TABLE, COLUMNS, [each for each in known if each["cell"] in order])
                shown = {name: rows[key].get(name, "") for name in ("difference", "milliseconds", "seconds", "reason")}
                print(*key, *shown.values(), flush=True)


def _key(row: Mapping[str, str]) -> tuple[str, str, str]:
    return row["cell"], row["form"], row["format"]


HEADER = f"""# Exported files

`seqzoo export RUN_DIR --to onnx|torch --form sequence|step` writes a trained model as a file that runs without seqzoo,
and beside it a vocabulary, the labels and a program that runs it ([LIBRARY.md](LIBRARY.md#export)). A file is kept only
if its numbers are those of the model at three other numbers of rows and steps.

`python scripts/write_export.py` writes this page: it exports a layer of {UNITS} units that reads {FEATURES} numbers per
step, with initial weights, for every cell, format and form.
"""
COLUMN_NOTES = f"""
| column | meaning |
|---|---|
| ONNX, torch | size of the file in KB, with the weights (torch: `.pt2`); no (1): there is none, for reason 1 below |
| ONNX Runtime | CPU time of a step of one row in milliseconds, by the file of ONNX |
| .pt2 | the same, by the file of torch.export, loaded in torch |
| torch | the same, by the equations of the cell in torch, one operation after the other |
| compiled | the same, by the step that seqzoo compiles (`cell.engine=fused`); empty: it cannot be compiled |

Of steps, a time is that of a call with one step; of sequences, that of a call with {STEPS} steps, divided by {STEPS}.
"""


def page() -> str:
    """docs/EXPORT.md from the table."""
    rows = {_key(row): row for row in read_table(TABLE)}
    equal = [row for row in rows.values() if row["equal"] == "yes"]
    largest = max((float(row["difference"]) for row in equal), default=0.0)
    versions = sorted(
        {
            f"{row['device']}, {row['threads']} thread, torch {row['torch']}, onnxruntime {row['onnxruntime']}"
            for row in rows.values()
        }
    )
    summary = f"{len(equal)} of {len(rows)} files were written, whose numbers differ by at most {largest:.1e}"
    lines = [f"{HEADER}{summary}\n({'; '.join(versions)}).", COLUMN_NOTES]
    reasons: dict[str, int] = {}
    for form in reversed(FORMS):
        lines += [f"## {form.capitalize()}s", ""]
        lines += ["| cell | ONNX | torch | ONNX Runtime | .pt2 | torch | compiled |", "|---|" + "---:|" * 6]
        for cell in names("cell"):
            onnx, torch_row = (rows.get((cell, form, to), {}) for to in FORMATS)
            sizes = [_size(row, reasons) for row in (onnx, torch_row)]
            known = onnx if onnx.get("torch_milliseconds") else torch_row
            times = [onnx.get("milliseconds", ""), torch_row.get("milliseconds", "")]
            times += [known.get("torch_milliseconds", ""), known.get("compiled_milliseconds", "")]
            lines.append(f"| `{cell}` | {' | '.join([*sizes, *times])} |")
        lines.append("")
    lines += [f"{number}. {reason}" for reason, number in reasons.items()]
    return "\n".join(lines).rstrip() + "\n"


def _size(row: Mapping[str, str], reasons: dict[str, int]) -> str:
    """The size of a file in KB, or why there is none; reasons: numbers of those so far."""
    if not row:
        return ""
    if row["equal"] == "yes":
        return f"{int(row['bytes']) / 1000:.0f}"
    return f"no ({reasons.setdefault(row['reason'], len(reasons) + 1)})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("cells", nargs="*", metavar="CELL", help="export these cells again; none: what is missing")
    cells = parser.parse_args().cells
    export_all(cells or names("cell"), again=bool(cells))
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
