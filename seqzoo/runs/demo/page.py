"""The page in the browser, by gradio: a tab for each run, and one in which two runs read the same text."""

from __future__ import annotations

import html
import io
import random
import re
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import combinations
from typing import Any

import gradio as gr
import numpy
from PIL import Image

from seqzoo.contracts.capabilities import Composes
from seqzoo.contracts.errors import SeqzooError
from seqzoo.inspection.fonts import missing_characters_reported
from seqzoo.runs.demo.comparing import LONGEST_READ, read_by_each, while_reading
from seqzoo.runs.demo.controls import Control, adjusted, controls_of
from seqzoo.runs.demo.replies import LONGEST_TEXT, MOST_ANSWERS, Reads, Reply, View, read_by, several_answers, views_of
from seqzoo.runs.demo.shown import Shown

TITLE = "seqzoo demo"
MOST_PIXELS = 4000
"""Maximum width and height of a picture."""
HARMONISE = "harmonise the melody"
LAST_LAYER = "last layer"
ONE_AT_A_TIME: dict[str, Any] = {"concurrency_limit": 1, "concurrency_id": "models"}
"""Requests share the random state and the cores of the machine."""
NARROW, OPTION = 320, 250
"""Widths in pixels below which columns, or options, are shown below each other."""

COMPONENTS: dict[str, Callable[[str], Any]] = {
    "text": lambda label: gr.Textbox(label=label, lines=2, max_lines=30, interactive=False, buttons=["copy"]),
    "scores": lambda label: gr.Label(label=label),
    "tags": lambda label: gr.HighlightedText(label=label, show_inline_category=True),
    "weights": lambda label: gr.HighlightedText(label=f"{label}: red for the answer, violet against it"),
    "picture": lambda label: gr.Image(
        label=label,
        format="png",
        interactive=False,
        buttons=["download", "fullscreen"],
        show_label=False,  # it would cover the picture
        visible=False,
    ),
    "sound": lambda label: gr.Audio(label=label, interactive=False, buttons=["download"]),
}
"""The component that shows each kind of view."""


def build_page(runs: Sequence[Shown]) -> gr.Blocks:
    """The page for some runs, which has not been served yet."""
    page = gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(3600, 3600))
    with page:
        gr.Markdown(
            "# seqzoo demo\nRecurrent networks that run where this page is served. What you enter is sent nowhere else."
        )
        with gr.Tabs():
            for run in runs:
                with gr.Tab(run.name):
                    _add_run(run)
            reading = [run for run in runs if read_by(run.loaded.spec) == "text"]
            if len(reading) > 1:
                with gr.Tab("compare"):
                    _add_comparison(reading)
    page.queue(max_size=20)
    return page


def _add_run(run: Shown) -> None:
    """The tab of a run."""
    views, controls, form = views_of(run.loaded), controls_of(run.loaded), read_by(run.loaded.spec)
    gr.Markdown(f"{html.escape(run.about)}\n\n`{run.command}`")
    with gr.Row():
        with gr.Column(min_width=NARROW):
            given = _inputs(form, run)
            task = _task_of_music(run)
            button = gr.Button("Answer", variant="primary")
        with gr.Column(min_width=NARROW):
            outputs = [COMPONENTS[view.kind](view.label) for view in views]
    several = several_answers(run.loaded)
    with gr.Accordion("Options", visible=bool(controls or several)), gr.Row():
        count = gr.Slider(
            1, MOST_ANSWERS, 1, step=1, label="answers", info="how many", min_width=OPTION, visible=several
        )
        chosen = [_component(control, run) for control in controls]

    def answer(text: str | None, file: str | None, way: str | None, answers: float, *values: Any) -> Any:
        with errors_as_sentences():
            loaded = adjusted(run.loaded, list(values))
            seed = random.randrange(2**31)
            reply = Reply(loaded, text or "", file, int(answers), way == HARMONISE, seed=seed)
            contents = [_content(view, reply) for view in views]
            return contents if len(contents) > 1 else contents[0]

    gr.on(
        [button.click, *(part.submit for part in given if isinstance(part, gr.Textbox))],
        answer,
        [*given, task, count, *chosen],
        outputs,
        api_name=_address(run.name),
        **ONE_AT_A_TIME,
    )


def _inputs(form: Reads, run: Shown) -> tuple[Any, Any]:
    """The components for the input as text and as a file, of which a run may have one alone."""
    text = gr.Textbox(
        run.example,
        label="chords, from low to high notes" if form == "notes" else "text",
        lines=2,
        max_length=LONGEST_TEXT,
        visible=form in ("text", "notes"),
        submit_btn=False,
    )
    if form == "sound":
        return text, gr.Audio(label="sound", sources=["microphone", "upload"], type="filepath", buttons=[])
    if form == "picture":
        return text, gr.Image(
            label="picture", sources=["upload", "clipboard"], type="filepath", format="png", buttons=[]
        )
    kinds = [".mid", ".midi"] if form == "notes" else None
    label = "or a MIDI file" if form == "notes" else "file"
    return text, gr.File(label=label, file_types=kinds, type="filepath", visible=form != "text", height=120)


