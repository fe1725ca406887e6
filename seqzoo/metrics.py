"""Running sums that become one number.

Metrics of the loss divide a sum by a count; metrics of the predictions compare answers with references, both in the
form of `seqzoo.contracts.Prediction.answer`; where an answer is a text, a reference may be a list of right ones. Two
halves of a data set add up to the whole. Where nothing has been counted the number is nan, which is neither better nor
worse than any other.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import zip_longest
from typing import Any, cast

from seqzoo.caption_scores import caption_tokens, cider_d, rouge_l
from seqzoo.contracts import Loss, Metric, Prediction
from seqzoo.errors import ConfigError, closest
from seqzoo.spans import OUTSIDE, parse, scheme_of, spans


class LossNats:
    """Mean loss of one target, in nats."""

    name = "loss_nats"
    higher_is_better = False
    from_predictions = False

    def __init__(self) -> None:
        self.total = 0.0
        self.count = 0.0

    def update(self, loss: Loss, answers: list, references: list) -> None:
        self.total += float(loss.total)
        self.count += float(loss.count)

    def compute(self) -> float:
        return self.total / self.count if self.count else math.nan


class Perplexity(LossNats):
    """e to the mean loss: among how many equally likely targets the model hesitates; inf beyond what a float holds."""

    name = "perplexity"

    def compute(self) -> float:
        try:
            return math.exp(super().compute())
        except OverflowError:
            return math.inf


class BitsPerCharacter(LossNats):
    """Mean loss of one target, in bits; the targets are taken to be characters."""

    name = "bits_per_character"

    def compute(self) -> float:
        return super().compute() / math.log(2)


class MeanSquaredError(LossNats):
    """Mean loss of one number, whose loss is its squared error."""

    name = "mse"


class _PredictionMetric:
    """A metric that reads one answer and its reference at a time."""

    name: str
    higher_is_better = True
    from_predictions = True

    def update(self, loss: Loss, answers: list, references: list) -> None:
        for answer, reference in zip(answers, references, strict=True):
            self.add(answer, reference)

    def add(self, answer: Any, reference: Any) -> None:
        raise NotImplementedError

    def compute(self) -> float:
        raise NotImplementedError


class Accuracy(_PredictionMetric):
    """Share of the labels that are right: one label a row, or one a step.

    Raises ValueError where an answer has more or fewer labels than its reference.
    """

    name = "accuracy"

    def __init__(self) -> None:
        self.right = 0
        self.count = 0

    def add(self, answer: str | list[str], reference: str | list[str]) -> None:
        for given, right in _labels(answer, reference):
            self.right += given == right
            self.count += 1

    def compute(self) -> float:
        return self.right / self.count if self.count else math.nan


class ExactMatch(_PredictionMetric):
    """Share of the rows whose whole answer is right, or one of the right ones."""

    name = "exact_match"

    def __init__(self) -> None:
        self.right = 0
        self.count = 0

    def add(self, answer: str | list[str], reference: str | list[str]) -> None:
        self.right += is_right(answer, reference)
        self.count += 1

    def compute(self) -> float:
        return self.right / self.count if self.count else math.nan


class RightLength(_PredictionMetric):
    """Share of the answers that have as many characters as the right one, spaces left out; a token that the
    vocabulary does not know is one, too.
    """

    name = "right_length"

    def __init__(self) -> None:
        self.right = 0
        self.count = 0

    def add(self, answer: str, reference: str | list[str]) -> None:
        one, *others = ("".join(text.replace("<unk>", "?").split()) for text in (answer, *all_of(reference)))
        self.right += len(one) in map(len, others)
        self.count += 1

    def compute(self) -> float:
        return self.right / self.count if self.count else math.nan


class Repeats(_PredictionMetric):
    """Share of the answers in which a letter or character occurs twice."""

    name = "repeats"
    higher_is_better = False

    def __init__(self) -> None:
        self.found = 0
        self.count = 0

    def add(self, answer: str, reference: str | list[str]) -> None:
        letters = [character for character in answer if character.isalnum()]
        self.found += len(set(letters)) < len(letters)
        self.count += 1

    def compute(self) -> float:
        return self.found / self.count if self.count else math.nan


class MacroF1(_PredictionMetric):
    """F1 of each class, averaged over the classes that were answered or right at least once: rare classes weigh as much
    as frequent ones.

    Raises ValueError where an answer has more or fewer labels than its reference.
    """

    name = "macro_f1"

    def __init__(self) -> None:
        self.right: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.real: Counter[str] = Counter()

    def add(self, answer: str | list[str], reference: str | list[str]) -> None:
        for given, right in _labels(answer, reference):
            self.answered[given] += 1
            self.real[right] += 1
            self.right[right] += given == right

    def compute(self) -> float:
        classes = self.answered.keys() | self.real.keys()
        if not classes:
            return math.nan
        return sum(2 * self.right[c] / (self.answered[c] + self.real[c]) for c in sorted(classes)) / len(classes)


class Confusion:
    """How often each class was answered for each right one: counts[right][answered], in the order of the classes.

    Raises ValueError where an answer has more or fewer labels than its reference.
    """

    def __init__(self, classes: list[str]):
        self.classes = classes
        self.counts = [[0] * len(classes) for _ in classes]
        self._places = {name: place for place, name in enumerate(classes)}

    def update(self, predictions: list[Prediction], references: list) -> None:
        for prediction, reference in zip(predictions, references, strict=True):
            for given, right in _labels(prediction.answer, reference):
                self.counts[self._places[right]][self._places[given]] += 1

    def by_class(self) -> dict[str, dict[str, float]]:
        """Precision, recall, f1 and support, the examples that there are, of each class; 0 where nothing counts."""
        found = {}
        for place, name in enumerate(self.classes):
            answered = sum(row[place] for row in self.counts)
            found[name] = _by_class(self.counts[place][place], answered, sum(self.counts[place]))
        return found

    def to_plain(self) -> dict[str, Any]:
        return {"by_class": self.by_class(), "classes": self.classes, "confusion": self.counts}


class BinaryConfusion(Confusion):
    """The same of two classes, where an answer's score is the log of its probability.

    probabilities, right: of the second class, what each example was given, and whether it is of that class.
    """

    def __init__(self, classes: list[str]):
        super().__init__(classes)
        self.probabilities: list[float] = []
        self.right: list[bool] = []

    def update(self, predictions: list[Prediction], references: list) -> None:
        super().update(predictions, references)
        second = self.classes[1]
        self.probabilities += [
            math.exp(score) if answer == second else -math.expm1(score) for answer, score in predictions
        ]
        self.right += [reference == second for reference in references]


class SpanCounts:
    """Spans by their type: how many were found, with type, first and last step, how many were answered and are real."""

    def __init__(self) -> None:
        self.found: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.real: Counter[str] = Counter()

    def add(self, answer: list[str], reference: list[str]) -> None:
        answered, real = set(spans(answer)), set(spans(reference))
        for counter, some in ((self.found, answered & real), (self.answered, answered), (self.real, real)):
            counter.update(kind for kind, _, _ in some)


class SpanConfusion(Confusion):
    """The same of tags that mark spans; its report is by the spans' types."""

    def __init__(self, classes: list[str]):
        super().__init__(classes)
        self.spans = SpanCounts()

    def update(self, predictions: list[Prediction], references: list) -> None:
        super().update(predictions, references)
        for prediction, reference in zip(predictions, references, strict=True):
            self.spans.add(cast("list[str]", prediction.answer), reference)

    def by_class(self) -> dict[str, dict[str, float]]:
        counts = self.spans
        kinds = sorted({parse(tag).kind for tag in self.classes if tag != OUTSIDE})
        return {kind: _by_class(counts.found[kind], counts.answered[kind], counts.real[kind]) for kind in kinds}


