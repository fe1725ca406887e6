"""Words by their letters: the two encoders against plain loops, and unknown words through a whole model."""

from __future__ import annotations

import random
from pathlib import Path

import numpy
import pytest
import torch

import seqzoo
from seqzoo.configuration.building import cell_factory
from seqzoo.contracts.batch import Batch, Spelling
from seqzoo.contracts.errors import ConfigError
from seqzoo.contracts.spec import DataSpec
from seqzoo.data.raw_inputs import encode_inputs
from seqzoo.network.backbones.recurrent import Recurrent
from seqzoo.network.encoders.characters import ConvolvedCharacters, RecurrentCharacters

SPEC = DataSpec("tagging", 9, 2, character_size=7)
FORMS = torch.tensor([[3, 0, 0, 0], [2, 4, 6, 5], [6, 5, 0, 0]])
SPELLING = Spelling(FORMS, torch.tensor([[1, 0, 1], [2, 0, 0]]))
WORDS = torch.tensor([[4, 1, 8], [1, 0, 0]])


def test_filters_see_all_windows_of_a_word_with_padding() -> None:
    encoder = ConvolvedCharacters(9, SPEC, widths=[2, 3], filters=4, embedding_size=5, character_embedding_size=6)
    with torch.no_grad():
        for convolve in encoder.filters:
            convolve.bias.normal_()
    table = encoder.characters.weight.detach().numpy()
    expected = []
    for form in FORMS.tolist():
        letters = table[[character for character in form if character]]
        answers = []
        for width, convolve in zip([2, 3], encoder.filters, strict=True):
            zeros = numpy.zeros((width - 1, 6), numpy.float32)
            around = numpy.concatenate([zeros, letters, zeros])
            kernel = convolve.weight.detach().numpy()  # (filters, C, width)
            runs = [
                [(kernel[f] * around[start : start + width].T).sum() + convolve.bias[f].item() for f in range(4)]
                for start in range(len(letters) + width - 1)
            ]
            answers += [max(0.0, *(run[f] for run in runs)) for f in range(4)]
        expected.append(answers)
    found = encoder(WORDS, SPELLING)
    assert found.shape == (2, 3, encoder.output_size) == (2, 3, 5 + 8)
    torch.testing.assert_close(found[..., 5:], torch.tensor(expected)[SPELLING.tokens])
    assert torch.equal(found[..., :5], encoder.embedding.weight[WORDS])


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_a_recurrent_reader_reads_each_word_alone(cell: str) -> None:
    def reader(input_size: int) -> Recurrent:
        return Recurrent(cell_factory(cell), input_size, hidden_size=5, bidirectional=True)

    encoder = RecurrentCharacters(9, SPEC, reader, embedding_size=4)
    found = encoder(WORDS, SPELLING)
    assert found.shape == (2, 3, encoder.output_size) == (2, 3, 4 + 10)
    for form, features in zip(FORMS, found[[0, 0, 1], [1, 0, 0], 4:], strict=True):
        outputs, _ = encoder.reader(encoder.characters(form[form != 0])[None])
        torch.testing.assert_close(features, torch.cat([outputs[0, -1, :5], outputs[0, 0, 5:]]))


def test_selecting_rows_and_moving_devices_keeps_the_spelling() -> None:
    batch = Batch(WORDS, torch.tensor([3, 1]), spelling=SPELLING).to(torch.device("cpu")).first(1)
    assert batch.spelling is not None
    assert batch.spelling.forms.equal(FORMS)
    assert batch.spelling.tokens.tolist() == [[1, 0, 1]]


OVERRIDES = (
    "task=tagging", "data=tagging_files", "data.train=train.conll", "data.validation=train.conll", "recipe=none",
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Words that end in "s" are N, others V."""
    draw = random.Random(0)
    stems = ["".join(draw.choices("abcdeso", k=draw.randint(1, 5))) for _ in range(100)]
    lines = [f"{stem}{end} {'N' if end == 's' else 'V'}\n" for stem in stems for end in "sd"]
    rows = ["".join(lines[start : start + 5]) for start in range(0, 200, 5)]
    (tmp_path / "train.conll").write_text("\n".join(rows))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("encoder", ["words_and_characters", "words_and_recurrent_characters"])
def test_an_unknown_word_is_read_by_its_letters(encoder: str, folder: Path) -> None:
    model, data = seqzoo.build(*OVERRIDES, f"encoder={encoder}", "data.characters=12", "backbone.hidden_size=8")
    batch = encode_inputs(data.spec, ["soaked socks", "soakes socks"])
    assert batch.inputs.tolist() == [[1, 1], [1, 1]]
    first, second = model.eval().encode(batch).outputs[:, 0]
    assert not torch.allclose(first, second)


def test_a_run_learns_from_letters_and_is_loaded_with_them(folder: Path, command) -> None:
    done = command(
        "train", *OVERRIDES, "encoder=words_and_characters", "data.characters=12", "data.word_dropout=1000",
        "training.steps=80", "training.epochs=null", "training.validate_every=80", "training.learning_rate=0.02",
        "training.examples=0", "hydra.run.dir=run", f"data.root={folder}",
    )  # fmt: skip
    assert done.status == 0, done.err
    predictions = seqzoo.load("run").predict(["daecas sesosd", "beds obeeeeed"])
    assert [prediction.answer for prediction in predictions] == [["N", "V"], ["N", "V"]]


def test_spelling_needs_an_encoder_that_reads_it(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"encoder: the data has no characters of words: give data.characters=20"):
        seqzoo.build(*OVERRIDES, "encoder=words_and_characters")
    with pytest.raises(
        ConfigError,
        match=r"data.characters or data.word_places spells words, which neither encoder=tokens nor task=tagging reads",
    ):
        seqzoo.build(*OVERRIDES, "data.characters=20")
    with pytest.raises(ConfigError, match=r"widths is \[\]: name at least one"):
        seqzoo.build(*OVERRIDES, "encoder=words_and_characters", "data.characters=20", "encoder.widths=[]")
