"""What lies beside an exported model: a program that runs it, and a README with its inputs and outputs."""

from __future__ import annotations

from textwrap import dedent, indent

from seqzoo.contracts.batch import BEGIN, END
from seqzoo.contracts.spec import DataSpec
from seqzoo.data.text.codec import TextCodec
from seqzoo.data.text.subwords import Subwords
from seqzoo.data.text.tokenizing import LINES, inner_name

SPLIT = {
    "whitespace": "text.split()",
    "lower_case": "text.lower().split()",
    "characters": "list(text)",
    "words": r're.findall(r"\w+|[^\w\s]", text)',
}
"""How a program splits a text; by the name of the tokenizer. Others are not part of Python."""


def example(spec: DataSpec, form: str | None, to: str) -> str:
    """The program beside an export, which answers the texts that are its arguments.

    Args:
        spec: of the data that the model was trained on.
        form: "step", "sequence", or None: an encoder and a decoder.
        to: "onnx" or "torch".
    """
    body = _search(spec, to) if form is None else _steps(spec, to) if form == "step" else _sequence(spec, to)
    modules = ["import json"] * ("json." in body) + ["import re"] * ("re.findall" in body) + ["import sys"]
    libraries = ["import numpy"] + (["import onnxruntime"] if to == "onnx" else ["import torch"])
    libraries += ["from PIL import Image, ImageOps"] * ("Image." in body) + ["import tokenizers"] * (
        "tokenizers." in body
    )
    head = [f"# {call_of(spec)}", *modules, "from pathlib import Path", "", *libraries]
    return "\n".join([*head, "", "here = Path(__file__).parent", "", ""]) + body


def call_of(spec: DataSpec) -> str:
    """How the program is called."""
    if spec.picture is not None:
        return "python example.py picture.png"
    if isinstance(spec.inputs, TextCodec):
        return "python example.py TEXT ..."
    return f'python example.py "{", ".join([" ".join(["0.5"] * min(spec.input_size, 3))] * 2)}"'


def _sequence(spec: DataSpec, to: str) -> str:
    call = {
        "onnx": 'session.run(None, {"inputs": inputs, "lengths": numpy.array([inputs.shape[1]])})[0]',
        "torch": "module(torch.from_numpy(inputs), torch.tensor([inputs.shape[1]])).numpy()",
    }[to]
    return _program(spec, to, f"scores = {call}\n{_shown(spec, 'scores[0]')}\n")


def _steps(spec: DataSpec, to: str) -> str:
    if to == "onnx":
        begin = 'state = dict(numpy.load(here / "initial_state.npz"))'
        step = (
            'scores, *following = session.run(None, {"inputs": inputs[:, step], **state})\n'
            "state = dict(zip(state, following))"
        )
    else:
        begin = 'state = [torch.from_numpy(part) for part in numpy.load(here / "initial_state.npz").values()]'
        step = "scores, *state = module(torch.from_numpy(inputs[:, step]), *state)"
    loop = f"{begin}\nfor step in range(inputs.shape[1]):\n{indent(step, '    ')}\n"
    shown = _shown(spec, "scores[0]" if to == "onnx" else "scores[0].numpy()")
    return _program(spec, to, loop + indent(shown, "    ") + "\n")


def _program(spec: DataSpec, to: str, loop: str) -> str:
    load = {
        "onnx": 'session = onnxruntime.InferenceSession(str(here / "model.onnx"))',
        "torch": 'module = torch.export.load(here / "model.pt2").module()',
    }[to]
    labels = 'labels = json.loads((here / "labels.json").read_text(encoding="utf-8"))\n' if spec.targets else ""
    return f"{load}\n{labels}{_vocabulary(spec)}\nfor text in sys.argv[1:]:\n{indent(f'{_read(spec)}{loop}', '    ')}"


def _shown(spec: DataSpec, scores: str) -> str:
    if spec.targets is None:
        return f"print({scores})"
    return f"print(*(labels[best] for best in {scores}.reshape(-1, len(labels)).argmax(-1)))"