def confusion_of(classes: list[str]) -> Confusion:
    """A fresh count for these classes, or for tags that mark spans."""
    return Confusion(classes) if scheme_of([classes]) is None else SpanConfusion(classes)


def _by_class(right: int, answered: int, real: int) -> dict[str, float]:
    return {
        "precision": right / max(answered, 1),
        "recall": right / max(real, 1),
        "f1": 2 * right / max(answered + real, 1),
        "support": real,
    }


class SpanF1(_PredictionMetric):
    """Micro-averaged F1 of entities: one counts as found where type, first and last step agree.

    Every scheme of `seqzoo.spans` is read without a setting, and broken sequences as conlleval reads them. Zero where
    rows were seen but no entity.

    Source: Tjong Kim Sang and De Meulder, Introduction to the CoNLL-2003 Shared Task, 2003
    (https://aclanthology.org/W03-0419), and its evaluation program conlleval.
    """

    name = "span_f1"

    def __init__(self) -> None:
        self.counts = SpanCounts()
        self.rows = 0

    def add(self, answer: list[str], reference: list[str]) -> None:
        self.counts.add(answer, reference)
        self.rows += 1

    def compute(self) -> float:
        if not self.rows:
            return math.nan
        found, answered, real = (c.total() for c in (self.counts.found, self.counts.answered, self.counts.real))
        return 2 * found / max(answered + real, 1)


