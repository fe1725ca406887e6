"""Features of sound, against formulas in NumPy."""

from __future__ import annotations

import math
from typing import Any

import numpy
import pytest
import scipy.fft
import torch
from torch import Tensor

from seqzoo.contracts.spec import DataSpec
from seqzoo.network.encoders.sound_features import FLOOR, SoundFeatures, mel_filters, with_deltas

RATE, STEP = 8_000, 80
SPEC = DataSpec("classification", STEP, 3, rate=RATE)
LENGTHS = torch.tensor([30, 17, 1])


def sound(rows: int = 3, steps: int = 30) -> Tensor:
    time = torch.arange(rows * steps * STEP).view(rows, steps, STEP) / RATE
    return 0.3 * torch.sin(2 * math.pi * 500 * time * (1 + time)) + 0.01 * torch.randn(rows, steps, STEP)


def encoder(**options: Any) -> SoundFeatures:
    return SoundFeatures(SPEC, **{"normalisation": "none", **options}).eval()


def log_mel(samples: numpy.ndarray, rate: int, step: int, bands: int, lowest: float) -> numpy.ndarray:
    """Step by step: window of 25 ms around the middle of each step, Fourier transform, triangles on the mel scale."""
    length = round(0.025 * rate)
    points = 2 ** math.ceil(math.log2(length))
    window = 0.5 - 0.5 * numpy.cos(2 * math.pi * numpy.arange(length) / length)
    mels = numpy.linspace(*(2595 * math.log10(1 + f / 700) for f in (lowest, rate / 2)), bands + 2)
    edges = 700 * (10 ** (mels / 2595) - 1)
    rows = []
    for number in range(len(samples) // step):
        first = number * step + step // 2 - length // 2
        piece = [samples[place] if 0 <= place < len(samples) else 0.0 for place in range(first, first + length)]
        energies = numpy.abs(numpy.fft.rfft(window * piece, points)) ** 2
        row = []
        for low, middle, high in zip(edges, edges[1:], edges[2:], strict=False):
            heights = [
                max(0.0, min((f - low) / (middle - low), (high - f) / (high - middle)))
                for f in numpy.arange(points // 2 + 1) * rate / points
            ]
            row.append(math.log(numpy.dot(energies, heights) + FLOOR))
        rows.append(row)
    return numpy.array(rows)


@pytest.mark.parametrize(("rate", "step", "bands"), [(8_000, 80, 40), (16_000, 160, 26)])
def test_log_mel_and_mfcc(rate: int, step: int, bands: int) -> None:
    samples = numpy.random.default_rng(0).normal(0, 0.1, 12 * step)
    inputs = torch.from_numpy(samples).float().view(1, -1, step)
    spec = DataSpec("classification", step, 3, rate=rate)
    expected = log_mel(samples, rate, step, bands, 20.0)
    found = SoundFeatures(spec, bands=bands, normalisation="none")(inputs)[0]
    torch.testing.assert_close(found, torch.from_numpy(expected).float(), atol=1e-4, rtol=0)
    cepstra = scipy.fft.dct(expected, norm="ortho")[:, :13]
    found = SoundFeatures(spec, features="mfcc", bands=bands, normalisation="none")(inputs)[0]
    torch.testing.assert_close(found, torch.from_numpy(cepstra).float(), atol=1e-4, rtol=0)


def test_filters_are_triangles_on_the_mel_scale() -> None:
    filters = mel_filters(256, 8_000, 6, 0.0, 4_000.0)
    assert filters.shape == (129, 6)
    edges = 700 * (10 ** (numpy.linspace(0, 2595 * math.log10(1 + 4_000 / 700), 8) / 2595) - 1)
    for band, (low, middle, high) in enumerate(zip(edges, edges[1:], edges[2:], strict=False)):
        assert (filters[:, band] > 0).tolist() == [low < 31.25 * number < high for number in range(129)]
        assert abs(31.25 * int(filters[:, band].argmax()) - middle) <= 31.25 / 2


def test_a_derivative_is_the_slope_of_a_line() -> None:
    x = torch.randn(2, 9, 3)
    lengths = torch.tensor([9, 4])
    found = with_deltas(x, 2, lengths)
    assert found.shape == (2, 3, 9, 3)
    for row, length in enumerate(lengths.tolist()):
        values = x[row, :length].double().numpy()
        for order in (1, 2):
            places = [numpy.clip(numpy.arange(t - 2, t + 3), 0, length - 1) for t in range(length)]
            values = numpy.stack([numpy.polyfit(numpy.arange(5), values[place], 1)[0] for place in places])
            torch.testing.assert_close(found[row, order, :length], torch.from_numpy(values).float())


OPTIONS: list[dict[str, Any]] = [
    {},
    {"normalisation": "recording"},
    {"normalisation": "speech"},
    {"normalisation": "training"},
    {"features": "mfcc", "deltas": 2, "normalisation": "recording"},
    {"channels": [3, 2], "deltas": 1},
    {"channels": [3, 2], "normalisation": "recording"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_padding_has_no_influence(options: dict[str, Any]) -> None:
    made = encoder(**options)
    inputs = sound()
    padded = torch.arange(30) >= LENGTHS[:, None]
    found = made(inputs.masked_fill(padded[..., None], math.nan), LENGTHS)
    lengths = made.output_lengths(LENGTHS)
    assert found.shape == (3, int(lengths[0]), made.output_size)
    for row, (length, kept) in enumerate(zip(LENGTHS.tolist(), lengths.tolist(), strict=True)):
        alone = made(inputs[row : row + 1, :length])
        torch.testing.assert_close(found[row, :kept], alone[0], atol=1e-5, rtol=1e-5)
        assert not found[row, kept:].any()


@pytest.mark.parametrize(
    "options", [options for options in OPTIONS if options.get("normalisation") not in ("recording", "speech")]
)
def test_context_is_what_a_vector_depends_on(options: dict[str, Any]) -> None:
    made = encoder(**options)
    before, after = made.context
    inputs = sound(1).requires_grad_()
    shrink = 2 ** len(made.stages)
    place = 16 // shrink
    made(inputs)[0, place].sum().backward()
    touched = inputs.grad[0].abs().sum(-1).nonzero()[:, 0]
    assert place * shrink - before <= touched.min()
    assert touched.max() <= place * shrink + after
    assert made.stride == shrink


def test_a_recording_has_mean_0_and_variance_1() -> None:
    found = encoder(normalisation="recording")(sound(), LENGTHS)
    torch.testing.assert_close(found[1, :17].mean(0), torch.zeros(40), atol=1e-4, rtol=0)
    torch.testing.assert_close(found[1, :17].var(0, correction=0), torch.ones(40), atol=0.3, rtol=0)
    assert not found[2].any()  # one step is its own mean
    silence = encoder(normalisation="recording")(torch.zeros(1, 5, STEP))
    assert not silence.any()


def test_speech_is_independent_of_level_line_and_silence() -> None:
    made = encoder(normalisation="speech")
    inputs = sound(1)
    found = made(inputs)
    torch.testing.assert_close(made(0.1 * inputs), found, atol=1e-2, rtol=0)
    silent = torch.cat([torch.zeros(1, 20, STEP), inputs, torch.zeros(1, 10, STEP)], 1)
    torch.testing.assert_close(made(silent)[:, 21:49], made(inputs)[:, 1:29], atol=0.2, rtol=0)
    noisy = inputs + 0.003 * torch.randn_like(inputs)  # more than 25 dB below the tone
    torch.testing.assert_close(made(noisy).std(), found.std(), atol=0.1, rtol=0)
    line = made.filters.new_tensor([1, -0.9]).view(1, 1, 2)
    heard = torch.nn.functional.conv1d(torch.nn.functional.pad(inputs.view(1, 1, -1), (1, 0)), line).view_as(inputs)
    plain = encoder()
    far = (plain(heard) - plain(inputs)).abs().mean()
    assert (made(heard) - found).abs().mean() < far / 3
    torch.testing.assert_close(made(torch.zeros(1, 5, STEP)), torch.zeros(1, 5, 40), atol=1e-4, rtol=0)


def test_quiet_steps_are_hidden() -> None:
    """A relative floor, and the mean over the steps above it, as a formula in NumPy."""
    samples = numpy.random.default_rng(0).normal(0, 0.1, (1, 12, STEP)) * numpy.linspace(0, 1, 12)[:, None]
    energies = numpy.exp(log_mel(samples.ravel(), RATE, STEP, 40, 20.0)) - FLOOR
    step = energies.mean(1, keepdims=True)
    floor = 0.01 * numpy.sort(step, 0)[-3:].mean() + FLOOR
    x, weights = numpy.log(energies + floor), step / (step + floor) + 1e-3
    mean = (weights * x).sum(0) / weights.sum()
    variance = ((weights * (x - mean) ** 2).sum(0) / weights.sum()).mean()
    found = encoder(normalisation="speech", quiet=20.0)(torch.from_numpy(samples).float())
    expected = torch.from_numpy((x - mean) / numpy.sqrt(variance + 1e-2)).float()
    torch.testing.assert_close(found[0], expected, atol=1e-3, rtol=0)


def test_warped_filters(monkeypatch: pytest.MonkeyPatch) -> None:
    made = encoder(warp=0.2)
    monkeypatch.setattr(torch, "rand", lambda *shape, device: torch.tensor([[0.0], [0.5], [1.0]]))  # 0.8, 1 and 1.2
    short, same, long = made._warped_filters(3)
    torch.testing.assert_close(same, made.filters, atol=1e-4, rtol=0)
    centres = [
        (filters * torch.linspace(0, 4_000, 129)[:, None]).sum(0) / filters.sum(0) for filters in (short, same, long)
    ]
    torch.testing.assert_close(centres[0][5:20] / centres[1][5:20], torch.full((15,), 0.8), atol=0.02, rtol=0)
    torch.testing.assert_close(centres[2][5:20] / centres[1][5:20], torch.full((15,), 1.2), atol=0.02, rtol=0)
    assert all((centre.diff() > 0).all() and centre[-1] < 4_000 for centre in centres)


def test_only_training_warps() -> None:
    made, inputs = encoder(warp=0.2), sound()
    torch.testing.assert_close(made(inputs), encoder()(inputs))
    made.train()
    assert not torch.allclose(made(inputs), made(inputs), atol=0.1)


def test_normalisation_of_the_training_is_that_of_all_its_steps() -> None:
    made, plain = encoder(normalisation="training").train(), encoder()
    batches = [sound(), sound() * 2]
    for batch in batches:
        made(batch, LENGTHS)
    steps = torch.cat([plain(batch, LENGTHS)[row, :n] for batch in batches for row, n in enumerate(LENGTHS.tolist())])
    torch.testing.assert_close(made.mean[0], steps.mean(0), atol=1e-3, rtol=1e-3)
    found = made.eval()(batches[0], LENGTHS)
    expected = (plain(batches[0], LENGTHS) - steps.mean(0)) / (steps.var(0, correction=0) + 1e-2).sqrt()
    torch.testing.assert_close(found[0], expected[0], atol=1e-3, rtol=1e-3)


def test_spec_augment_masks_bands_and_steps_in_training_alone() -> None:
    made = encoder(frequency_masks=1, frequency_width=5, time_masks=2, time_width=0.2)
    inputs = sound(64)
    whole = made(inputs)
    masked = made.train()(inputs) == 0
    bands, steps = masked.all(1).sum(1), masked.all(2).sum(1)
    assert bands.max() == 5
    assert bands.min() == 0
    assert 6 <= steps.max() <= 12
    torch.testing.assert_close(made.eval()(inputs), whole)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"deltas": 3}, "deltas is 3"),
        ({"channels": [0]}, "channels is"),
        ({"time_width": 2.0, "time_masks": 1}, "time_width is a share"),
        ({"features": "mfcc", "coefficients": 41}, "between 1 and bands=40"),
        ({"window": 0.001}, "must not be shorter than a step of 80 samples"),
        ({"highest": 5_000.0}, "below half the rate of 8,000 Hz"),
        ({"bands": 200}, "some would be empty"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        encoder(**options)


def test_other_inputs_are_refused() -> None:
    with pytest.raises(ValueError, match="it reads sound"):
        SoundFeatures(DataSpec("classification", 10, 3))
    with pytest.raises(ValueError, match="steps of 80 samples"):
        encoder()(torch.zeros(1, 4, 3))
