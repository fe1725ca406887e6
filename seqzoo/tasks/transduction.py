"""Transduction: an encoder-decoder maps a sequence to one of another length.

Source: Sutskever, Vinyals & Le, Sequence to Sequence Learning with Neural Networks, 2014,
https://arxiv.org/abs/1409.3215
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from seqzoo.contracts.batch import BEGIN, END, PAD, UNKNOWN, Alignment, Batch, Features, Loss, Prediction, State
from seqzoo.contracts.capabilities import Others, TokenScore
from seqzoo.contracts.data_module import DataModule
from seqzoo.contracts.errors import ConfigError
from seqzoo.contracts.masking import mask
from seqzoo.contracts.metric import Metric
from seqzoo.contracts.parts import Network
from seqzoo.contracts.spec import DataSpec
from seqzoo.metrics import MetricName, create_metrics
from seqzoo.network.heads.attention import Memory
from seqzoo.network.heads.decoder import Decoded, Decoder, DecoderOptions
from seqzoo.network.heads.linear_cross_entropy import linear_cross_entropy
from seqzoo.tasks.decoding import (
    Hypothesis,
    Penalty,
    Search,
    Start,
    Step,
    Unmet,
    forced_decoding,
    generate,
    sampler,
)
from seqzoo.tasks.decoding.forms import NEVER_WRITTEN, same_tokens
from seqzoo.tasks.example_lines import answer_lines, texts_or_steps
from seqzoo.tasks.scheduled_sampling import Schedule, ScheduledSampling
from seqzoo.tasks.self_critical import Critic, SelfCritical
from seqzoo.tasks.writing import WritingTask, token_scores


class Transduction(WritingTask):
    """Generates a sequence from another one.

    `forward` runs the decoder with teacher forcing and returns the inputs of its head; the head is applied in `loss`,
    because logits of a large vocabulary would not fit into memory.

    Args:
        feature_size: width of the backbone's outputs.
        spec: the specification of the data.
        decoder: options of the decoder.
        encoder_state: a state of the encoder, of which only the shapes are read.
        metrics: names from `seqzoo.metrics`; the first one selects the best checkpoint.
        search: the options of decoding.
        target_word_dropout: share of the target tokens that the decoder reads as unknown in training (Bowman et al.,
            Generating Sentences from a Continuous Space, 2016, https://aclanthology.org/K16-1002).
        label_smoothing: share of the target probability that is spread over all tokens in training (Szegedy et al.,
            Rethinking the Inception Architecture, 2016, https://arxiv.org/abs/1512.00567).
        coverage_loss: weight of the coverage loss in training, which penalises attending to the same steps again (See,
            Liu & Manning, Get To The Point, 2017, https://arxiv.org/abs/1704.04368).
        self_critical: options of self-critical training.
        scheduled_sampling: schedule of scheduled sampling, with which training runs step by step.

    Raises:
        ValueError: an option is out of its range, or two do not go together.

    Shape:
        Scores: (B, U, W), inputs of the head; if the loss needs attention weights, (B, U, W + S), with the weights
        concatenated; in self-critical training (B,), the loss of each row.
    """

    reads = "transduction"
    example_answers = ("a",)
    alignment_needs = "an attention, such as task.decoder.attention=general"
    loss_unit = "nats"
    same: Tensor

    def __init__(
        self,
        feature_size: int,
        spec: DataSpec,
        decoder: DecoderOptions,
        encoder_state: State,
        metrics: list[MetricName],
        search: Search = Search(),  # noqa: B008 (frozen)
        target_word_dropout: float = 0.0,
        label_smoothing: float = 0.0,
        coverage_loss: float = 0.0,
        self_critical: SelfCritical = SelfCritical(),  # noqa: B008 (frozen)
        scheduled_sampling: Schedule = Schedule(),  # noqa: B008 (frozen)
    ):
        super().__init__()
        for name, value in (("target_word_dropout", target_word_dropout), ("label_smoothing", label_smoothing)):
            if not 0 <= value < 1:
                raise ValueError(f"{name} is {value}: it is a share, at least 0 and below 1")
        self.decoder = Decoder(feature_size, spec.output_size, encoder_state, decoder)
        for name, given in (("coverage_penalty", search.coverage_penalty), ("coverage_loss", coverage_loss)):
            if given and self.decoder.attention is None:
                raise ValueError(f"{name} needs something to attend with, such as attention=general")
        if decoder.copy_source and label_smoothing:
            raise ValueError(
                "label_smoothing spreads over what the head writes alone: leave it out with copy_source=true"
            )
        self.spec, self.metric_names, self.search = spec, metrics, search
        self.target_word_dropout = target_word_dropout
        self.label_smoothing, self.coverage_loss = label_smoothing, coverage_loss
        self.critic = None if self_critical.metric == "none" else Critic(self_critical)
        if decoder.copy_source:
            self.register_buffer("same", same_tokens(spec), persistent=False)
        self.scheduled_sampling = None if scheduled_sampling.kind == "none" else ScheduledSampling(scheduled_sampling)

    @property
    def rewrites(self) -> bool:
        return self.spec.inputs is not None

    def check_start(self, model: Network, data: DataModule) -> None:
        inputs, targets = self.spec.inputs, self.spec.targets
        if self.decoder.gate is not None and inputs is not None and targets is not None and inputs.unit != targets.unit:
            kinds = f"which are {inputs.unit} in the source and {targets.unit} in the target"
            advice = "choose data.source_tokenizer and data.target_tokenizer of one kind"
            raise ConfigError([f"task.decoder.copy_source copies tokens, {kinds}: {advice}"])

    def forward(self, features: Features, batch: Batch) -> Tensor:
        if self.training and self.critic is not None and self.critic.begins():
            return self._self_critical_loss(self.critic, features, batch)
        outputs, weights = self._decoded(features, batch, batch.required_targets)
        return torch.cat([outputs, weights], dim=-1) if self._loss_reads_weights and weights is not None else outputs

    @property
    def _loss_reads_weights(self) -> bool:
        return self.decoder.gate is not None or self.coverage_loss > 0

    def attention_weights(self, features: Features, batch: Batch, targets: Tensor) -> Tensor:
        """The attention weights over the encoder's outputs for given targets (B, U), (B, U, S). The decoder must have
        attention.
        """
        weights = self._decoded(features, batch, targets).weights
        assert weights is not None
        return weights

    def _source(self, batch: Batch) -> Tensor | None:
        """The target id of each source token, (B, S), if the decoder copies tokens; else None."""
        return None if self.decoder.gate is None or batch.inputs.dim() > 2 else self.same[batch.inputs]

    def _decoded(self, features: Features, batch: Batch, targets: Tensor) -> Decoded:
        """Run the decoder over gold targets (B, U) with teacher forcing."""
        state, memory = self.decoder.start(features, self._source(batch))
        tokens = _shifted(targets)
        if self.training and self.target_word_dropout:
            dropped = torch.rand(tokens.shape, device=tokens.device) < self.target_word_dropout
            tokens = tokens.masked_fill(dropped & (tokens != BEGIN), UNKNOWN)
        if self.scheduled_sampling is None or not self.training:
            return self.decoder(tokens, state, memory)
        sampling, probability = self.scheduled_sampling, self.scheduled_sampling.next_probability()

        def choose(token: Tensor, output: Tensor) -> Tensor:
            return sampling(token, self.decoder.head(output.detach()).argmax(-1), probability)

        return self.decoder(tokens, state, memory, choose)

    def _self_critical_loss(self, critic: Critic, features: Features, batch: Batch) -> Tensor:
        """The loss of each row, (B,): minus the log-probability of a sampled answer times its advantage over the greedy
        one. The decoder samples and scores without dropout, so that both use the same distribution.
        """
        _, limits, _ = self.form(batch)
        self.decoder.eval()
        try:
            with torch.no_grad():
                start = self.start(features, batch)
                sampled = generate(start, self.next_token, limits, END, sampler())
                greedy = generate(start, self.next_token, limits, END)
            scores = self._scores_of_samples(features, batch, sampled, limits)
        finally:
            self.decoder.train()
        decode = self.spec.target_codec.decode
        samples, baselines = ([decode(answer.ids) for answer in answers] for answers in (sampled, greedy))
        advantages = features.last.new_tensor(critic.advantages(samples, baselines, self.references(batch)))
        loss = -advantages * scores
        if critic.options.likelihood:
            targets = batch.required_targets
            decoded = self._decoded(features, batch, targets)
            log_likelihoods = self.decoder.target_log_probabilities(decoded, self._source(batch), targets)
            real = mask(batch.required_target_lengths, log_likelihoods.shape[1])
            loss = loss - critic.options.likelihood * log_likelihoods.masked_fill(~real, 0.0).sum(1)
        return loss

    def _scores_of_samples(self, features: Features, batch: Batch, sampled: list[Hypothesis], limits: Tensor) -> Tensor:
        """The log-probabilities of sampled answers, (B,), without tokens that are never generated."""
        rows = zip((answer.ids for answer in sampled), limits.tolist(), strict=True)
        ended = [batch.lengths.new_tensor([*ids, END][:limit]) for ids, limit in rows]
        tokens = pad_sequence(ended, batch_first=True)
        decoded = self.decoder(_shifted(tokens), *self.decoder.start(features, self._source(batch)))
        scores = self.decoder.target_log_probabilities(decoded, self._source(batch), tokens, never=NEVER_WRITTEN)
        real = mask(batch.lengths.new_tensor(list(map(len, ended))), tokens.shape[1])
        return scores.masked_fill(~real, 0.0).sum(1)

    def loss(self, scores: Tensor, batch: Batch) -> Loss:
        targets, lengths, head = batch.required_targets, batch.required_target_lengths, self.decoder.head
        if scores.dim() == 1:
            return Loss(scores.sum(), lengths.sum())
        smoothing = self.label_smoothing if self.training else 0.0
        outputs, weights = scores[..., : head.in_features], scores[..., head.in_features :]
        if self.decoder.gate is None:
            loss = linear_cross_entropy(outputs, head.weight, head.bias, targets, lengths, smoothing)
        else:
            decoded = Decoded(outputs, weights)
            log_likelihoods = self.decoder.target_log_probabilities(decoded, self._source(batch), targets)
            real = mask(lengths, log_likelihoods.shape[1])
            loss = Loss(-log_likelihoods.masked_fill(~real, 0.0).sum(), lengths.sum())
        if self.training and self.coverage_loss:
            coverage = weights.cumsum(1) - weights
            overlap = torch.minimum(weights, coverage).sum(-1).masked_fill(~mask(lengths, weights.shape[1]), 0.0)
            loss = Loss(loss.total + self.coverage_loss * overlap.sum(), loss.count)
        return loss

    @property
    def training_loss_name(self) -> str:
        changed = self.label_smoothing or self.coverage_loss or self.critic is not None
        return "loss" if changed else self.loss_name

    def metrics(self) -> list[Metric]:
        return create_metrics(self.metric_names)

    def next_token(self, token: Tensor, state: State, memory: State) -> tuple[Tensor, State]:
        """One step of decoding, a `seqzoo.tasks.decoding.Step`: tokens (B,) -> log-probabilities of the next ones
        (B, V), -inf for tokens that are never generated, and the next state.
        """
        output, state = self.decoder.step(token, state, memory)
        attended = state[1][0][:, 0] if state[1] else None
        log_probabilities = self.decoder.log_probabilities(output, attended, memory)
        log_probabilities[:, NEVER_WRITTEN if self.decoder.gate is None else [PAD, BEGIN]] = float("-inf")
        return log_probabilities, state

    @property
    def end(self) -> int | None:
        return None if self.search.couplet else END

    @property
    def penalty(self) -> Penalty | None:
        return self._coverage_penalty if self.search.coverage_penalty else None

    def step(self, model: Network) -> Step:
        return self.next_token

    def start(self, features: Features, batch: Batch) -> Start:
        state, memory = self.decoder.start(features, self._source(batch))
        log_probabilities, state = self.next_token(batch.lengths.new_full((batch.size,), BEGIN), state, memory)
        return Start(log_probabilities, state, memory)

    def _coverage_penalty(self, state: State, memory: State) -> Tensor:
        """The coverage penalty of Wu et al., 2016, (N,): negative if steps of the source have received less than 1 of
        attention in total.
        """
        (attended,), real = state[1], Memory(*memory[0]).real
        logarithms = attended[:, 1].clamp(1e-9, 1.0).log().masked_fill(~real, 0.0)
        return self.search.coverage_penalty * logarithms.sum(-1)

    @torch.no_grad()
    def score_answers(
        self, model: Network, batch: Batch, answers: list[str], others: Others = ()
    ) -> list[list[TokenScore]]:
        """The score of each token of each row's answer, and of its end, by forced decoding.

        Raises:
            DataError: an answer has tokens outside the vocabulary.
        """
        codec = self.spec.target_codec
        ids = [[*codec.encode(answer), END] for answer in answers]
        for row, (tokens, answer) in enumerate(zip(ids, answers, strict=True)):
            if UNKNOWN in tokens:
                known = codec.decode(tokens)
                raise Unmet(row, f"of the answer {answer!r} the model knows only {known!r}, so it has no score")
        start, step = self.beginning(model, batch, model.encode(batch), others)
        rows = [batch.lengths.new_tensor(tokens) for tokens in ids]
        lengths = batch.lengths.new_tensor([len(row) for row in rows])
        scores = forced_decoding(start, step, pad_sequence(rows, batch_first=True), lengths)
        return token_scores(codec, ids, scores)

    @torch.no_grad()
    def predictions(self, rows: list[list[Hypothesis]], features: Features, batch: Batch) -> list[list[Prediction]]:
        predictions: list[list[Prediction]] = [[] for _ in rows]
        for nth in range(max(map(len, rows), default=0)):
            answers = [row[min(nth, len(row) - 1)] for row in rows]
            ids, weights = [answer.ids for answer in answers], None
            if self.decoder.gate is not None and any(UNKNOWN in answer for answer in ids):
                weights = self._attended(features, batch, ids)
            for row, tokens in enumerate(self._tokens(ids, weights, batch)):
                if nth < len(rows[row]):
                    predictions[row].append(Prediction(self.spec.target_codec.join(tokens), answers[row].score))
        return predictions

    def _attended(self, features: Features, batch: Batch, answers: list[list[int]]) -> Tensor:
        """The attention weights for each token of each answer and its end, (B, U, S)."""
        written = [batch.lengths.new_tensor([*ids, END]) for ids in answers]
        return self.attention_weights(features, batch, pad_sequence(written, batch_first=True))

    def _tokens(self, answers: list[list[int]], weights: Tensor | None, batch: Batch) -> list[list[str]]:
        """The tokens of each answer. A decoder that copies replaces an unknown token by the source token with the
        largest attention weight among those outside the target vocabulary.

        Args:
            weights: from `_attended`; None: no answer has an unknown token that was copied.
        """
        tokens = [[token for i in ids for token in self.spec.target_codec.tokens([i])] for ids in answers]
        if self.decoder.gate is None or weights is None:
            return tokens
        weights = weights.masked_fill((self.same[batch.inputs] != UNKNOWN)[:, None], -1.0)
        steps, read = weights.argmax(-1).tolist(), self.tokens_read(batch)
        for row, ids in enumerate(answers):
            tokens[row] = [
                read[row][steps[row][place]] if i == UNKNOWN else token
                for place, (i, token) in enumerate(zip(ids, tokens[row], strict=True))
            ]
        return tokens

    @torch.no_grad()
    def alignments(self, model: Network, batch: Batch, others: Others = ()) -> list[Alignment]:
        """The attention weights of this model for the best answers, which `others` generate together with it."""
        if self.decoder.attention is None:
            return []
        rows, features = self.hypotheses(model, batch, others=others)
        answers = [best.ids for best, *_ in rows]
        attended = self._attended(features, batch, answers)
        texts = [[]] * batch.size if self.spec.inputs is None else self.labels_read(batch)
        alignments = []
        for row, (read, tokens, weights) in enumerate(
            zip(texts, self._tokens(answers, attended, batch), attended, strict=True)
        ):
            if features.lengths is not None:
                weights = weights[:, : features.lengths[row]]
            # a backbone may return fewer outputs than it reads steps, which are then numbered
            read = read if len(read) == weights.shape[1] else [str(step + 1) for step in range(weights.shape[1])]
            written = [*(self.spec.target_codec.join([token]) for token in tokens), "<eos>"]
            picture = None if self.spec.picture is None else batch.inputs[row]
            backwards = getattr(self.spec.inputs, "backwards", False)
            alignments.append(Alignment(read, written, weights[: len(written)], picture, backwards))
        return alignments

    def _text(self, row: list[int]) -> str:
        return self.spec.target_codec.decode(row[: row.index(END)] if END in row else row)

    def references(self, batch: Batch) -> list:
        return batch.references or [self._text(row) for row in batch.required_targets.tolist()]

    def show(self, batch: Batch, predictions: list[Prediction]) -> list[str]:
        """One line per row: source -> answer   (target: the first reference, where the answer differs)."""
        texts = [""] * batch.size if self.spec.inputs is None else texts_or_steps(self, batch)
        return answer_lines(texts, self, batch, predictions)


def _shifted(targets: Tensor) -> Tensor:
    """The inputs of a decoder with teacher forcing: targets (B, U), shifted by one step."""
    return torch.cat([targets.new_full((len(targets), 1), BEGIN), targets[:, :-1]], dim=1)
