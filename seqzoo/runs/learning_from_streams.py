"""Learning from a stream of text: each window is predicted first, then learned from, once, while more arrives."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch

from seqzoo.configuration.building import build_data, build_rule, task_name
from seqzoo.configuration.checking import check_rule
from seqzoo.configuration.experiment import Experiment
from seqzoo.configuration.pretrained import run_folder
from seqzoo.configuration.stored import stored
from seqzoo.contracts.batch import Batch
from seqzoo.contracts.capabilities import ScoresTexts
from seqzoo.contracts.data_module import DataModule
from seqzoo.contracts.errors import ConfigError, DataError, program
from seqzoo.contracts.options import Values
from seqzoo.contracts.spec import Codec
from seqzoo.data.text.codec import spec_from_plain, spec_to_plain
from seqzoo.data.text.growing_text import GrowingText
from seqzoo.network.model import Model
from seqzoo.runs.lifecycle import best_model, set_threads
from seqzoo.runs.provenance import group_name, hyperparameters
from seqzoo.training.device import check_precision, float_type, seed_everything, select_device
from seqzoo.training.interrupt import Stopped, StopSignals
from seqzoo.training.loop import update
from seqzoo.training.record.checkpoint import Checkpoint, continuing, fill, load_training, mapping, save_training
from seqzoo.training.record.files import LAST, SPEC, read_config, read_json
from seqzoo.training.record.run import Run
from seqzoo.training.session import Session, check_progress
from seqzoo.training.stopwatch import Stopwatch

STREAM = "stream"


class StreamTraining:
    """A training on a stream.

    Args:
        session: the training.
        text: that arrives.
        run: the run directory to write to.

    Attributes:
        total, count: sum of the losses of all tokens, each before it was learned from, and the number of tokens.
    """

    def __init__(self, session: Session, text: GrowingText, run: Run):
        self.session, self.text, self.run = session, text, run
        self.total = self.count = 0.0

    @property
    def prequential_loss(self) -> float:
        """The mean over all tokens."""
        return self.total / max(1.0, self.count)

    def learn(self) -> None:
        """Learn until the text ends.

        Raises:
            Stopped: a signal was received; the training has been saved.
        """
        session, position = self.session, self.session.position
        watch = Stopwatch(position, session.device)
        saved, norm = position.seconds, torch.zeros(())
        with StopSignals() as stop:
            try:
                for ids in self.text.windows(lambda: stop.received is not None):
                    tokens = torch.tensor([ids])
                    batch = Batch(tokens[:, :-1], torch.tensor([len(ids) - 1]), tokens[:, 1:], padded=False)
                    norm = update(session, [batch.to(session.device)], stateful=True)
                    position.advance(1, len(ids) - 1, watch.lap(stop))
                    if position.step % session.settings.log_every == 0:
                        self._log(norm)
                    if position.seconds - saved > session.settings.save_every:
                        self.save()
                        saved = position.seconds
                    if stop.received:
                        break
            except DataError:  # what comes next cannot be read
                self.save()
                raise
            if session.running_count > 0:
                self._log(norm)
            self.save()
            if stop.received:
                resume = f"{program('seqzoo')} learn {shlex.quote(str(self.run.folder))} [FILE]"
                self.run.log(f"stopped and saved after {int(self.count):,} tokens; to go on:\n    {resume}")
                raise Stopped(stop.received)

    def _log(self, norm: torch.Tensor) -> None:
        session = self.session
        session.check_finite()
        self.total += float(session.running_total)
        self.count += float(session.running_count)
        self.run.log_update(session, norm)
        name, lately = session.model.task.loss_name, session.last_train_loss
        self.run.log(f"{int(self.count):,} tokens  {name} {self.prequential_loss:.4f}, lately {lately:.4f}")

    def save(self) -> None:
        """Save a checkpoint, and the weights for other commands."""
        self.session.check_finite()
        place = {**self.text.content(), "total": self.total, "count": self.count}
        save_training(self.run.folder / LAST, {**self.session.content(), STREAM: place})
        self.run.save_best(self.session, {})

    def restore(self, content: Checkpoint) -> None:
        """Continue from a checkpoint; raises ValueError or LookupError if it is not one of a stream."""
        check_progress(content)
        self.session.restore(content)
        place = mapping(content, STREAM)
        self.text.restore(place)
        self.total, self.count = float(place["total"]), float(place["count"])


def learn_from_stream(
    folder: Path, path: Path | None, to: Path | None, follow: bool, values: Values, allow_modules: Sequence[str]
) -> float:
    """Learn from a text while it arrives, by the learning rule of a run and at a constant learning rate.

    Args:
        folder: a run directory, whose weights and vocabulary are the beginning, or that of an earlier stream, which
            is continued.
        path: the text, which is read from where the stream was interrupted; None: standard input.
        to: the new run directory of a stream that begins; None: `folder` is continued.
        follow: wait for more text at the end of the file.
        values: options that replace those of the run, by path.
        allow_modules: user-defined modules that the run may use.

    Returns:
        The mean loss of all tokens, each before it was learned from.

    Raises:
        ConfigError: an option is invalid, or the run cannot learn from a stream.
        CheckpointError: a directory is damaged, or is in use.
        DataError: the text cannot be read.
        Stopped: a signal ended the training, which has been saved.
    """
    origin = run_folder(folder)
    if path is not None and not path.is_file():
        raise ConfigError([f"{path} is not a file: give a text file, or nothing to read standard input"])
    changes = {"allow_modules": [*allow_modules], "data.batch_size": 1, **values}
    experiment = _for_a_stream(stored(read_config(origin), changes))
    check_precision(experiment.training.precision, select_device(experiment.training.device))
    data = build_data(experiment)
    data.spec, data.float_type = spec_from_plain(read_json(origin / SPEC)), float_type(experiment.training.precision)
    checkpoint = None if to is not None else _saved(origin, folder)
    model = best_model(experiment, data, origin)
    mistakes = _misfits(experiment, model, data)
    if mistakes:
        raise ConfigError(mistakes)
    with Run.open(origin)[0] if to is None else Run.create(to, experiment.to_plain()) as run:
        run.write_json(SPEC, spec_to_plain(data.spec))
        text = GrowingText(cast(Codec, data.spec.inputs), experiment.data["window"], path, follow)
        stream = StreamTraining(_session(experiment, model, checkpoint), text, run)
        if checkpoint is not None:
            with continuing(origin / LAST):
                fill(model, checkpoint["model"], origin / LAST)
                stream.restore(checkpoint)
            run.forget_after(stream.session.position.step)
        parameters = sum(weight.numel() for weight in model.parameters())
        step = stream.session.position.step
        run.track(hyperparameters(experiment, parameters), group_name(experiment), step + 1 if step else None)
        try:
            stream.learn()
        finally:
            run.end_tracking(None)
    return stream.prequential_loss


def _for_a_stream(experiment: Experiment) -> Experiment:
    """The configuration without what needs an end of the training, or a validation."""
    training = replace(experiment.training, schedule="constant", warmup_steps=0, accumulate=1)
    return replace(experiment, training=replace(training, average="none", freeze="none", patience=None))


def _saved(origin: Path, folder: Path) -> Checkpoint:
    """The checkpoint of a stream."""
    checkpoint = load_training(origin / LAST) if (origin / LAST).exists() else {}
    if STREAM not in checkpoint:
        raise ConfigError([f"{folder} has not learned from a stream yet: give a new folder for the stream by --to"])
    return checkpoint


def _misfits(experiment: Experiment, model: Model, data: DataModule) -> list[str]:
    """Reasons why a model cannot learn from a stream."""
    if not isinstance(model.task, ScoresTexts):
        named = task_name(model.task, experiment.choices)
        return [f"a stream is text whose next token is predicted, and {named} does not: give a run of a language model"]
    mistakes = check_rule(experiment, model, data)
    if model.encoder.reads_characters:
        encoder = experiment.choices.get("encoder")
        mistakes.append(f"a stream is read token by token, and encoder={encoder} also reads characters of words")
    if experiment.data.get("document_separator") is not None:
        mistakes.append("a stream has no documents, and the run resets the state by data.document_separator")
    return mistakes


def _session(experiment: Experiment, model: Model, checkpoint: Checkpoint | None) -> Session:
    settings = experiment.training
    seed_everything(experiment.seed)
    set_threads(settings.threads, model, 1, checkpoint)
    return Session(model, settings, select_device(settings.device), None, rule=build_rule(experiment))