class MeanAbsoluteError(_PredictionMetric):
    """Mean distance of a number from the right one. Answers are numbers as text, with spaces between them.

    Raises ValueError where an answer has more or fewer numbers than its reference, or is none.
    """

    name = "mae"
    higher_is_better = False

    def __init__(self) -> None:
        self.total = 0.0
        self.count = 0

    def add(self, answer: str | list[str], reference: str | list[str]) -> None:
        for given, right in _numbers(answer, reference):
            self.total += sum(abs(a - b) for a, b in zip(given, right, strict=True))
            self.count += len(right)

    def compute(self) -> float:
        return self.total / self.count if self.count else math.nan


class NormalizedError(_PredictionMetric):
    """Root mean squared error in standard deviations of the right numbers (NRMSE): 1 is what their mean would score.
    Where a target has several numbers, each varies about its own mean. nan where nothing varies.

    Raises ValueError as `MeanAbsoluteError` does.
    """

    name = "nrmse"
    higher_is_better = False

    def __init__(self) -> None:
        self.squared_error = 0.0
        self.sums: list[float] = []
        self.squares: list[float] = []
        self.count = 0

    def add(self, answer: str | list[str], reference: str | list[str]) -> None:
        for given, right in _numbers(answer, reference):
            self.squared_error += sum((a - b) ** 2 for a, b in zip(given, right, strict=True))
            self.sums = [total + b for total, b in zip(self.sums or [0.0] * len(right), right, strict=True)]
            self.squares = [total + b * b for total, b in zip(self.squares or [0.0] * len(right), right, strict=True)]
            self.count += 1

    def compute(self) -> float:
        if not self.count:
            return math.nan
        spread = sum(self.squares) - sum(total * total for total in self.sums) / self.count
        return math.sqrt(self.squared_error / spread) if spread > 0 else math.nan


class _CorpusScore(_PredictionMetric):
    """A score of sacrebleu over all rows at once, 0 to 100. Answers and references are detokenised text; a row may have
    several references.

    signature: how the number was made, for a table of results; known after `compute`.
    Raises ConfigError where sacrebleu is not installed.
    """

    def __init__(self) -> None:
        try:
            from sacrebleu import metrics
        except ImportError:
            raise ConfigError([f'The metric {self.name} needs sacrebleu: pip install "seqzoo[text]".']) from None
        self.score = self._create(metrics)
        self.signature = ""
        self.answers: list[str] = []
        self.references: list[list[str]] = []

    def _create(self, metrics: Any) -> Any:
        raise NotImplementedError

    def add(self, answer: str, reference: str | list[str]) -> None:
        self.answers.append(answer)
        self.references.append(all_of(reference))

    def compute(self) -> float:
        if not self.answers:
            return math.nan
        # the first ones of all rows, the second ones, ...; None where a row has fewer
        value = self.score.corpus_score(self.answers, list(map(list, zip_longest(*self.references)))).score
        self.signature = str(self.score.get_signature())
        return float(value)


class Bleu(_CorpusScore):
    """Overlap of one to four words, words cut as in the WMT evaluations (tokenizer 13a).

    Source: Papineni et al., BLEU: a Method for Automatic Evaluation of Machine Translation, 2002
    (https://aclanthology.org/P02-1040); Post, A Call for Clarity in Reporting BLEU Scores, 2018
    (https://aclanthology.org/W18-6319).
    """

    name = "bleu"
    tokenizer = "13a"

    def _create(self, metrics: Any) -> Any:
        # Rows that look tokenised make sacrebleu warn on every call; a data set of lower-case words is no mistake.
        return metrics.BLEU(tokenize=self.tokenizer, force=True)


class ChineseBleu(Bleu):
    """BLEU whose words are single Chinese characters (tokenizer zh): for text without spaces."""

    name = "bleu_zh"
    tokenizer = "zh"


class Chrf(_CorpusScore):
    """F2 of one to six characters; needs no words, so it suits every language.

    Source: Popovic, chrF: character n-gram F-score for automatic MT evaluation, 2015 (https://aclanthology.org/W15-3049).
    """

    name = "chrf"

    def _create(self, metrics: Any) -> Any:
        return metrics.CHRF()


