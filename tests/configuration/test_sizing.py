"""Sizes in words."""

from __future__ import annotations

import pytest

import seqzoo
from seqzoo.configuration.building import build_data
from seqzoo.configuration.sizing import describe_inputs, describe_outputs


@pytest.mark.parametrize(
    ("chosen", "inputs", "outputs"),
    [
        (("task=regression", "data=adding"), "2 numbers per step", "1 output"),
        (("task=tagging", "data=parity"), "4 different characters", "2 labels"),
        (("task=transduction", "data=addition"), "13 different characters", "targets of 14 different characters"),
        (("task=polyphony", "data=chord_progressions"), "frames of 88 notes", "88 outputs"),
    ],
)
def test_inputs_and_outputs_are_called_what_they_are(chosen: tuple[str, ...], inputs: str, outputs: str) -> None:
    data = build_data(seqzoo.compose(*chosen, "debug=tiny"))
    data.load()
    assert (describe_inputs(data.spec, data.unit), describe_outputs(data.spec)) == (inputs, outputs)
    assert data.unit == ("step" if data.numbers else "token")
