"""Attention, its options and its search; what holds for every task is in tests/contracts."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import sacrebleu
import torch
from torch import Tensor

from seqzoo import compose
from seqzoo.configuration.building import build_model
from seqzoo.configuration.composing import merged
from seqzoo.configuration.overrides import examine
from seqzoo.contracts.batch import BEGIN, END, PAD, UNKNOWN, Batch
from seqzoo.contracts.data_module import DataModule
from seqzoo.contracts.errors import ConfigError, DataError
from seqzoo.contracts.spec import DataSpec
from seqzoo.data.raw_inputs import encode_inputs
from seqzoo.data.text.codec import TextCodec, spec_from_plain, spec_to_plain
from seqzoo.data.text.subwords import SUBWORDS
from seqzoo.data.text.vocabulary import TARGET_SPECIALS
from seqzoo.network.heads.attention import Memory
from seqzoo.network.model import Model
from seqzoo.runs.loaded import Loaded
from seqzoo.tasks.decoding import Hypothesis, Search
from seqzoo.tasks.decoding.forms import form_of
from seqzoo.training.record.checkpoint import load_weights, save_weights

LETTERS = [list("abcdefgh")]
SOURCE = TextCodec.learn("characters", LETTERS)
TARGET = TextCodec.learn("characters", LETTERS, TARGET_SPECIALS)
SPEC = DataSpec("transduction", SOURCE.size, TARGET.size, SOURCE, TARGET)
WIDTH = 16
LENGTHS = torch.tensor([6, 4, 3, 1])
KINDS = ["additive", "dot", "scaled_dot", "general", "multi_head", "location_aware", "coverage", "monotonic"]


def build(backbone: str = "unidirectional", search: Any = (), sampling: Any = (), **decoder: Any) -> Model:
    torch.manual_seed(0)
    widths = ("backbone.hidden_size=16", "encoder.embedding_size=16", "task.decoder.attention_size=8")
    config = compose("cell=gru", f"backbone={backbone}", *widths)
    names = ("target_word_dropout", "label_smoothing", "coverage_loss", "self_critical")
    training = {name: decoder.pop(name) for name in names if name in decoder}
    groups = {"decoder": decoder, "search": dict(search), "scheduled_sampling": dict(sampling)}
    return build_model(replace(config, task=merged(config.task, {**groups, **training})), SPEC)


def copying() -> Batch:
    """Targets equal sources."""
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randint(2, SOURCE.size, (4, 6), generator=generator)
    padding = torch.arange(7) >= LENGTHS[:, None]
    targets = torch.nn.functional.pad(inputs + 2, (0, 1)).masked_fill(padding, PAD)
    targets[torch.arange(4), LENGTHS] = END
    return Batch(inputs.masked_fill(padding[:, :6], PAD), LENGTHS, targets, LENGTHS + 1)


def train(model: Model, batch: Batch) -> Model:
    """Train until the batch is memorised."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(500):
        optimizer.zero_grad()
        total, count = model.task.loss(model(batch)[0], batch)
        if total < 0.02 * count:
            return model.eval()
        (total / count).backward()
        optimizer.step()
    raise AssertionError("500 updates were not enough")


