"""What the processes of tests/training/test_processes.py do: python -m tests.training.sharing FOLDER PORT PORT PORT.

Three of them fail together, then train together, then the first two of them do, until one of these is killed.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from seqzoo.configuration.building import build_data, build_model, build_rule
from seqzoo.configuration.experiment import Experiment, compose
from seqzoo.contracts.data_module import DataModule
from seqzoo.contracts.errors import DataError, SeqzooError
from seqzoo.runs.launch import resume_one, train_one
from seqzoo.training import loop
from seqzoo.training.evaluation import evaluate
from seqzoo.training.interrupt import Stopped
from seqzoo.training.prefetch import on_device
from seqzoo.training.processes import Division, Processes, joined
from seqzoo.training.session import Session

TINY = [
    "debug=tiny", "training.precision=fp64", "training.optimizer=sgd", "training.learning_rate=0.5", "cell=elman",
    "cell.engine=reference", "training.diagnostics=0", "training.examples=0", "recipe=none",
]  # fmt: skip
FEW = ["data.train_size=30", "data.validation_size=13", "data.limit=25"]
CASES = {
    "unequal rows, an odd last batch": ["task=tagging", *FEW, "data.batch_size=7", "task.decoder=crf"],
    "accumulation": ["task=tagging", *FEW, "data.batch_size=7", "training.accumulate=3", "learning=truncated"],
    "fewer rows than processes": ["task=classification", "data.batch_size=2", "data.limit=9", "ensemble=2"],
    "attention": ["task=transduction", *FEW, "data.batch_size=8", "task.decoder.attention=additive"],
    "carried state": [
        "task=language_modeling", "data.train_size=60", "data.batch_size=5", "data.window=6", "training.accumulate=2",
        "data.limit=300", "task.temporal_activation_regularization=1.0", "data.evaluation_batch_size=4",
    ],
    "documents, a complex state": [
        "task=language_modeling", "data.document_separator=the", "data.limit=200", "data.batch_size=4", "data.window=9",
        "task.temporal_activation_regularization=1.0", "task.activation_regularization=1.0", "cell=lru",
    ],
    "numbers": ["task=regression", "data.train_size=30", "data.batch_size=7", "data.steps=10"],
    "trees": ["task=tree_classification", *FEW, "cell=child_sum_tree_lstm"],
}  # fmt: skip
RUN = [
    "task=language_modeling", *TINY, "data.limit=400", "data.batch_size=5", "data.window=6", "training.steps=24",
    "training.validate_every=6", "data.train_size=100", "data.validation_size=20", "data.test_size=20",
]  # fmt: skip
UPDATES = 4


def loaded(name: str) -> tuple[Experiment, DataModule]:
    """The configuration and the data of a case."""
    config = compose(*TINY, *CASES[name])
    data = build_data(config)
    data.float_type = torch.float64
    data.load()
    return config, data


def outcome(config: Experiment, data: DataModule, processes: Processes) -> dict[str, Any]:
    """Gradients of the first updates of a configuration, and what else must not depend on the processes."""
    torch.manual_seed(0)
    model = build_model(config, data.spec).double()
    settings = replace(config.training, epochs=1, steps=None)
    session = Session(model, settings, torch.device("cpu"), 100, rule=build_rule(config), processes=processes)
    groups = loop.in_groups(data.batches("train"), settings.accumulate)
    share = Division(processes, data.stateful)
    gradients: list[dict[str, torch.Tensor]] = []
    step = loop.optimizer_step

    def optimizer_step(*arguments: Any) -> torch.Tensor:
        gradients.append({n: w.grad.clone() for n, w in model.named_parameters() if w.grad is not None})
        return step(*arguments)

    loop.optimizer_step = optimizer_step
    own_steps = []
    for group, steps in islice(on_device(groups, session.device, share), UPDATES):
        own_steps.append(sum(int(batch.lengths.sum()) for batch in group))
        loop.update(session, group, data.stateful)
        session.position.advance(len(group), steps, 0.0)
    loop.optimizer_step = step
    return {
        "gradients": gradients,
        "loss": [float(session.running_total), float(session.running_count)],
        "steps": session.position.tokens,
        "state": session.content()["state"],
        "scores": evaluate(model, data, "validation", session.device, "fp64", processes=processes),
        "own steps": own_steps,
    }


def at_update(number: int, action: Any) -> None:
    """Do something in an update of the trainings that follow."""
    original, calls = loop.update, []

    def update(*arguments: Any) -> torch.Tensor:
        calls.append(1)
        if len(calls) == number:
            action()
        return original(*arguments)

    loop.update = update


def fail(folder: Path, rank: int) -> None:
    """All processes have the same error, which the first one raises."""
    try:
        with joined():
            raise DataError("there is no such file")
    except (DataError, SystemExit) as error:
        (folder / f"error_{rank}.txt").write_text(f"{type(error).__name__} {error}")


def work(folder: Path, rank: int, ports: list[str], cases: dict[str, Any]) -> None:
    """One process."""
    update = loop.update
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "MASTER_ADDR": "127.0.0.1"}
    for count, port in zip((3, 3, 2), ports, strict=True):
        if rank >= count:
            return
        os.environ |= {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count), "MASTER_PORT": port}
        if port == ports[0]:
            fail(folder, rank)
            continue
        with joined() as processes:
            found = {name: outcome(*case, processes) for name, case in cases.items()}
            torch.save(found, folder / f"cases_{count}_{rank}.pt")
            # a signal that only one of them receives stops all
            at_update(8, lambda: os.kill(os.getpid(), signal.SIGTERM) if rank == 1 else None)
            try:
                if count == 3:
                    train_one([*RUN, f"hydra.run.dir={folder / 'changing'}"])
                else:
                    resume_one(folder / "changing", [])
            except Stopped as stopped:
                (folder / "signal.txt").write_text(str(stopped.signal_number))
            loop.update = update
            train_one([*RUN, "training.steps=8", f"hydra.run.dir={folder / str(count)}"])
            if count == 2:
                at_update(8, lambda: os.kill(os.getpid(), signal.SIGKILL) if rank == 1 else None)
                try:
                    train_one([*RUN, f"hydra.run.dir={folder / 'killed'}"])
                except SeqzooError as error:
                    (folder / "message.txt").write_text(str(error))


def main(folder: Path, ports: list[str]) -> None:
    """Fork the processes, which need not import everything again, and print the status of each."""
    torch.set_num_threads(1)
    cases, children = {name: loaded(name) for name in CASES}, []
    for rank in range(3):
        child = os.fork()
        if child == 0:
            with (folder / f"output_{rank}.txt").open("w") as output:
                os.dup2(output.fileno(), 1)
                os.dup2(output.fileno(), 2)
            work(folder, rank, ports, cases)
            return
        children.append(child)
    print(*(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))


def killed(rank: str, seconds: str, *overrides: str) -> None:
    """Train the run under torchrun, in updates of a twentieth of a second. So many seconds after its first update, the
    process of this rank is killed, unless torchrun has started it again.
    """
    update, calls = loop.update, []

    def slow_update(*arguments: Any) -> torch.Tensor:
        calls.append(1)
        if (os.environ["RANK"], os.environ["TORCHELASTIC_RESTART_COUNT"], len(calls)) == (rank, "0", 1):
            threading.Timer(float(seconds), os.kill, (os.getpid(), signal.SIGKILL)).start()
        time.sleep(0.05)
        return update(*arguments)

    loop.update = slow_update
    train_one([*RUN, "training.save_every=0.1", *overrides])


if __name__ == "__main__":
    if sys.argv[1] == "killed":
        killed(*sys.argv[2:])
        sys.exit()
    main(Path(sys.argv[1]), sys.argv[2:])