def _vocabulary(spec: DataSpec) -> str:
    """Lines that read what inputs are encoded by."""
    if isinstance(spec.inputs, TextCodec):
        subwords = isinstance(spec.inputs.tokenizer, Subwords)
        pieces = 'splitter = tokenizers.Tokenizer.from_file(str(here / "tokenizer.json"))\n' if subwords else ""
        return (
            'vocabulary = json.loads((here / "vocabulary.json").read_text(encoding="utf-8"))\n'
            'ids = {token: i for i, token in enumerate(vocabulary["tokens"]) if i >= vocabulary["specials"]}\n' + pieces
        )
    if spec.channels is not None:
        return 'channels = json.loads((here / "channels.json").read_text(encoding="utf-8"))\n'
    return ""


def _read(spec: DataSpec) -> str:
    """Lines that turn a text into the inputs of one row."""
    if spec.picture is not None:
        mode, (_, height, width) = ("L" if spec.picture[0] == 1 else "RGB"), spec.picture
        return dedent(f"""\
            picture = ImageOps.exif_transpose(Image.open(text)).convert("{mode}")
            pixels = numpy.asarray(ImageOps.fit(picture, ({width}, {height})), numpy.float32) / 255
            inputs = numpy.atleast_3d(pixels).transpose(2, 0, 1)[None]
            """)
    if isinstance(spec.inputs, TextCodec):
        return f"inputs = numpy.array([[ids.get(token, 1) for token in {_split(spec.inputs)}]], numpy.int64)\n"
    numbers = "numpy.array([[[float(x) for x in step.split()] for step in text.split(',')]], numpy.float32)"
    scaled = spec.channels is not None and spec.channels.input_size == len(spec.channels.names)
    scale = '(inputs - numpy.float32(channels["means"])) / numpy.float32(channels["scales"])'
    return f"inputs = {numbers}\n" + (f"inputs = {scale}\n" if scaled else "")


def _split(codec: TextCodec) -> str:
    name = inner_name(codec.name)
    if isinstance(codec.tokenizer, Subwords):
        code = '[piece for word in text.split(" ") for piece in splitter.encode("▁" + word).tokens]'
    else:
        code = SPLIT.get(name, "text.split()")
    return f"{code}[::-1]" if codec.backwards else code


def _search(spec: DataSpec, to: str) -> str:
    """A beam search over an encoder and the step of a decoder."""
    if to == "onnx":
        load = dedent("""\
            encoder = onnxruntime.InferenceSession(str(here / "encoder.onnx"))
            decoder = onnxruntime.InferenceSession(str(here / "decoder.onnx"))
            names = [part.name for part in decoder.get_inputs()][1:]
            """)
        start = "encoder.run(None, GIVEN)"
        given = (
            '{"inputs": inputs}' if spec.picture else '{"inputs": inputs, "lengths": numpy.array([inputs.shape[1]])}'
        )
        step = 'decoder.run(None, {"tokens": tokens, **dict(zip(names, rows))})'
    else:
        load = dedent("""\
            encoder = torch.export.load(here / "encoder.pt2").module()
            decoder = torch.export.load(here / "decoder.pt2").module()
            """)
        start = "[part.numpy() for part in encoder(*map(torch.from_numpy, GIVEN))]"
        given = "[inputs]" if spec.picture else "[inputs, numpy.array([inputs.shape[1]])]"
        step = "[part.numpy() for part in decoder(*map(torch.from_numpy, [tokens, *rows]))]"
    longest = "" if spec.picture else ", longest=2 * inputs.shape[1] + 10"
    return (
        load
        + 'targets = json.loads((here / "labels.json").read_text(encoding="utf-8"))\n'
        + _vocabulary(spec)
        + dedent(f"""\


        def answer(inputs, beam=5, longest=100):
            \"\"\"The tokens of the most probable answer, and its log-probability, by beam search.\"\"\"
            scores, *rows = {start.replace("GIVEN", given)}
            answers, written, totals = [], [[]], numpy.zeros(1)
            for _ in range(longest):
                totals = totals[:, None] + scores
                best = numpy.argsort(-totals, axis=None)[: beam - len(answers)]
                origin, tokens = numpy.unravel_index(best, totals.shape)
                totals, written = totals[origin, tokens], [[*written[i], int(t)] for i, t in zip(origin, tokens)]
                ended = (tokens == {END}) | (totals == -numpy.inf)
                answers += [(total, ids[:-1]) for total, ids, end in zip(totals, written, ended) if end]
                if ended.all() or max(answers, default=(-numpy.inf,))[0] > totals[~ended].max():
                    return max(answers)
                totals, written = totals[~ended], [ids for ids, end in zip(written, ended) if not end]
                rows, tokens = [part[origin[~ended]] for part in rows], tokens[~ended]
                scores, *following = {step}
                rows[: len(following)] = following
            return max([*answers, *zip(totals, written)])


        for text in sys.argv[1:]:
        """)
        + indent(
            f"{_read(spec)}score, tokens = answer(inputs{longest})\nprint({_joined(spec)})\n",
            "    ",
        )
    )