@pytest.mark.parametrize("input_feeding", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_learns_with_every_attention(kind: str, input_feeding: bool) -> None:
    model, batch = build(attention=kind, input_feeding=input_feeding), copying()
    total, _ = model.task.loss(model(batch)[0], batch)
    total.backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


@pytest.mark.parametrize("options", [{"attention": "general"}, {"attention": "additive", "input_feeding": True}])
@pytest.mark.parametrize("backbone", ["bidirectional", pytest.param("pyramidal", marks=pytest.mark.slow)])
def test_what_was_learned_is_decoded_greedily_and_by_beam(backbone: str, options: dict[str, Any]) -> None:
    batch = copying()
    model = train(build(backbone, **options), batch)
    expected = model.task.references(batch)
    assert [p.answer for p in model.task.decode(model, batch)] == expected
    model.task.search = Search(beam_size=3)
    assert [p.answer for p in model.task.decode(model, batch)] == expected


def test_with_own_state_only_attention_reads_the_source() -> None:
    model = build(attention="general", context="own_state").eval()
    features = model.encode(copying())
    (first, _, _), _ = model.task.decoder.start(features)
    assert all((tensor == 0).all() for tensor in first[0][0])
    batch = copying()
    assert [p.answer for p in train(model.train(), batch).task.decode(model, batch)] == model.task.references(batch)


def test_mean_state_is_a_layer_over_the_mean_of_the_real_outputs() -> None:
    model = build("bidirectional", context="mean_state").eval()
    features = model.encode(copying())
    ((((found,),),), _, _), _ = model.task.decoder.start(features)
    for row, length in enumerate(LENGTHS.tolist()):
        mean = features.outputs[row, :length].mean(0)
        torch.testing.assert_close(found[row], torch.tanh(model.task.decoder.bridge(mean)))


def test_the_context_may_be_the_first_state_and_at_every_step_too() -> None:
    model = build("bidirectional", context=["first_state", "every_step"]).eval()
    features = model.encode(copying())
    state, memory = model.task.decoder.start(features)
    (((first,),),) = state[0]
    torch.testing.assert_close(first, torch.tanh(model.task.decoder.bridge(features.last)))
    token = torch.full((4,), BEGIN)
    read = torch.cat([model.task.decoder.embedding(token), features.last], dim=-1)
    expected, _ = model.task.decoder.backbone.step(read, state[0])
    torch.testing.assert_close(model.task.decoder.step(token, state, memory)[0], expected)


def test_the_context_as_first_input_replaces_a_token() -> None:
    """The other inputs are those of any token: the context of every step, and zeros for input feeding."""
    options = {"context": ["first_input", "every_step"], "attention": "additive", "input_feeding": True}
    model = build("bidirectional", **options).eval()
    features, decoder = model.encode(copying()), model.task.decoder
    read = torch.cat([decoder.bridge(features.last), features.last, torch.zeros(4, decoder.head.in_features)], dim=-1)
    _, expected = decoder.backbone.step(read, decoder.backbone.initial_state(4))
    torch.testing.assert_close(decoder.start(features)[0][0], expected)


@pytest.mark.parametrize("options", [{}, {"attention": "general"}, {"attention": "general", "input_feeding": True}])
def test_dropout_before_the_head_is_for_training_only(options: dict[str, Any]) -> None:
    model, batch = build(dropout=0.5, **options), copying()
    assert (model(batch)[0] == 0).float().mean().item() == pytest.approx(0.5, abs=0.1)
    assert (model.eval()(batch)[0] != 0).all()


def test_target_embeddings_have_the_given_standard_deviation() -> None:
    narrow, wide = (build(embedding_std=std).task.decoder.embedding.weight for std in (0.1, 0.5))
    assert narrow.std().item() == pytest.approx(0.1, rel=0.2)
    torch.testing.assert_close(wide, 5 * narrow)


def test_several_encoder_states_are_combined() -> None:
    model = build("bidirectional", context=["first_state", "max_state", "mean_state"]).eval()
    features, decoder = model.encode(copying()), model.task.decoder
    ((((found,),),), _, _), _ = decoder.start(features)
    (((ahead,), (back,)),) = features.state
    for row, length in enumerate(LENGTHS.tolist()):
        steps = features.outputs[row, :length]
        seen = torch.cat([ahead[row], back[row], steps.max(0).values, steps.mean(0)])
        torch.testing.assert_close(found[row], torch.tanh(decoder.bridge(seen)))


@pytest.mark.parametrize("context", [[], ["max_state"] * 2, ["mean_state", "first_input"], ["own_state", "max_state"]])
def test_incompatible_contexts_are_refused(context: list[str]) -> None:
    with pytest.raises(
        ConfigError, match=r"task\.decoder\.context is .*: name one, or a list of several states and every_step"
    ):
        build(context=context)


@pytest.mark.parametrize("options", [{}, {"input_feeding": True}])
def test_attention_weights_are_those_of_the_decoding(options: dict[str, Any]) -> None:
    model, batch = build("bidirectional", attention="additive", **options).eval(), copying()
    features = model.encode(batch)
    weights = model.task.attention_weights(features, batch, batch.targets)
    assert weights.shape == (4, 7, 6)
    torch.testing.assert_close(weights.sum(-1), torch.ones(4, 7))
    state, memory = model.task.decoder.start(features)
    token = torch.full((4,), BEGIN)
    for u in range(7):
        _, state = model.task.decoder.step(token, state, memory)
        torch.testing.assert_close(state[1][0][:, 0], weights[:, u])
        token = batch.targets[:, u]


def test_tied_embeddings_are_one_parameter_and_survive_a_checkpoint(tmp_path: Any) -> None:
    model, batch = build(attention="general", tied_embeddings=True).eval(), copying()
    assert model.task.decoder.head.weight is model.task.decoder.embedding.weight
    save_weights(tmp_path / "weights", model, {})
    copy = build(attention="general", tied_embeddings=True, embedding_std=0.2).eval()
    load_weights(tmp_path / "weights", copy)
    torch.testing.assert_close(copy(batch)[0], model(batch)[0], rtol=0, atol=0)


def test_label_smoothing_is_for_training_only() -> None:
    model, batch = build(label_smoothing=0.1), copying()
    read = torch.randn(4, 7, model.task.decoder.head.in_features)
    logs = model.task.decoder.head(read).log_softmax(-1)
    real = torch.arange(7) < batch.target_lengths[:, None]
    plain = -logs.gather(2, batch.targets[..., None])[..., 0][real].sum()
    smooth = 0.9 * plain - 0.1 * logs.mean(-1)[real].sum()
    torch.testing.assert_close(model.task.loss(read, batch).total, smooth)
    torch.testing.assert_close(model.eval().task.loss(read, batch).total, plain)


def test_target_word_dropout_is_for_training_only() -> None:
    model, batch = build(target_word_dropout=0.999999), copying()
    hidden = Batch(batch.inputs, LENGTHS, torch.full_like(batch.targets, UNKNOWN), batch.target_lengths)
    dropped = model(batch)[0]
    model.eval()
    torch.testing.assert_close(dropped, model(hidden)[0])
    assert not torch.allclose(model(batch)[0], dropped)


@pytest.mark.parametrize(
    ("schedule", "share"),
    [
        ("linear", lambda i: i / 20),
        ("exponential", lambda i: 1 - math.exp(-i / 20)),
        ("inverse_sigmoid", lambda i: 1 - 20 / (20 + math.exp(i / 20))),
    ],
)
def test_scheduled_sampling_follows_its_schedule(schedule: str, share: Any) -> None:
    sampling = build(sampling={"kind": schedule, "steps": 20, "limit": 0.75}).task.scheduled_sampling
    probabilities = [sampling.next_probability().item() for _ in range(200)]
    assert probabilities == pytest.approx([min(share(i), 0.75) for i in range(200)], abs=1e-6)


@pytest.mark.parametrize("options", [{}, {"attention": "general"}])
def test_scheduled_sampling_feeds_back_predictions(options: dict[str, Any]) -> None:
    """With a share of 1, scores in training are those of greedy decoding; evaluation is unchanged."""
    model, batch = build(sampling={"kind": "linear", "steps": 1, "limit": 1.0}, **options), copying()
    right = model.eval()(batch)[0]
    model.train()
    torch.testing.assert_close(model(batch)[0], right)  # the first batch: a share of 0
    scores = model.task.decoder.head(model(batch)[0])
    state, memory = model.task.decoder.start(model.encode(batch))
    token = torch.full((4,), BEGIN)
    for u in range(7):
        output, state = model.task.decoder.step(token, state, memory)
        found = model.task.decoder.head(output)
        torch.testing.assert_close(found, scores[:, u])
        token = found.argmax(-1)
    assert not torch.allclose(scores, model.task.decoder.head(right))
    assert "task.scheduled_sampling.batches" in model.state_dict()


def test_the_copy_gate_mixes_softmax_and_attention() -> None:
    """Step by step and all steps at once; copying probabilities of the source sum to the attention."""
    model, batch = build("bidirectional", attention="additive", copy_source=True).eval(), copying()
    features, task, decoder = model.encode(batch), model.task, model.task.decoder
    state, memory = decoder.start(features, task._source(batch))
    total, token = 0.0, torch.full((4,), BEGIN)
    for u in range(7):
        output, state = decoder.step(token, state, memory)
        weights = state[1][0][:, 0]
        found = decoder.log_probabilities(output, weights, memory).exp()
        gate = torch.sigmoid(decoder.gate(output))
        written = decoder.head(output).softmax(-1)
        for row in range(4):
            expected = gate[row] * written[row]
            for step in range(int(LENGTHS[row])):
                expected[batch.inputs[row, step] + 2] += (1 - gate[row, 0]) * weights[row, step]
            torch.testing.assert_close(found[row, 2:], expected[2:])
            if u <= LENGTHS[row]:
                total -= found[row, batch.targets[row, u]].log()
        token = batch.targets[:, u]
    torch.testing.assert_close(task.loss(model(batch)[0], batch).total, total)


def test_unknown_words_are_copied() -> None:
    known = [["drei", "eins", "zwei"]]
    source, target = TextCodec.learn("whitespace", known), TextCodec.learn("whitespace", known, TARGET_SPECIALS)
    spec = DataSpec("transduction", source.size, target.size, source, target)
    widths = ("backbone.hidden_size=16", "encoder.embedding_size=16", "backbone=bidirectional", "cell=gru")
    torch.manual_seed(0)
    model = build_model(
        compose(*widths, "task.decoder.attention=location_aware", "task.decoder.copy_source=true"), spec
    )
    inputs = torch.tensor([[3, 1, 4, 1], [1, 2, 3, 0], [4, 1, 0, 0]])
    lengths = torch.tensor([4, 3, 2])
    targets = torch.tensor([[5, 1, 6, 1, END], [1, 4, 5, END, PAD], [6, 1, END, PAD, PAD]])
    train(model, Batch(inputs, lengths, targets, lengths + 1))
    loaded = Loaded(model, spec)
    texts = ["eins Anna zwei Bert", "Carla drei eins", "zwei Dora"]
    assert [p.answer for p in loaded.predict(texts)] == texts
    assert [row[0].answer for row in loaded.candidates(texts, 2)] == texts


KINDS_OF_TOKENS = [
    ("bpe", "bpe"),
    ("unigram", "unigram"),
    ("bpe", "unigram"),
    ("reversed:bpe", "bpe"),
    ("reversed:words", "words"),
    ("words", "words"),
    ("whitespace", "words"),
    ("characters", "characters"),
    ("reversed:characters", "characters"),
    ("chinese_words", "chinese_words"),
]


@pytest.mark.parametrize(("source", "target"), KINDS_OF_TOKENS)
def test_each_token_of_a_source_is_copied_as_itself(source: str, target: str) -> None:
    """Tokens that both vocabularies share keep their position in a word; others are copied as spelled in the source."""
    if "chinese_words" in (source, target):
        pytest.importorskip("jieba")
    texts = ["the theory of the zebra", "there is a zebra in the north", "bert reads a theory"] * 4
    size = 100 if target in SUBWORDS else None
    inputs = TextCodec.learn(source, [*texts, "annas 猫"], max_size=size)
    targets = TextCodec.learn(target, [*texts, "berts 犬"], TARGET_SPECIALS, max_size=size)
    spec = spec_from_plain(spec_to_plain(DataSpec("transduction", inputs.size, targets.size, inputs, targets)))
    options = ("task.decoder.attention=additive", "task.decoder.copy_source=true")
    task = build_model(compose("backbone.hidden_size=4", "encoder.embedding_size=4", *options), spec).task
    places = targets.vocabulary.ids
    assert task.same.tolist() == [places.get(token, UNKNOWN) for token in ["", "", *inputs.vocabulary.tokens[2:]]]

    for text in ("the zébra of 猫 annas theory", "<unk> zebra <eos> the"):
        batch = encode_inputs(spec, [text])
        answer = task.same[batch.inputs[0]].tolist()
        weights = torch.eye(len(answer))[None]
        if source.startswith("reversed:"):
            answer, weights = answer[::-1], weights.flip(1)
        [tokens] = task._tokens([answer], weights, batch)
        assert "".join(spec.targets.join(tokens).split()) == "".join(text.split())


@pytest.mark.parametrize(
    ("source", "target", "told"),
    [
        ("words", "bpe", "words in the source and pieces of words in the target"),
        ("reversed:unigram", "words", "pieces of words in the source and words in the target"),
        ("words", "characters", "words in the source and characters in the target"),
    ],
)
def test_copying_needs_tokens_of_one_kind(source: str, target: str, told: str) -> None:
    size = {name: 100 if name.endswith(("bpe", "unigram")) else None for name in (source, target)}
    inputs = TextCodec.learn(source, ["a dog"] * 9, max_size=size[source])
    targets = TextCodec.learn(target, ["a dog"] * 9, TARGET_SPECIALS, max_size=size[target])
    options = ("task.decoder.attention=additive", "task.decoder.copy_source=true")
    model = build_model(compose(*options), DataSpec("transduction", inputs.size, targets.size, inputs, targets))
    with pytest.raises(ConfigError, match=rf"task\.decoder\.copy_source copies tokens, which are {told}: choose data"):
        model.task.check_start(model, DataModule())
    # what an older run was trained with is read all the same
    dog = inputs.encode("dog")[0]
    assert model.task.same[dog] == targets.encode([inputs.decode([dog])])[0]


def test_unknown_words_of_an_answer_are_filled_in_their_order() -> None:
    """Each position separately, even if the copied word is spelled like an unknown word."""
    words = ["drei", "eins"]
    source, target = TextCodec.learn("whitespace", [words]), TextCodec.learn("whitespace", [words], TARGET_SPECIALS)
    spec = DataSpec("transduction", source.size, target.size, source, target)
    options = ("task.decoder.attention=additive", "task.decoder.copy_source=true", "backbone.hidden_size=4")
    model = build_model(compose(*options), spec).eval()
    batch = encode_inputs(spec, ["<unk> zebra eins <eos>"])
    answer = [UNKNOWN, 5, UNKNOWN, UNKNOWN]
    weights = torch.tensor([[[0.6, 0.4, 0, 0], [0, 0, 1, 0], [0.1, 0.2, 0.6, 0.1], [0.1, 0.2, 0.3, 0.4]]])
    assert model.task._tokens([answer], weights, batch) == [["<unk>", "eins", "zebra", "<eos>"]]
    features = model.encode(batch)
    model.task.hypotheses = lambda *_, **__: ([[Hypothesis(answer, -1.0, -1.0)]], features)
    model.task.attention_weights = lambda *_: torch.nn.functional.pad(weights, (0, 0, 0, 1))
    [[prediction]] = model.task.candidates(model, batch, 1)
    assert prediction.answer == "<unk> eins zebra <eos>"
    [alignment] = model.task.alignments(model, batch)
    assert alignment.read == ["<unk>", "zebra", "eins", "<eos>"]
    assert alignment.written == ["<unk>", "eins", "zebra", "<eos>", "<eos>"]
    [line] = model.task.show(batch, [prediction])
    assert line == "<unk> zebra eins <eos> -> <unk> eins zebra <eos>"


def test_no_text_reaches_a_special_id() -> None:
    """In targets, required words, positions, prefixes, and answers that are scored."""
    words = TextCodec.learn("whitespace", ["a b <eos> <bos>"], TARGET_SPECIALS)
    spec = DataSpec("transduction", words.size, words.size, words, words)
    config = compose("backbone.hidden_size=4", "encoder.embedding_size=4")
    batch = encode_inputs(spec, ["a <eos> b <pad>"])
    assert batch.inputs.tolist() == [[4, UNKNOWN, 5, UNKNOWN]]
    for name, value in (("words", ["a <eos>"]), ("places", {2: "<bos>"}), ("prefix", "<pad>")):
        model = build_model(replace(config, task=merged(config.task, {"search": {name: value}})), spec).eval()
        with pytest.raises(DataError, match=f"{name} has '.*<...>', of which the model knows only '.*<unk>': reword"):
            model.task.decode(model, batch)
    with pytest.raises(DataError, match="of the answer 'a <eos> b' the model knows only 'a <unk> b'"):
        Loaded(build_model(config, spec).eval(), spec).score(["a b"], ["a <eos> b"])


def test_input_feeding_passes_the_head_input_to_the_next_step() -> None:
    """Input feeding, by hand from its layers (Luong et al. 2015)."""
    model, batch = build("bidirectional", attention="general", input_feeding=True).eval(), copying()
    decoder = model.task.decoder
    state, memory = decoder.start(model.encode(batch))
    own, fed = state[0], torch.zeros(4, decoder.head.in_features)
    outputs = decoder(torch.cat([torch.full((4, 1), BEGIN), batch.targets[:, :-1]], 1), state, memory).outputs
    token = torch.full((4,), BEGIN)
    for u in range(7):
        output, own = decoder.backbone.step(torch.cat([decoder.embedding(token), fed], -1), own)
        contexts, _ = decoder.attention(output[:, None], Memory(*memory[0]))
        fed = torch.tanh(decoder.combine(torch.cat([output, contexts[:, 0]], -1)))
        torch.testing.assert_close(outputs[:, u], fed)
        _, state = decoder.step(token, state, memory)
        torch.testing.assert_close(state[2][0], fed)
        token = batch.targets[:, u]


@pytest.mark.parametrize("backbone", ["unidirectional", "bidirectional"])
def test_the_encoder_hands_over_its_state_after_the_last_real_step(backbone: str) -> None:
    """Unchanged where shapes agree, else through a layer; for each row as if it were alone."""
    model, batch = build(backbone).eval(), copying()
    (first, _, _), _ = model.task.decoder.start(model.encode(batch))
    for row, length in enumerate(LENGTHS.tolist()):
        x = model.encoder(batch.inputs[row : row + 1, :length])
        last = [cell.unroll(x if i == 0 else x.flip(1))[1][0] for i, cell in enumerate(model.backbone.layers[0])]
        expected = last[0] if len(last) == 1 else torch.tanh(model.task.decoder.bridge(torch.cat(last, -1)))
        torch.testing.assert_close(first[0][0][0][row], expected[0])


def test_the_coverage_loss_penalises_repeated_attention() -> None:
    model, batch = build(attention="coverage", coverage_loss=0.7), copying()
    features = model.encode(batch)
    weights = model.task.attention_weights(features, batch, batch.targets)
    again = sum(
        torch.minimum(weights[row, u], weights[row, :u].sum(0)).sum()
        for row, length in enumerate(LENGTHS.tolist())
        for u in range(length + 1)
    )
    outputs = model.task(features, batch)
    plain = model.eval().task.loss(outputs, batch).total
    torch.testing.assert_close(model.train().task.loss(outputs, batch).total, plain + 0.7 * again)


def test_the_self_critical_gradient_is_that_of_the_sample() -> None:
    """The loss is the difference of the two scores times the log-probability of the sample among the allowed tokens."""
    options = {"metric": "chrf", "after": 1, "likelihood": 0.5}
    model, batch = build("bidirectional", attention="general", self_critical=options), copying()
    assert model(batch)[0].dim() == 3  # by likelihood
    features, task = model.encode(batch), model.task
    torch.manual_seed(5)
    loss = task.loss(task(features, batch), batch)
    assert loss.count == batch.target_lengths.sum()
    model.eval()
    torch.manual_seed(5)
    task.search = Search(temperature=1.0)
    drawn, _ = task.hypotheses(model, batch, features)
    task.search = Search()
    greedy, rights = task.decode(model, batch, features), task.references(batch)
    expected = 0.5 * task.loss(task(features, batch), batch).total
    for row, ([one], other, right) in enumerate(zip(drawn, greedy, rights, strict=True)):
        scores = [sentence_chrf(text, right) for text in (TARGET.decode(one.ids), other.answer)]
        expected = expected - (scores[0] - scores[1]) / 100 * drawn_score(model, features, batch, row, one.ids)
    torch.testing.assert_close(loss.total, expected, rtol=1e-4, atol=1e-3)
    loss.total.backward()
    assert "task.critic.batches" in model.state_dict()


def drawn_score(model: Model, features: Any, batch: Batch, row: int, ids: list[int]) -> Tensor:
    """The sum of the log-probabilities with which the tokens were sampled, step by step."""
    limit = min(2 * int(LENGTHS[row]) + 10, 100)
    state, memory = model.task.decoder.start(features, model.task._source(batch))
    token, total = torch.full((batch.size,), BEGIN), torch.zeros(())
    for after in [*ids, END][:limit]:
        logs, state = model.task.next_token(token, state, memory)
        total = total + logs.softmax(-1)[row, after].log()
        token = torch.full((batch.size,), after)
    return total


@pytest.mark.parametrize("options", [{}, {"attention": "additive", "copy_source": True}])
def test_samples_are_scored_without_training_noise(options: dict[str, Any]) -> None:
    """Scored twice, the results agree: dropout, word dropout and scheduled sampling are off, and schedules count each
    batch once.
    """
    noise = {"dropout": 0.5, "target_word_dropout": 0.5, "sampling": {"kind": "linear", "steps": 2, "limit": 1.0}}
    critical = {"metric": "chrf", "after": 0, "likelihood": 0.0}
    model, batch = build("bidirectional", self_critical=critical, **noise, **options), copying()
    batch.inputs[:, 0] = UNKNOWN
    task, features = model.task, model.eval().encode(batch)
    model.train()
    limits, _ = form_of(batch, SPEC, task.search, True)
    tokens = [5, UNKNOWN if options else 6, 4, 7]  # what is unknown is copied alone
    answers = [Hypothesis(tokens[:length], 0.0, 0.0) for length in (4, 0, 2, 1)]
    seen: list[Tensor] = []
    score = task._scores_of_samples

    def listen(*given: Any) -> Tensor:
        seen.extend((score(features, batch, answers, limits), score(features, batch, answers, limits)))
        return score(*given)

    task._scores_of_samples = listen
    task(features, batch)
    assert torch.equal(*seen)
    for row, answer in enumerate(answers):
        task.eval()
        expected = drawn_score(model, features, batch, row, answer.ids)
        torch.testing.assert_close(seen[0][row], expected, rtol=1e-4, atol=1e-4)
    task.train()
    task.critic.options = replace(task.critic.options, likelihood=0.1)
    task(features, batch)
    assert task.critic.batches == 2
    assert task.scheduled_sampling.batches == 1  # of the right answer of the second batch


def test_costs_of_losses_for_training_only_can_be_counted() -> None:
    copying_and_more = ("task.decoder.attention=coverage", "task.decoder.copy_source=true", "task.coverage_loss=1")
    for overrides in (("task.self_critical.metric=chrf",), copying_and_more):
        assert examine("task=transduction", *overrides)[1] == []


def sentence_chrf(answer: str, right: str) -> float:
    return sacrebleu.metrics.CHRF().corpus_score([answer], [[right]]).score


def test_scores_of_candidates_are_those_of_teacher_forcing() -> None:
    model, batch = build("bidirectional", attention="general", search={"beam_size": 4}).eval(), copying()
    features = model.encode(batch)
    rows, _ = model.task.hypotheses(model, batch, n_best=4)
    for row, found in enumerate(rows):
        assert len(found) == 4
        assert found == sorted(found, key=lambda hypothesis: -hypothesis.rank)
        limit = min(2 * int(LENGTHS[row]) + 10, model.task.search.max_length)
        for ids, score, rank in found:
            targets = torch.tensor([[*ids, END][:limit]])
            one = batch.first(4)
            one.targets = targets.expand(4, -1)
            logs = model.task.decoder.head(model.task(features, one)[row]).log_softmax(-1)
            assert score == rank == pytest.approx(logs.gather(1, targets[0, :, None]).sum().item(), abs=1e-4)
    answers = [[p.answer for p in row] for row in model.task.candidates(model, batch, 4)]
    assert answers == [[TARGET.decode(hypothesis.ids) for hypothesis in row] for row in rows]


@pytest.mark.parametrize("beam_size", [1, 3])
@pytest.mark.parametrize(
    "options",
    [
        {"attention": "general", "search": {"coverage_penalty": 0.3}},
        {"attention": "location_aware", "input_feeding": True, "context": "every_step"},
    ],
)
def test_a_row_is_answered_as_if_alone(options: dict[str, Any], beam_size: int) -> None:
    """State, memory and attention stay with their hypotheses when other rows leave the batch."""
    batch = copying()
    search = {"beam_size": beam_size, "length_penalty": 1.0, **options.get("search", {})}
    model = train(build("bidirectional", **{**options, "search": search}), batch)
    together = model.task.decode(model, batch)
    assert len({len(p.answer) for p in together}) == 4
    for row, length in enumerate(LENGTHS.tolist()):
        alone = Batch(batch.inputs[row : row + 1, :length], LENGTHS[row : row + 1], padded=False)
        [found] = model.task.decode(model, alone)
        assert (found.answer, found.score) == (together[row].answer, pytest.approx(together[row].score, abs=1e-4))


def test_the_coverage_penalty_counts_unattended_steps() -> None:
    model = build("bidirectional", attention="general", search={"coverage_penalty": 0.5}).eval()
    state, memory = model.task.decoder.start(model.encode(copying()))
    attended = torch.zeros(4, 2, 6)
    attended[:, 1] = torch.tensor([2.0, 0.5, 0.25, 1.0, 1.0, 1.0])
    penalty = model.task._coverage_penalty((state[0], (attended,), ()), memory)
    half, quarter = 0.5 * math.log(0.5), 0.5 * math.log(0.25)
    torch.testing.assert_close(penalty, torch.tensor([half + quarter, half + quarter, half + quarter, 0.0]))


def test_constraints_on_answers() -> None:
    model, batch = build().eval(), copying()
    for beam_size in (1, 3):
        model.task.search = Search(beam_size, prefix="ba", min_length=5, no_repeat=1)
        for prediction in model.task.decode(model, batch):
            assert prediction.answer.startswith("ba")
            assert 5 <= len(prediction.answer) == len(set(prediction.answer))
    model.task.search = Search(prefix="bax")
    with pytest.raises(DataError, match="prefix has 'bax', of which the model knows only 'ba<unk>'"):
        model.task.decode(model, batch)


def test_required_words_and_places() -> None:
    model, batch = build().eval(), copying()
    search = Search(2, words=["ab", "h"], places={2: "g", 7: "cd"})
    for group_size in (1, 2):
        model.task.search = replace(search, groups=group_size)
        for prediction in model.task.decode(model, batch):
            assert "ab" in prediction.answer
            assert "h" in prediction.answer
            assert (prediction.answer[1], prediction.answer[6:8]) == ("g", "cd")
    model.task.search = Search(words=["ab", "xy"])
    with pytest.raises(DataError, match="words has 'xy', of which the model knows only '<unk><unk>': reword it"):
        model.task.decode(model, batch)
    model.task.search = Search(places={4: "ab"}, same_length=True)
    with pytest.raises(DataError, match=r"Row 2: search.places=.4: 'ab'. needs 5 tokens, but an answer has at most 4"):
        model.task.decode(model, batch)
    for search in (Search(same_length=True), Search(couplet=True)):
        with pytest.raises(DataError, match="is for tasks that rewrite a source text"):
            form_of(batch, replace(SPEC, inputs=None), search, False)


def test_answers_can_be_sampled() -> None:
    model, batch = build(search={"temperature": 5.0}).eval(), copying()
    answers = {tuple(p.answer for p in model.task.decode(model, batch)) for _ in range(4)}
    assert len(answers) == 4
    for row in model.task.hypotheses(model, batch, n_best=3)[0]:
        assert [one.score for one in row] == sorted((one.score for one in row), reverse=True)
        assert len(row) == 3
    model.task.search = Search(temperature=5.0, top_k=1)
    drawn = [p.answer for p in model.task.decode(model, batch)]
    model.task.search = Search()
    assert drawn == [p.answer for p in model.task.decode(model, batch)]


def test_a_longer_source_than_any_before_is_answered() -> None:
    loaded = Loaded(build("bidirectional", attention="general").eval(), SPEC)
    long, short = loaded.predict(["abcdefgh" * 60, "ab"])
    assert len(long.answer) <= 100
    assert short.answer == loaded.predict(["ab"])[0].answer


@pytest.mark.parametrize("beam_size", [1, 3])
def test_the_second_line_of_a_couplet_has_the_form_of_the_first(beam_size: int) -> None:
    lines = [list("ab,cd,e"), list("fg,hi"), list("jklm")]
    codecs = TextCodec.learn("characters", lines), TextCodec.learn("characters", lines, TARGET_SPECIALS)
    spec = DataSpec("transduction", codecs[0].size, codecs[1].size, *codecs)
    config = compose("cell=gru", "backbone.hidden_size=16", "task.search.couplet=true")
    model = build_model(replace(config, task=merged(config.task, {"search": {"beam_size": beam_size}})), spec).eval()
    for source, prediction in zip(lines, model.task.decode(model, encode_inputs(spec, lines)), strict=True):
        marks = [[character == "," for character in line] for line in (source, prediction.answer)]
        letters = [character for character in prediction.answer if character != ","]
        assert marks[0] == marks[1]
        assert len(set(letters)) == len(letters)
        assert not set(letters) & set(source)
    with pytest.raises(DataError, match="abcdefg: 7 tokens are to be chosen, but only 6 may be"):
        model.task.decode(model, encode_inputs(spec, ["abcdefg"]))
    with pytest.raises(DataError, match="xyz is read as one character: put spaces between characters"):
        model.task.decode(model, encode_inputs(spec, [["a", "xyz"]]))


@pytest.mark.parametrize("beam_size", [1, 3])
def test_answers_as_long_as_their_sources(beam_size: int) -> None:
    model, batch = build(search={"same_length": True, "no_repeat": 1, "beam_size": beam_size}).eval(), copying()
    for prediction, length in zip(model.task.decode(model, batch), LENGTHS.tolist(), strict=True):
        assert len(set(prediction.answer)) == len(prediction.answer) == length


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["task.decoder.input_feeding=true"],
            "task.decoder.input_feeding needs something to attend with, such as task.decoder.attention=general",
        ),
        (["task.search.coverage_penalty=0.2"], "task.search.coverage_penalty needs something to attend with"),
        (["task.decoder.context=own_state"], "task.decoder.context is own_state: without attention"),
        (["task.target_word_dropout=1.0"], "task.target_word_dropout is 1.0: it is a share"),
        (["task.scheduled_sampling.limit=2.0"], "task.scheduled_sampling.limit is 2.0: it is a share, between 0 and 1"),
        (["task.scheduled_sampling.steps=0"], "task.scheduled_sampling.steps is 0: it is at least 1"),
        (["task.search.beam_size=0"], "task.search.beam_size is 0: search at least one"),
        (["task.coverage_loss=1"], "task.coverage_loss needs something to attend with"),
        (["task.decoder.copy_source=true"], "task.decoder.copy_source needs something to attend with"),
        (
            ["task.decoder.copy_source=true", "task.decoder.attention=dot", "task.label_smoothing=0.1"],
            "task.label_smoothing spreads over what the head writes alone",
        ),
        (["task.self_critical.metric=perplexity"], "task.self_critical.metric is 'perplexity': name one that reads"),
        (
            ["task.self_critical.metric=cider_d"],
            "task.self_critical.metric is 'cider_d': it scores many answers together, and here each is",
        ),
        (
            ["task.search.groups=3", "task.search.beam_size=4"],
            "task.search.groups is 3: it must divide task.search.beam_size=4",
        ),
        (["task.search.length_penalty=-1"], "task.search.length_penalty is -1: it is 0 or more"),
        (["task.search.places={0: a}"], "task.search.places names token 0: the first one is 1"),
        (["task.search.temperature=1", "task.search.beam_size=4"], "task.search.temperature is above 0, so tokens"),
        (
            ["task.decoder.tied_embeddings=true", "encoder.embedding_size=60"],
            r"task.decoder.tied_embeddings needs as many features",
        ),
        (
            ["task.decoder.attention=dot", "backbone=bidirectional"],
            "dot attention multiplies queries of 192 features with a",
        ),
        (["task.decoder.attention=adaptive"], "task.decoder.attention is 'adaptive': it must be one of none, additive"),
        (
            ["task.decoder.attention=multi_head", "task.decoder.attention_heads=3"],
            "task.decoder.attention_heads is 3: it must divide",
        ),
    ],
)
def test_bad_options(overrides: list[str], message: str) -> None:
    _, mistakes = examine("task=transduction", *overrides)
    with pytest.raises(ConfigError, match=message):
        raise ConfigError(mistakes)
    assert len(mistakes) == 1
