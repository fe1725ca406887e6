"""Encoders of sound: logarithmic mel spectra and cepstral coefficients, and convolutions that shorten them.

Davis & Mermelstein, Comparison of Parametric Representations for Monosyllabic Word Recognition, 1980 (MFCC)
Furui, Speaker-Independent Isolated Word Recognition Using Dynamic Features of Speech Spectrum, 1986 (deltas)
Jaitly & Hinton, Vocal Tract Length Perturbation (VTLP) improves speech recognition, 2013,
https://www.cs.toronto.edu/~ndjaitly/jaitly-icml13.pdf
Park et al., SpecAugment: A Simple Data Augmentation Method for Automatic Speech Recognition, 2019,
https://arxiv.org/abs/1904.08779
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqzoo.contracts.masking import mean_of, zero_padding
from seqzoo.contracts.parts import Encoder
from seqzoo.contracts.spec import DataSpec
from seqzoo.network.locked_dropout import create_dropout

FLOOR = 1e-6
"""Added to energies before the logarithm; about that of the rounding of 8 to 16 bit recordings."""
KNEE = 0.6
"""Share of the highest frequency up to which `warp` stretches evenly (Jaitly & Hinton: 4,800 of 8,000 Hz)."""
LOUD = 0.25
"""Share of the steps whose energy is the level of a recording, the loudest ones."""
SILENT = 1e-3
"""Weight of a step without energy in a mean over speech; all are equal where a recording is silent."""
DELTA_REACH = 2
"""Steps on either side that a delta is computed from."""


class SoundFeatures(Encoder):
    """Sound in steps of I samples (B, T, I) -> features (B, T', F).

    Each step becomes the spectrum of a window around its middle. T' = T, or T halved by every stage of convolutions,
    rounded up.

    Args:
        spec: the specification of the data, with its sampling rate.
        features: "log_mel": logarithms of the energies in mel bands; "mfcc": their cosine transform.
        window: length of a window in seconds.
        bands: number of mel bands.
        coefficients: number of cepstral coefficients, from the 0th on.
        lowest, highest: limits of the bands in Hz; highest=None: half the sampling rate.
        deltas: number of time derivatives that are appended, 0 to 2.
        normalisation: "recording": mean 0 and variance 1 of each feature over the recording; "speech": its mean is 0
            over the steps that are louder than `quiet`, and the variance of all bands together is 1, so that neither
            silence nor the noise, the level and the frequency response of the line matter; "training": mean 0 and
            variance 1 of each feature over all training recordings so far, which needs no look ahead; "none".
        quiet: energies this many decibels below those of the loudest quarter of the steps are about to be hidden.
        warp: in training, the frequencies of each recording are stretched or compressed by up to this share, as if the
            speaker had another length of the vocal tract.
        frequency_masks, frequency_width: SpecAugment in training: number of masks over bands, and their maximum width.
        time_masks, time_width: number of masks over steps, and their maximum width as a share of the recording.
        channels: channels of each stage of convolutions of stride 2 over steps and bands; []: none.
        dropout: dropout on the features.

    Raises:
        ValueError: the data is not sound, or an option is out of its range.
    """

    acts_with: ClassVar[dict[str, str]] = {
        "coefficients": "features=mfcc",
        "quiet": "normalisation=speech",
        "frequency_width": "frequency_masks>0",
        "time_width": "time_masks>0",
    }

    reads_lengths = True
    filters: Tensor
    cosines: Tensor
    window_values: Tensor
    mean: Tensor
    square: Tensor
    seen: Tensor

    def __init__(
        self,
        spec: DataSpec,
        features: Literal["log_mel", "mfcc"] = "log_mel",
        window: float = 0.025,
        bands: int = 40,
        coefficients: int = 13,
        lowest: float = 20.0,
        highest: float | None = None,
        deltas: int = 0,
        normalisation: Literal["recording", "speech", "training", "none"] = "recording",
        quiet: float = 25.0,
        warp: float = 0.0,
        frequency_masks: int = 0,
        frequency_width: int = 8,
        time_masks: int = 0,
        time_width: float = 0.1,
        channels: Sequence[int] = (),
        dropout: float = 0.0,
    ):
        super().__init__()
        if spec.rate is None:
            raise ValueError("it reads sound, such as data=audio_files, and these inputs are something else")
        if not 0 <= deltas <= 2:
            raise ValueError(f"deltas is {deltas}: it must be 0, 1 or 2")
        if len(channels) > 8 or min(channels, default=1) < 1:
            raise ValueError(f"channels is {list(channels)}: give at most 8 stages, each of 1 channel or more")
        if not 0 <= time_width <= 1 or min(frequency_masks, frequency_width, time_masks) < 0:
            raise ValueError("masks are given by numbers that are at least 0, and time_width is a share, 0 to 1")
        if not 0 <= warp <= 0.5:
            raise ValueError(f"warp is {warp}: it is a share, 0 to 0.5")
        if not 0 < quiet <= 100:
            raise ValueError(f"quiet is {quiet}: it is a number of decibels, above 0 and at most 100")
        if features == "mfcc" and not 1 <= coefficients <= bands:
            raise ValueError(f"coefficients is {coefficients}: it must be between 1 and bands={bands}")
        self.step, self.length = spec.input_size, round(window * spec.rate)
        if self.length < self.step:
            raise ValueError(f"window is {window:g} seconds: it must not be shorter than a step of {self.step} samples")
        self.points = 2 ** max(0, self.length - 1).bit_length()
        self.normalisation, self.deltas, self.warp = normalisation, deltas, warp
        self.floor = 10 ** (-quiet / 10)
        self.frequency_masks, self.frequency_width = frequency_masks, frequency_width
        self.time_masks, self.time_width = time_masks, time_width
        limits = (lowest, spec.rate / 2 if highest is None else highest)
        self.register_buffer("window_values", torch.hann_window(self.length), persistent=False)
        self.register_buffer("filters", mel_filters(self.points, spec.rate, bands, *limits), persistent=False)
        self.edges, self.rate = mel_edges(bands, *limits), spec.rate
        self.register_buffer(
            "cosines", cosine_transform(bands, coefficients) if features == "mfcc" else None, persistent=False
        )
        width = coefficients if features == "mfcc" else bands
        if normalisation == "training":
            for name in ("mean", "square"):
                self.register_buffer(name, torch.zeros(1 + deltas, width))
            self.register_buffer("seen", torch.zeros(()))
        self.stages = nn.ModuleList()
        for before, after in zip((1 + deltas, *channels), channels, strict=False):
            self.stages.append(nn.Conv2d(before, after, 3, stride=2, padding=1))
            width = -(-width // 2)
        self.output_size = width * (channels[-1] if channels else 1 + deltas)
        self.stride = 2 ** len(channels)
        self.context = None if normalisation in ("recording", "speech") else self._context()
        self.dropout = create_dropout(dropout)

    def _context(self) -> tuple[int, int]:
        outside = self.points - self.step
        before, after = (-(-part // self.step) for part in (outside // 2, outside - outside // 2))
        around = DELTA_REACH * self.deltas + self.stride - 1
        return before + around, after + around

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        if not inputs.is_floating_point() or inputs.dim() != 3 or inputs.shape[2] != self.step:
            raise ValueError(f"sound comes in steps of {self.step} samples, and these inputs do not")
        x = self.features(inputs, lengths)
        if self.training:
            x = self._masked(x, lengths)
        for stage in self.stages:
            x = zero_padding(x.transpose(1, 2), lengths).transpose(1, 2)
            x = torch.relu(stage(x))
            lengths = None if lengths is None else (lengths + 1).div(2, rounding_mode="floor")
        return self.dropout(zero_padding(x.transpose(1, 2).flatten(2), lengths))

    def features(self, sound: Tensor, lengths: Tensor | None) -> Tensor:
        """What the convolutions read: (B, T, I) -> (B, 1 + D, T, F), with D deltas."""
        with torch.autocast(sound.device.type if sound.device.type != "meta" else "cpu", enabled=False):
            energies = self.energies(zero_padding(sound.float(), lengths))
            speech = None
            if self.normalisation == "speech":
                step = energies.mean(2, keepdim=True)
                floor = self.floor * level(step[..., 0], lengths)[:, None, None] + FLOOR
                energies, speech = energies + floor, step / (step + floor) + SILENT
            else:
                energies = energies + FLOOR
            x = energies.log()
            x = with_deltas(x if self.cosines is None else x @ self.cosines, self.deltas, lengths)
            return self._normalised(x, speech, lengths)

    def energies(self, sound: Tensor) -> Tensor:
        """The energy in each band: (B, T, I) -> (B, T, bands)."""
        outside = self.points - self.step
        samples = F.pad(sound.flatten(1), (outside // 2, outside - outside // 2))
        spectra = torch.stft(
            samples, self.points, self.step, self.length, self.window_values, center=False, return_complex=True
        )
        filters = self._warped_filters(len(sound)) if self.training and self.warp else self.filters
        return (spectra.real.square() + spectra.imag.square()).transpose(1, 2) @ filters

    def _warped_filters(self, rows: int) -> Tensor:
        """Filters for random lengths of the vocal tract, (B, points / 2 + 1, bands)."""
        device, half = self.filters.device, self.rate / 2
        factors = 1 + self.warp * (2 * torch.rand(rows, 1, device=device) - 1)
        edges = torch.tensor(self.edges, device=device)
        knee = KNEE * half * factors.clamp(max=1)
        above = half - (half - knee) / (half - knee / factors) * (half - edges)
        return triangles(self.points, self.rate, torch.where(edges <= knee / factors, factors * edges, above))

    def _normalised(self, x: Tensor, speech: Tensor | None, lengths: Tensor | None) -> Tensor:
        """(B, 1 + D, T, F) -> the same with mean 0 and variance 1. speech: weights of the steps, (B, T, 1)."""
        if self.normalisation == "none":
            return x
        steps = x.transpose(1, 2).flatten(2)
        if self.normalisation == "training":
            if self.training:
                self._see(steps.detach(), lengths)
            mean, square = (part[:, None] for part in (self.mean, self.square))
        else:
            weights = torch.ones_like(steps[..., :1]) if speech is None else speech
            total = mean_of(weights, lengths)
            mean, square = (mean_of(weights * part, lengths) / total for part in (steps, steps.square()))
            mean, square = (part.view(len(x), x.shape[1], 1, -1) for part in (mean, square))
        variance = (square - mean.square()).clamp(min=0)
        if speech is not None and self.cosines is None:
            variance = variance.mean(-1, keepdim=True)
        return (x - mean) / (variance + 1e-2).sqrt()

    def _see(self, steps: Tensor, lengths: Tensor | None) -> None:
        """Add a batch (B, T, F) to the mean over the training."""
        count = torch.full_like(self.seen, steps.shape[0] * steps.shape[1]) if lengths is None else lengths.sum()
        self.seen += count
        share = count / self.seen.clamp(min=1)
        for average, values in ((self.mean, steps), (self.square, steps.square())):
            total = zero_padding(values, lengths).sum((0, 1)).view_as(average)
            average.lerp_(total / count.clamp(min=1), share)

    def _masked(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        """SpecAugment: features of random bands and steps become 0, their mean."""
        rows, _, steps, width = x.shape
        bands = torch.zeros(rows, width, dtype=torch.bool, device=x.device)
        for _ in range(self.frequency_masks):
            size = torch.randint(min(self.frequency_width, width) + 1, (rows,), device=x.device)
            bands |= _span(size, torch.full_like(size, width), width)
        times = torch.zeros(rows, steps, dtype=torch.bool, device=x.device)
        whole = torch.full((rows,), steps, device=x.device) if lengths is None else lengths
        for _ in range(self.time_masks):
            size = (torch.rand(rows, device=x.device) * (self.time_width * whole + 1)).long()
            times |= _span(size, whole, steps)
        return x.masked_fill(bands[:, None, None, :] | times[:, None, :, None], 0)


def _span(size: Tensor, whole: Tensor, steps: int) -> Tensor:
    """Random spans of these sizes (B,) in rows of these lengths (B,), as a mask (B, steps)."""
    first = (torch.rand(len(size), device=size.device) * (whole - size + 1).clamp(min=1)).long()
    places = torch.arange(steps, device=size.device)
    return (places >= first[:, None]) & (places < (first + size)[:, None])


def mel_filters(points: int, rate: int, bands: int, lowest: float, highest: float) -> Tensor:
    """Triangular filters whose centres are at equal distances on the mel scale, 2595 log10(1 + f / 700).

    Args:
        points: of the Fourier transform.
        rate: sampling rate in Hz.
        bands: number of filters.
        lowest, highest: frequencies in Hz where the first filter begins and the last one ends.

    Returns:
        (points / 2 + 1, bands)

    Raises:
        ValueError: the limits are wrong, or so many bands are narrower than the frequencies that a window tells apart.
    """
    if not 0 <= lowest < highest <= rate / 2 or bands < 1:
        raise ValueError(
            f"bands is {bands} from {lowest:g} to {highest:g} Hz: give 1 or more, below half the rate of {rate:,} Hz"
        )
    filters = triangles(points, rate, torch.tensor(mel_edges(bands, lowest, highest), dtype=torch.float64))
    if not filters.is_meta and not (filters.sum(0) > 0).all():
        raise ValueError(f"bands is {bands}: some would be empty, choose fewer or a longer window")
    return filters.float()


def mel_edges(bands: int, lowest: float, highest: float) -> list[float]:
    """Frequencies in Hz at equal distances on the mel scale, two more than bands: each one begins at the centre of the
    one before, and ends at that of the one after.
    """
    first, last = (math.log10(1 + limit / 700) for limit in (lowest, highest))
    return [700 * (10 ** (first + (last - first) * place / (bands + 1)) - 1) for place in range(bands + 2)]


def triangles(points: int, rate: int, edges: Tensor) -> Tensor:
    """Filters that rise from each of the edges (..., M + 2) to the next, and fall to that after it:
    (..., points / 2 + 1, M).
    """
    frequencies = torch.linspace(0, rate / 2, points // 2 + 1, dtype=edges.dtype, device=edges.device)
    distance = frequencies[:, None] - edges[..., None, :]
    widths = edges.diff()[..., None, :]
    return torch.minimum(distance[..., :-2] / widths[..., :-1], -distance[..., 2:] / widths[..., 1:]).clamp(min=0)


def level(energies: Tensor, lengths: Tensor | None) -> Tensor:
    """The mean of the highest energies of each row, a share LOUD of its steps: (B, T) -> (B,)."""
    ordered = energies if lengths is None else zero_padding(energies[..., None], lengths)[..., 0]
    ordered = ordered.sort(1, descending=True).values
    whole = torch.full((len(ordered),), ordered.shape[1], device=ordered.device) if lengths is None else lengths
    loud = (LOUD * whole).ceil().long()
    return mean_of(ordered[..., None], loud)[:, 0]


def cosine_transform(bands: int, coefficients: int) -> Tensor:
    """The orthonormal discrete cosine transform (DCT-II), (bands, coefficients)."""
    places = torch.arange(bands, dtype=torch.float64) + 0.5
    waves = torch.cos(math.pi / bands * places[:, None] * torch.arange(coefficients, dtype=torch.float64))
    waves *= math.sqrt(2 / bands)
    waves[:, 0] /= math.sqrt(2)
    return waves.float()


def with_deltas(x: Tensor, number: int, lengths: Tensor | None) -> Tensor:
    """Append time derivatives: (B, T, F) -> (B, 1 + number, T, F).

    A derivative is the slope of a line through the steps from t - 2 to t + 2, where the first and the last real step
    are repeated outside the row.
    """
    parts = [x]
    steps = torch.arange(x.shape[1], device=x.device)
    last = torch.full((len(x),), x.shape[1], device=x.device) if lengths is None else lengths
    for _ in range(number):
        slope = torch.zeros_like(x)
        for distance in range(1, DELTA_REACH + 1):
            after = torch.minimum(steps + distance, last[:, None] - 1).clamp(min=0)
            before = (steps - distance).clamp(min=0).expand_as(after)
            later, earlier = (x.gather(1, place[..., None].expand_as(x)) for place in (after, before))
            slope = slope + distance * (later - earlier)
        x = slope / (2 * sum(distance**2 for distance in range(1, DELTA_REACH + 1)))
        parts.append(x)
    return torch.stack(parts, 1)