def _task_of_music(run: Shown) -> Any:
    """The choice between a continuation and a harmony, for runs that write music."""
    writes = isinstance(run.loaded.model.task, Composes)
    return gr.Radio(["continue", HARMONISE], value="continue", show_label=False, visible=writes)


def _component(control: Control, run: Shown) -> Any:
    """The component of a control."""
    start = control.start(run.loaded.config)
    if control.choices is None:
        return gr.Slider(
            control.lowest,
            control.highest,
            start,
            step=control.step,
            label=control.label,
            info=control.about,
            min_width=OPTION,
        )
    names = [*control.choices] if start in control.choices else [start, *control.choices]
    return gr.Dropdown(names, value=start, label=control.label, info=control.about, min_width=OPTION)


def _content(view: View, reply: Reply) -> Any:
    """What a component shows of a reply; it is hidden where there is nothing."""
    value = view.show(reply)
    if value is None:
        return gr.update(value=None, visible=False)
    if view.kind == "picture":
        value = picture_of(value)
    elif view.kind == "sound":
        rate, samples = value
        value = rate, (samples * 32767).astype(numpy.int16)
    return gr.update(value=value, visible=True)


def _add_comparison(runs: Sequence[Shown]) -> None:
    """The tab in which two runs read one text."""
    by_name = {run.name: run for run in runs}
    names = _compared_first(runs)
    gr.Markdown("Two runs read the same text. Their outputs and gates are drawn while they read.")
    text = gr.Textbox(by_name[names[0]].example, label="text", max_length=LONGEST_READ)
    with gr.Row():
        left, right = (gr.Dropdown([*by_name], value=name, label="run", min_width=NARROW) for name in names)
        layer = gr.Radio(["first layer", LAST_LAYER], value="first layer", label="layer")
    button = gr.Button("Read", variant="primary")
    with gr.Row():
        columns = []
        for _ in range(2):
            with gr.Column(min_width=NARROW):
                columns.append([COMPONENTS["text"]("answer"), COMPONENTS["picture"]("outputs and gates")])

    def compare(text: str, first: str, second: str, layer: str) -> Iterator[list[Any]]:
        with errors_as_sentences():
            chosen = [(name, by_name[name].loaded) for name in (first, second)]
            sides = read_by_each(chosen, text, layer == LAST_LAYER, random.randrange(2**31))
            for figures in while_reading(sides):
                pictures = [gr.update(value=picture_of(figure), visible=True) for figure in figures]
                yield [sides[0].answer, pictures[0], sides[1].answer, pictures[1]]

    gr.on(
        [button.click, text.submit],
        compare,
        [text, left, right, layer],
        [part for column in columns for part in column],
        api_name="compare",
        **ONE_AT_A_TIME,
    )


def _compared_first(runs: Sequence[Shown]) -> tuple[str, str]:
    """The names of two runs to begin with, if possible of one kind of data and of one vocabulary."""

    def form(run: Shown) -> tuple[str, int]:
        return run.loaded.spec.kind, run.loaded.spec.input_size

    first, second = next((pair for pair in combinations(runs, 2) if form(pair[0]) == form(pair[1])), runs[:2])
    return first.name, second.name


def picture_of(figure: Any) -> Image.Image:
    """A matplotlib figure as a picture."""
    file = io.BytesIO()
    with missing_characters_reported():
        figure.savefig(file, format="png", dpi=min(130, MOST_PIXELS / max(figure.get_size_inches())))
    return Image.open(file)


@contextmanager
def errors_as_sentences() -> Iterator[None]:
    """A context in which errors reach the page as one sentence. The traceback of one that is not the user's is printed
    where the page is served.
    """
    try:
        yield
    except SeqzooError as error:
        sentence = str(error).removeprefix("line 1: ").replace("\n", "; ")
        raise gr.Error(html.escape(sentence), title="No answer", print_exception=False) from None
    except Exception as error:
        traceback.print_exc()
        sentence = f"the run could not answer ({type(error).__name__}): the terminal of seqzoo demo says more"
        raise gr.Error(html.escape(sentence), title="No answer", print_exception=False) from None


def _address(name: str) -> str:
    """The name of a run in the addresses of the page's functions."""
    return re.sub(r"\W+", "_", name).strip("_") or "run"
