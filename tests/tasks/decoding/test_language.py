"""What language models and lists of words add to a prefix search."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from seqzoo import compose
from seqzoo.configuration.building import build_model
from seqzoo.contracts.batch import Batch, State
from seqzoo.contracts.errors import ConfigError
from seqzoo.contracts.spec import DataSpec
from seqzoo.data.text.codec import TextCodec
from seqzoo.data.text.vocabulary import TARGET_SPECIALS
from seqzoo.runs.loaded import Loaded
from seqzoo.tasks.decoding.ctc import prefix_beam_search
from seqzoo.tasks.decoding.hypothesis import Start
from seqzoo.tasks.decoding.language import Language, language_scores, together, word_scores
from seqzoo.tasks.transcription import Transcription

WRITTEN = TextCodec.learn("characters", ["abc "], TARGET_SPECIALS)
READ = TextCodec.learn("lines:characters", ["cab\nbac\n"])
A, B, C = WRITTEN.encode("abc")
END = READ.encode("\n")[0]
V = READ.size
TABLE = torch.randn(V, V, generator=torch.Generator().manual_seed(0)).log_softmax(-1)


def step(token: Tensor, state: State, memory: State) -> tuple[Tensor, State]:
    """A bigram model, whose state counts its steps."""
    return TABLE[token], (state[0] + 1,)


BIGRAMS = Language(Start(TABLE[END][None], (torch.zeros(1),)), step, READ, END)


def test_the_scores_of_a_language_model() -> None:
    scores = language_scores(BIGRAMS, WRITTEN, weight=0.5, bonus=0.1)
    prefixes = [(), (A, B), (C,), (A,)]
    found = scores(prefixes)
    assert found.shape == (4, WRITTEN.size + 1)
    for prefix, row in zip(prefixes, found, strict=True):
        last = READ.encode(WRITTEN.decode([prefix[-1]]))[0] if prefix else END
        for token in (A, B, C):
            [same] = READ.encode(WRITTEN.decode([token]))
            assert float(row[token]) == pytest.approx(0.5 * float(TABLE[last, same]) + 0.1)
        assert float(row[-1]) == pytest.approx(0.5 * float(TABLE[last, END]))
        space = WRITTEN.encode(" ")[0]  # which the language model does not know
        assert float(row[space]) == pytest.approx(0.5 * float(TABLE[last].min()) + 0.1)
    assert torch.equal(scores(prefixes[::-1]), found.flip(0))  # from memory


def test_a_language_model_of_other_tokens_is_refused() -> None:
    words = TextCodec.learn("lines:words", ["one two\n"])
    with pytest.raises(ConfigError, match=r"reads words and knows 0 of the 4 characters .* with the same tokenizer"):
        language_scores(BIGRAMS._replace(codec=words), WRITTEN, 1.0, 0.0)


def test_only_texts_of_words() -> None:
    scores = word_scores(["ab", "c"], WRITTEN)
    space = WRITTEN.encode(" ")[0]
    tokens = [A, B, C, space]

    def allowed(text: str) -> tuple[str, bool]:
        row = scores([tuple(WRITTEN.encode(text))])[0]
        return "".join(WRITTEN.decode([token]) for token in tokens if row[token] == 0), bool(row[-1] == 0)

    assert allowed("") == ("ac", True)
    assert allowed("a") == ("b", False)
    assert allowed("ab") == (" ", True)
    assert allowed("ab ") == ("ac", False)
    assert allowed("ab c") == (" ", True)
    uniform = torch.full((5, WRITTEN.size), -1.0).log_softmax(-1)
    found = prefix_beam_search(uniform, 0, 500, 500, together([scores]))
    texts = {WRITTEN.decode(text.ids) for text in found}
    words = ["", "ab", "c"]
    assert {text for text in texts if text} >= {f"{one} {two}" for one, two in itertools.product(words[1:], words[1:])}
    assert all(set(text.split(" ")) <= {"", "ab", "c"} for text in texts)
    assert together([]) is None


def models(tokenizer: str = "lines:characters", text: str = "cab\nbac\n") -> tuple[Loaded, Loaded]:
    letters = TextCodec.learn(tokenizer, [text])
    spec = DataSpec("language_modeling", letters.size, letters.size, letters, letters)
    language = Loaded(build_model(compose("task=language_modeling", "backbone.hidden_size=4"), spec).eval(), spec)
    spec = DataSpec("transduction", 20, WRITTEN.size, None, WRITTEN, rate=2_000)
    experiment = compose("task=transcription", "backbone.hidden_size=4", "encoder.bands=12")
    return Loaded(build_model(experiment, spec).eval(), spec), language


@torch.no_grad()
def test_a_run_as_language_model() -> None:
    writer, language = models()
    writer.use_language_model(language)
    task = writer.model.task
    assert isinstance(task, Transcription)
    scores = language_scores(task._language, WRITTEN, 1.0, 0.0)
    for text in ("", "cab", "bb"):
        ids, read = WRITTEN.encode(text), torch.tensor([READ.encode("\n" + text)])
        outputs, _ = language.model(Batch(read, torch.tensor([len(text) + 1]), padded=False))
        logs = language.model.task.head.log_probabilities(outputs[0])
        logs[:, :2] = float("-inf")  # <pad> and <unk>
        logs = logs.log_softmax(-1)
        for place, token in enumerate([*ids, -1]):
            expected = logs[place, read[0, place + 1] if token >= 0 else END]
            assert float(scores([tuple(ids[:place])])[0, token]) == pytest.approx(float(expected), abs=1e-5)
    with pytest.raises(ConfigError, match="uses no language model"):
        language.use_language_model(language)
    with pytest.raises(ConfigError, match="continues no texts"):
        writer.use_language_model(writer)
    without_lines = models("characters", "cab")[1]
    with pytest.raises(ConfigError, match="has no line ends"):
        writer.use_language_model(without_lines)
