"""Chinese poems of a given form: number and length of lines, beginning or acrostic, and rhymes.

The form is a constraint on decoding, so that every poem has it, however the model was trained (as in Ghazvininejad et
al., Generating Topical Poetry, 2016, https://aclanthology.org/D16-1126).
"""

from __future__ import annotations

import functools
import re
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from seqzoo.contracts.batch import UNKNOWN, Batch
from seqzoo.contracts.errors import DataError
from seqzoo.contracts.spec import DataSpec
from seqzoo.contracts.verse_notation import FRAME, RHYMES, Form, lines_of, rhymes_of
from seqzoo.tasks.decoding import Template
from seqzoo.tasks.decoding.search_options import LEAVE_OUT
from seqzoo.tasks.language_modeling import LanguageModeling

SHORTEST = 4  # default number of lines
SHOWN = (Form(5, 4), Form(7, 4), Form(5, 8))  # forms of the samples in the log
HEADER = re.compile(r"(\d+)x(\d+)")


class Verse(LanguageModeling):
    """A language model of texts in `seqzoo.contracts.verse_notation` that answers with whole poems.

    Args:
        feature_size: width of the backbone's outputs.
        spec: the specification of the data.
        acrostic: None: a text is the beginning of a poem. Otherwise each line has one character of the text: as its
            "first" or "last" one, or at this position, from 1.
        characters: characters per line; None: as in the first line of the text, 5 or 7; 5 for an acrostic.
        lines: lines per poem; None: an even number that holds the text, at least 4.
        rhyme: the lines that rhyme, from 1; None: every second one.
        repeat: allow a character to occur more than once in a poem.
        options: further options of `LanguageModeling`; options of `search` that constrain texts are rejected.

    Raises:
        ValueError: an option is out of its range, or the training text is not in the notation.
    """

    def __init__(
        self,
        feature_size: int,
        spec: DataSpec,
        acrostic: Literal["first", "last"] | int | None = None,
        characters: int | None = None,
        lines: int | None = None,
        rhyme: list[int] | None = None,
        repeat: bool = False,
        **options: Any,
    ):
        super().__init__(feature_size, spec, **options)
        if self.search.asks_for_a_form:
            raise ValueError(f"a poem has a form of its own: {LEAVE_OUT}")
        for name, value in (("characters", characters), ("lines", lines)):
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}: it is at least 1")
        if rhyme != []:
            try:
                rhymes_of("詩")
            except DataError as error:
                raise ValueError(f"rhyme: {error}. Or leave rhymes out by task.rhyme=[]") from None
        missing = [mark for mark in FRAME if spec.inputs is not None and spec.inputs.encode(mark) == [UNKNOWN]]
        if missing:
            raise ValueError(
                f"the training text has no {missing}: task=verse reads poems as data=tang_poetry writes them"
            )
        self.acrostic, self.characters, self.lines = acrostic, characters, lines
        self.rhyme, self.repeat = rhyme, repeat

    def prompt(self, text: str) -> str:
        """The text as the model reads it.

        Raises:
            DataError: the text has characters outside the vocabulary.
        """
        unknown = [c for line in lines_of(text) for c in line if self.spec.input_codec.encode(c) == [UNKNOWN]]
        if unknown:
            raise DataError(
                f"the model does not know {' '.join(dict.fromkeys(unknown))}: write the characters of its poems, "
                "which for Tang poems are traditional ones"
            )
        return super().prompt(text)

    def form(self, batch: Batch) -> tuple[Batch, Tensor, Template]:
        forms, template = self.plan(self._texts(batch), batch.inputs.device)
        # the model reads only the form; the given characters are generated under the constraint like all others
        read = self._read([f"\n{form.header}" for form in forms], batch.inputs.device)
        return read, batch.lengths.new_tensor([len(places) for places in template.places]), template

    def plan(self, texts: list[str], device: torch.device | None = None) -> tuple[list[Form], Template]:
        """The form of the poem for each text.

        Args:
            texts: beginnings or acrostics.
            device: of the constraint.

        Returns:
            The forms, and the constraint on the poems.

        Raises:
            DataError: a text does not fit into its form, or no poem can satisfy it.
        """
        planned = [self._places(text) for text in texts]
        rhyming = [[(line + 1) * (form.characters + 1) - 2 for line in self._rhyming(form)] for form, _ in planned]
        free, endings = (table.to(device) for table in self._character_tables)
        template = Template(
            [places for _, places in planned],
            free.expand(len(texts), -1),
            not self.repeat,
            rhyming,
            endings,
            texts,
            self.spec.input_codec.decode,
        )
        return [form for form, _ in planned], template

    def _places(self, text: str) -> tuple[Form, list[int | None]]:
        """The form of a poem, and the token at each position; None: a free position."""
        header = HEADER.search(text)
        requested = Form(int(header[1]), int(header[2])) if header else None
        lines = lines_of(text[header.end() :] if header else text)
        length = self.characters or (requested.characters if requested else self._line_length(lines))
        given = self._given(text, lines, length)
        needed = max(given)[0] + 1 if given else 0
        form = Form(length, self.lines or (requested.lines if requested else max(SHORTEST, needed + needed % 2)))
        if needed > form.lines:
            raise DataError(f"{text!r} needs {needed} lines, more than lines={form.lines}")
        places: list[int | None] = []
        for line in range(form.lines):
            characters = [given.get((line, column)) for column in range(length)]
            places += [None if character is None else self._ids(character)[0] for character in characters]
            places += self._ids(form.mark(line))
        return form, places

    def _line_length(self, lines: list[str]) -> int:
        """The number of characters per line of a poem with these given lines."""
        if self.acrostic is not None or not lines:
            return 5
        return 7 if len(lines[0]) == 6 or len(lines[0]) % 7 == 0 else 5

    def _given(self, text: str, lines: list[str], length: int) -> dict[tuple[int, int], str]:
        """The given characters by line and column."""
        characters = "".join(lines)
        if self.acrostic is None:
            for part in lines[:-1]:
                if len(part) % length:
                    raise DataError(f"{text!r}: {part!r} has {len(part)} characters, where a line has {length}")
            return {divmod(number, length): character for number, character in enumerate(characters)}
        place = {"first": 1, "last": length}.get(str(self.acrostic)) or int(self.acrostic)
        if not 1 <= place <= length:
            raise DataError(f"acrostic is {place}: a line has {length} characters, the first one is 1")
        return {(number, place - 1): character for number, character in enumerate(characters)}

    def _rhyming(self, form: Form) -> list[int]:
        """The lines that rhyme, from 0; none if there would be only one."""
        chosen = sorted(set(range(2, form.lines + 1, 2) if self.rhyme is None else self.rhyme))
        for line in chosen:
            if not 1 <= line <= form.lines:
                raise DataError(f"rhyme names line {line}: the poem has {form.lines} lines, the first one is 1")
        return [line - 1 for line in chosen] if len(chosen) > 1 else []

    def _ids(self, text: str) -> list[int]:
        """The ids of a text, without unknown tokens."""
        return [token for token in self.spec.input_codec.encode(text) if token != UNKNOWN]

    def _texts(self, batch: Batch) -> list[str]:
        """The given text of each poem."""
        rows = zip(batch.inputs.tolist(), batch.lengths.tolist(), strict=True)
        known = ([token for token in row[:length] if token != UNKNOWN] for row, length in rows)
        return [self.spec.input_codec.decode(row).strip() for row in known]

    @functools.cached_property
    def _character_tables(self) -> tuple[Tensor, Tensor]:
        """Which tokens are characters of verse, (V,), and the rhymes of each, (V, C)."""
        texts = [self.spec.input_codec.decode([token]) for token in range(self.spec.input_size)]
        free = torch.tensor([lines_of(text) == [text] and len(text) == 1 and not text.isascii() for text in texts])
        rhymes = torch.zeros(len(texts), len(RHYMES), dtype=torch.bool)
        if self.rhyme != []:
            for token in free.nonzero()[:, 0].tolist():
                rhymes[token, list(rhymes_of(texts[token]))] = True
        return free, rhymes

    def samples(self, batch: Batch, count: int) -> Batch:
        """Forms without given characters, as far as the vocabulary has enough rhymes for them."""
        headers = [form.header for form in SHOWN if self._can_write(form)][:count]
        return self._read(headers, batch.inputs.device) if headers else batch.first(0)

    def _can_write(self, form: Form) -> bool:
        try:
            self.plan([form.header])
        except DataError:
            return False
        return UNKNOWN not in self.spec.input_codec.encode(form.header)

    def _read(self, texts: list[str], device: torch.device) -> Batch:
        rows = [torch.tensor(self._ids(text), device=device) for text in texts]
        return Batch(pad_sequence(rows, batch_first=True), torch.tensor([len(row) for row in rows], device=device))