class CaptionBleu1(_CorpusScore):
    """BLEU of runs of one word, 0 to 100, words cut as captions are scored (`seqzoo.caption_scores`): lower case,
    without punctuation; a Chinese character is a word. Not smoothed.
    """

    name = "bleu_1"
    longest = 1

    def _create(self, metrics: Any) -> Any:
        return metrics.BLEU(max_ngram_order=self.longest, tokenize="none", smooth_method="none", force=True)

    def add(self, answer: str, reference: str | list[str]) -> None:
        cut = [" ".join(caption_tokens(text)) for text in (answer, *all_of(reference))]
        super().add(cut[0], cut[1:])


class CaptionBleu2(CaptionBleu1):
    """Of runs of one and two words."""

    name = "bleu_2"
    longest = 2


class CaptionBleu3(CaptionBleu1):
    """Of runs of one to three words."""

    name = "bleu_3"
    longest = 3


class CaptionBleu4(CaptionBleu1):
    """Of runs of one to four words."""

    name = "bleu_4"
    longest = 4


class RougeL(_PredictionMetric):
    """Longest common subsequence with a reference, 0 to 100; see `seqzoo.caption_scores`."""

    name = "rouge_l"

    def __init__(self) -> None:
        self.total = 0.0
        self.count = 0

    def add(self, answer: str, reference: str | list[str]) -> None:
        self.total += 100 * rouge_l(caption_tokens(answer), list(map(caption_tokens, all_of(reference))))
        self.count += 1

    def compute(self) -> float:
        return self.total / self.count if self.count else math.nan


class CiderD(_PredictionMetric):
    """Likeness to the references, 0 to 1000, where common words weigh little; see `seqzoo.caption_scores`."""

    name = "cider_d"

    def __init__(self) -> None:
        self.answers: list[list[str]] = []
        self.references: list[list[list[str]]] = []

    def add(self, answer: str, reference: str | list[str]) -> None:
        self.answers.append(caption_tokens(answer))
        self.references.append(list(map(caption_tokens, all_of(reference))))

    def compute(self) -> float:
        return 100 * sum(cider_d(self.answers, self.references)) / len(self.answers) if self.answers else math.nan


METRICS: dict[str, Callable[[], Metric]] = {
    metric.name: metric
    for metric in (
        LossNats,
        Perplexity,
        BitsPerCharacter,
        Accuracy,
        ExactMatch,
        RightLength,
        Repeats,
        MacroF1,
        SpanF1,
        MeanSquaredError,
        MeanAbsoluteError,
        NormalizedError,
        Bleu,
        ChineseBleu,
        Chrf,
        CaptionBleu1,
        CaptionBleu2,
        CaptionBleu3,
        CaptionBleu4,
        RougeL,
        CiderD,
    )
}


def create_metric(name: str) -> Metric:
    """A fresh counter. Raises ConfigError with the closest right name."""
    if name not in METRICS:
        raise ConfigError([f"There is no metric {name!r}.{closest(name, METRICS)}"])
    return METRICS[name]()


def create_metrics(names: Iterable[str]) -> list[Metric]:
    """Fresh counters in the order of their names. Raises ConfigError as `create_metric` does."""
    return [create_metric(name) for name in names]


def signatures(names: Iterable[str]) -> dict[str, str]:
    """How sacrebleu makes its scores, for those of the names that are its own: without it a score means little."""
    found = {}
    for metric in create_metrics(names):
        if isinstance(metric, _CorpusScore):
            metric.add("", "")
            metric.compute()
            found[metric.name] = metric.signature
    return found


def is_right(answer: str | list[str], reference: str | list[str]) -> bool:
    """Whether an answer is its reference, or a text among those that are right."""
    return answer in reference if isinstance(answer, str) and isinstance(reference, list) else answer == reference


def all_of(reference: str | list[str]) -> list[str]:
    """The texts that are right."""
    return [reference] if isinstance(reference, str) else reference


def _labels(answer: str | list[str], reference: str | list[str]) -> Iterator[tuple[str, str]]:
    """The labels to compare: two texts are one label each, two lists one label a step."""
    if isinstance(answer, str) and isinstance(reference, str):
        return iter([(answer, reference)])
    if isinstance(answer, str) or isinstance(reference, str):
        raise ValueError(f"One text cannot be compared with one text a step: {answer!r} and {reference!r}.")
    if len(answer) != len(reference):
        raise ValueError(f"An answer of {len(answer)} labels cannot be compared with a reference of {len(reference)}.")
    return zip(answer, reference, strict=True)


def _numbers(answer: str | list[str], reference: str | list[str]) -> Iterator[tuple[list[float], list[float]]]:
    """The vectors to compare, one a row or one a step."""
    for given, right in _labels(answer, reference):
        yield [float(number) for number in given.split()], [float(number) for number in right.split()]
