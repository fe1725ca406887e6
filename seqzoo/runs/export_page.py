"""The README beside an exported model: what the files are, and the call as a program."""

from __future__ import annotations

from seqzoo.contracts.spec import DataSpec


def page(spec: DataSpec, form: str, file: str, has_labels: bool) -> str:
    """The text of the README.

    Args:
        spec: of the data that the model was trained on.
        form: "step" or "sequence".
        file: name of the file with the model.
        has_labels: whether there is a labels.json.
    """
    meaning = "log-probabilities of the entries of `labels.json`" if has_labels else "predicted numbers"
    lines = [
        f"# {file}",
        "",
        "A recurrent network that was trained and exported by seqzoo. This program runs it:",
        "",
        "```python",
        *(["import json", "from pathlib import Path", ""] if spec.inputs is not None else []),
        *(_torch_call if file.endswith(".pt2") else _onnx_call)(spec, form, file),
        "```",
        "",
        "| name | shape | |",
        "|---|---|---|",
        *_signature(spec, form),
        "",
        f"B, the number of rows, and T, the number of steps, may vary. Scores are {meaning}.",
    ]
    if spec.inputs is not None:
        known = "the id of a token is its place among them, 1 is that of unknown tokens, and 0 that of padding"
        lines += ["", f"`vocabulary.json` holds the name of the tokenizer and its tokens; {known}."]
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


def _signature(spec: DataSpec, form: str) -> list[str]:
    content = "ids, int64" if spec.inputs is not None else "float32"
    further = "" if spec.inputs is not None else f", {spec.input_size}"
    if form == "step":
        shape = f"(B{further})" if further else "(B,)"
        return [
            f"| inputs | {shape} | {content} |",
            "| state_0, ... | (B, ...) | the state before the step |",
            "| scores | (B, K) | of the step |",
            "| next_state_0, ... | (B, ...) | the state after the step |",
        ]
    scores = "of each step (B, T, K), or of each row (B, K)"
    return [
        f"| inputs | (B, T{further}) | {content} |",
        "| lengths | (B,) | number of real steps of each row, int64; what follows them has no influence |",
        f"| scores | | {scores} |",
    ]


def _example(spec: DataSpec, form: str) -> list[str]:
    """The lines of the program that make one row of three steps."""
    if spec.inputs is None:
        return [f"inputs = numpy.random.randn(1, 3, {spec.input_size}).astype(numpy.float32)"]
    return [
        'tokens = json.loads(Path("vocabulary.json").read_text(encoding="utf-8"))["tokens"]',
        "ids = {token: number for number, token in enumerate(tokens)}",
        "inputs = numpy.array([[ids.get(token, 1) for token in tokens[-3:]]])  # one row of three tokens",
    ]


def _onnx_call(spec: DataSpec, form: str, file: str) -> list[str]:
    head = ["import numpy", "import onnxruntime", "", f'session = onnxruntime.InferenceSession("{file}")']
    if form == "sequence":
        call = [
            '[scores] = session.run(None, {"inputs": inputs, "lengths": numpy.array([3])})',
            "print(scores.shape, scores.argmax(-1))",
        ]
    else:
        call = [
            'state = dict(numpy.load("initial_state.npz"))',
            "for step in range(3):",
            '    scores, *following = session.run(None, {"inputs": inputs[:, step], **state})',
            "    state = dict(zip(state, following))",
            "    print(scores.shape, scores.argmax(-1))",
        ]
    return [*head, *_example(spec, form), *call]


def _torch_call(spec: DataSpec, form: str, file: str) -> list[str]:
    head = ["import numpy", "import torch", "", f'module = torch.export.load("{file}").module()']
    if form == "sequence":
        call = [
            "scores = module(torch.from_numpy(inputs), torch.tensor([3]))",
            "print(scores.shape, scores.argmax(-1))",
        ]
    else:
        call = [
            'state = [torch.from_numpy(part) for part in numpy.load("initial_state.npz").values()]',
            "for step in range(3):",
            "    scores, *state = module(torch.from_numpy(inputs[:, step]), *state)",
            "    print(scores.shape, scores.argmax(-1))",
        ]
    return [*head, *_example(spec, form), *call]
