"""The options of a task that can be changed on the page, within limits that keep an answer short."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from seqzoo.configuration.experiment import Parts
from seqzoo.contracts.errors import DataError
from seqzoo.contracts.options import has, thawed, value_at
from seqzoo.runs.loaded import Loaded
from seqzoo.runs.loading import with_options

AS_TRAINED = "as trained"
"""The choice that leaves an option as it is in the run."""


class Control(NamedTuple):
    """An option that can be changed on the page.

    Attributes:
        path: of the option, below `task`.
        label: its name on the page.
        about: what its values mean.
        lowest, highest, step: of a number.
        choices: of any other option, by the name on the page; None: it is a number.
    """

    path: str
    label: str
    about: str
    lowest: float = 0
    highest: float = 0
    step: float = 1
    choices: Mapping[str, Any] | None = None

    def start(self, parts: Parts) -> Any:
        """The value or the choice that the page begins with, that of the run where it is allowed here."""
        value = thawed(value_at(parts.task, self.path))
        if self.choices is not None:
            return next((name for name, choice in self.choices.items() if choice == value), AS_TRAINED)
        return min(max(value, self.lowest), self.highest)

    def checked(self, value: Any) -> Any:
        """The value of the option for one on the page.

        Raises:
            DataError: it is none of those that the page offers.
        """
        if self.choices is not None:
            if value in self.choices:
                return self.choices[value]
        elif isinstance(value, int | float) and self.lowest <= value <= self.highest:
            return value if self.step < 1 else int(value)
        a_number = f"a number from {self.lowest:g} to {self.highest:g}"
        allowed = a_number if self.choices is None else f"one of {', '.join(self.choices)}"
        raise DataError(f"{self.label} is {value!r}: choose {allowed}")


CONTROLS = (
    Control(
        "search.temperature",
        "temperature",
        "0: always the most probable token; above 1: more varied",
        0,
        2,
        0.05,
    ),
    Control("search.max_length", "length", "largest number of tokens, or of steps of music", 1, 1000),
    Control("search.beam_size", "beam", "hypotheses that the search keeps; with temperature 0", 1, 10),
    Control(
        "acrostic",
        "acrostic",
        "where in each line the characters of the text are; none: the text is the beginning",
        choices={"none": None, "first": "first", "last": "last", **{str(place): place for place in range(2, 7)}},
    ),
    Control(
        "characters",
        "characters per line",
        "automatic: as in the first line of the text",
        choices={"automatic": None, "5": 5, "7": 7},
    ),
    Control("lines", "lines", "automatic: as many as the text needs", choices={"automatic": None, "4": 4, "8": 8}),
    Control(
        "rhyme",
        "rhyme",
        "the lines that rhyme",
        choices={"every second line": None, "1, 2 and 4": [1, 2, 4], "2 and 4": [2, 4], "none": []},
    ),
)
"""All controls; a run has those whose option its task has."""


def controls_of(loaded: Loaded) -> list[Control]:
    """The controls of a run, without that of the length where the task has a form of a given length."""
    options = loaded.config.task
    without = "search.max_length" if has(options, "lines") else ""
    return [control for control in CONTROLS if has(options, control.path) and control.path != without]


def adjusted(loaded: Loaded, values: list[Any]) -> Loaded:
    """A run with the values of its controls.

    Args:
        loaded: the run.
        values: one per control, as on the page.

    Raises:
        DataError: a value is outside the limits of its control.
        ConfigError: two values do not go together.
    """
    options: dict[str, Any] = {}
    for control, value in zip(controls_of(loaded), values, strict=True):
        if value == AS_TRAINED == control.start(loaded.config):
            continue
        group, _, name = control.path.rpartition(".")
        (options.setdefault(group, {}) if group else options)[name] = control.checked(value)
    search = options.get("search", {})
    if search.get("temperature"):  # tokens are drawn, which no beam allows
        search.pop("beam_size", None)
        if has(loaded.config.task, "search.beam_size"):
            search["beam_size"] = 1
    return with_options(loaded, options)