def _joined(spec: DataSpec) -> str:
    """The text of tokens."""
    codec = spec.target_codec
    backwards = "[::-1]" if getattr(codec, "backwards", False) else ""
    space = "" if codec.join(["a", "b"]) == "ab" else " "
    text = f'"{space}".join(targets[i] for i in tokens{backwards})'
    return f'{text}.replace("▁", " ").strip()' if codec.unit == "pieces of words" else text


def page(spec: DataSpec, form: str | None, to: str) -> str:
    """The text of the README; arguments as of `example`."""
    suffix = {"onnx": ".onnx", "torch": ".pt2"}[to]
    files = [f"encoder{suffix}", f"decoder{suffix}"] if form is None else [f"model{suffix}"]
    library = "onnxruntime" if to == "onnx" else "torch"
    lines = [
        f"# {' and '.join(files)}",
        "",
        f"A recurrent network that was trained and exported by seqzoo. `{call_of(spec)}` runs it with {library}:",
        "",
        "```python",
        example(spec, form, to).rstrip(),
        "```",
        "",
        "| name | shape | |",
        "|---|---|---|",
        *_signature(spec, form),
        "",
        f"B, the number of rows, and T, the number of steps, may vary. {_scores(spec, form)}",
    ]
    if isinstance(spec.inputs, TextCodec):
        known = "the id of a token is its place among them, 1 is that of unknown tokens, and 0 that of padding"
        lines += ["", f"`vocabulary.json` holds the name of the tokenizer and its tokens; {known}."]
        name = inner_name(spec.inputs.name)
        if name not in SPLIT and not isinstance(spec.inputs.tokenizer, Subwords):
            lines[-1] += f" The program does not have the tokenizer {name}: give it tokens, separated by spaces."
        if spec.inputs.name.startswith(LINES):
            lines[-1] += " The token `<eos>` ends a line."
    if spec.channels is not None:
        lines += [
            "",
            "Inputs are (value - mean) / scale of each channel in `channels.json`, and so are predicted ones.",
        ]
    if form == "step":
        lines += [
            "",
            "`initial_state.npz` holds the state before the first step, for one row; repeat it for several rows.",
        ]
    return "\n".join(lines) + "\n"


def _scores(spec: DataSpec, form: str | None) -> str:
    if form is None:
        text = f"Log-probabilities are of the entries of `labels.json`; {END} ends an answer, {BEGIN} is never written."
        return f"{text} To decode several rows, each hypothesis is a row of the state and of the memory."
    return f"Scores are {'log-probabilities of the entries of `labels.json`' if spec.targets else 'predicted numbers'}."


def _signature(spec: DataSpec, form: str | None) -> list[str]:
    content = "ids, int64" if spec.inputs is not None else "float32"
    further = "" if spec.inputs is not None else f", {spec.input_size}"
    if form == "step":
        return [
            f"| inputs | {f'(B{further})' if further else '(B,)'} | {content} |",
            "| state_0, ... | (B, ...) | the state before the step |",
            "| scores | (B, K) | of the step |",
            "| next_state_0, ... | (B, ...) | the state after the step |",
        ]
    shape = f"(B, {', '.join(map(str, spec.picture))})" if spec.picture else f"(B, T{further})"
    inputs = [f"| inputs | {shape} | {content}{', from 0 to 1' if spec.picture else ''} |"]
    if not spec.picture:
        inputs.append(
            "| lengths | (B,) | number of real steps of each row, int64; what follows them has no influence |"
        )
    if form == "sequence":
        return [*inputs, "| scores | (B, T, K) or (B, K) | of each step, or of each row |"]
    return [
        *inputs,
        "| log_probabilities | (B, K) | of the first token, from the encoder, or of the next one, from the decoder |",
        "| state_0, ... | (B, ...) | of the decoder, first from the encoder |",
        "| memory_0, ... | (B, ...) | what the decoder attends to, from the encoder |",
        "| tokens | (B,) | last tokens, int64, which the decoder reads |",
        "| next_state_0, ... | (B, ...) | the state after the step |",
    ]
