"""From overrides to one plain configuration: the registry in `conf/`, composed by Hydra, every mistake told at once.

Nothing here imports torch: listing names and helping with options must answer at once.
"""

from __future__ import annotations

import copy
import difflib
import fnmatch
import functools
import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from seqzoo.errors import ConfigError, closest

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

_PACKAGE = Path(__file__).resolve().parent
# in a wheel conf/ lies inside the package, in a checkout beside it
CONF_DIR = _PACKAGE / "conf" if (_PACKAGE / "conf").is_dir() else _PACKAGE.parent / "conf"
GROUPS = ("cell", "backbone", "encoder", "task", "data", "training", "experiment", "debug")
MISSING = "???"

LONGEST_OVERRIDE = 10_000
"""Characters."""
MOST_MARKS = 1_000
"""In an override, of those that make lists and mappings: Hydra takes a millisecond for each."""
MOST_JOBS = 10_000
"""Of a sweep."""


@dataclass
class Training:
    """The closed part of a configuration; `conf/training/base.yaml` says what each option does."""

    acts_with: ClassVar[dict[str, str]] = {
        "momentum": "optimizer=sgd,rmsprop",
        "betas": "optimizer=adam,adamw",
        "final_rate": "schedule=linear,cosine",
        "plateau_patience": "schedule=plateau",
        "plateau_factor": "schedule=plateau",
        "average_decay": "average=ema",
        "average_from": "average=swa",
        "nonmonotone": "average=nt_asgd",
    }

    epochs: int | None
    steps: int | None
    optimizer: Literal["adamw", "adam", "sgd", "rmsprop", "adagrad"]
    learning_rate: float
    weight_decay: float
    momentum: float
    betas: list[float]
    schedule: Literal["constant", "linear", "cosine", "plateau"]
    final_rate: float
    warmup_steps: int
    plateau_patience: int
    plateau_factor: float
    average: Literal["none", "ema", "swa", "nt_asgd"]
    average_decay: float
    average_from: float
    nonmonotone: int
    clip_norm: float | None
    clip_value: float | None
    accumulate: int
    patience: int | None
    validate_every: int | None
    log_every: int
    save_every: float
    examples: int
    diagnostics: float
    profile: int
    device: str
    precision: Literal["fp32", "bf16", "fp16"]
    threads: int | Literal["auto"]
    deterministic: bool

    def __post_init__(self) -> None:
        wrong = out_of_range(vars(self))
        if wrong:
            raise ConfigError(wrong)


AT_LEAST = {
    "epochs": 1, "steps": 1, "accumulate": 1, "patience": 1, "validate_every": 1, "log_every": 1, "threads": 1,
    "warmup_steps": 0, "plateau_patience": 0, "weight_decay": 0, "learning_rate": 0, "save_every": 0, "examples": 0,
    "profile": 0, "nonmonotone": 1,
}  # fmt: skip
SHARES = ("momentum", "final_rate", "plateau_factor", "average_decay", "average_from", "diagnostics")
POSITIVE = ("clip_norm", "clip_value")
AT_MOST = {"learning_rate": 1000, "weight_decay": 1000}


def out_of_range(training: Mapping[str, Any]) -> list[str]:
    """Mistakes in the values of a training section whose types are right; it may lack some."""
    numbers = {name: value for name, value in training.items() if isinstance(value, (int, float))}
    wrong = []
    for name, value in numbers.items():
        # written so that nan is wrong, too
        if name in AT_LEAST and not value >= AT_LEAST[name]:
            wrong.append(f"training.{name} is {value}: it must be at least {AT_LEAST[name]}")
        if name in AT_MOST and value > AT_MOST[name]:
            wrong.append(f"training.{name} is {value}: it must be at most {AT_MOST[name]:,}")
        if name in SHARES and not 0 <= value <= 1:
            wrong.append(f"training.{name} is {value}: it must lie between 0 and 1")
        if name in POSITIVE and not value > 0:
            wrong.append(f"training.{name} is {value}: it must be above 0, or null for no clipping")
    device = training.get("device", "auto")
    if device not in ("auto", "cpu") and not re.fullmatch(r"cuda(:\d+)?", device):
        wrong.append(f"training.device is {device!r}: it must be auto, cpu, cuda or cuda:NUMBER")
    betas = training.get("betas", [0.9, 0.999])
    if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
        wrong.append(f"training.betas is {betas}: it must list two numbers, each at least 0 and below 1")
    return wrong


def use_config_dir(folder: str | Path) -> None:
    """Add the names in a folder of one's own, laid out as `conf/`. Raises ConfigError where one is taken already."""
    path = Path(folder).resolve()
    if not str(folder) or not path.is_dir():
        raise ConfigError([f"--config-dir is {str(folder)!r}, which is no folder"])
    taken = [file.relative_to(path) for group in GROUPS for file in sorted((path / group).rglob("*.yaml"))]
    taken = [file for file in taken if any((other / file).is_file() for other in _folders() if other != path)]
    if taken:
        raise ConfigError(
            [f"{path / file}: there is a {file.parent} of this name already, choose another" for file in taken]
        )
    if path not in _user_dirs:
        _user_dirs.append(path)


def own_config_dirs() -> list[Path]:
    """The folders that were added."""
    return list(_user_dirs)


def config_dir_arguments() -> list[str]:
    """The folders that were added, as arguments of another command."""
    return [argument for path in _user_dirs for argument in ("--config-dir", str(path))]


_user_dirs: list[Path] = []


def search_path(primary: Path = CONF_DIR) -> list[str]:
    """The override that tells Hydra of the folders besides the one it starts from."""
    folders = ["'file://" + str(folder).replace("'", r"\'") + "'" for folder in _folders() if folder != primary]
    return [f"hydra.searchpath=[{','.join(folders)}]"] if folders else []


def _folders() -> list[Path]:
    return [CONF_DIR, *_user_dirs]


def names(group: str, pattern: str = "*") -> list[str]:
    """The names of a group of `conf/` that match a wildcard; folders inside a group hold aliases and are left out."""
    found = {path.stem for folder in _folders() for path in (folder / group).glob("*.yaml")}
    return sorted(name for name in found if fnmatch.fnmatch(name, pattern))


def summary(group: str, name: str) -> str:
    """The first comment of a YAML that is not Hydra's own."""
    for line in _path(group, name).read_text(encoding="utf-8").splitlines():
        if line.startswith("# ") and not line.startswith("# @"):
            return line[2:]
    return ""


def option_help(group: str, name: str) -> list[tuple[str, str, str]]:
    """(option, default, what it does) of a YAML and of those it builds on, from their comments."""
    from omegaconf import OmegaConf

    text = _path(group, name).read_text(encoding="utf-8")
    options: dict[str, tuple[str, str]] = {}
    for parent in OmegaConf.to_container(OmegaConf.create(text)).get("defaults", []):  # type: ignore[union-attr]
        if isinstance(parent, str) and parent != "_self_":
            parent = parent.removeprefix(f"/{group}/").removesuffix("@_here_")
            options.update((key, (default, what)) for key, default, what in option_help(group, parent))
    for key, (default, what) in _commented(text).items():
        options[key] = (default, what or options.get(key, ("", ""))[1])
    return [(key, default, what) for key, (default, what) in options.items()]


def common_help(group: str) -> list[tuple[str, str, str]]:
    """As `option_help`, of the options that `conf/config.yaml` gives to every name of a group."""
    options = _commented((CONF_DIR / "config.yaml").read_text(encoding="utf-8"))
    return [
        (key.removeprefix(f"{group}."), default, what)
        for key, (default, what) in options.items()
        if key.startswith(f"{group}.")
    ]


def every_option(group: str, name: str) -> list[tuple[str, str, str]]:
    """`option_help` and `common_help`; what a name says of an option that all of its group have is what counts."""
    own = option_help(group, name)
    said = {option for option, _, _ in own}
    return [*own, *(option for option in common_help(group) if option[0] not in said)]


def _commented(text: str) -> dict[str, tuple[str, str]]:
    """The default and the comment of each option of a YAML's text, by its path."""
    options: dict[str, tuple[str, str]] = {}
    above: list[str] = []
    for line in text.splitlines():
        match = re.match(r"^( *)(\w+):(?: +([^#]*?))?(?: +# ?(.*))?$", line)
        if match and not (match[2] in ("defaults", "class") and not match[1]):
            depth = len(match[1]) // 2
            above = [*above[:depth], match[2]]
            key = ".".join(above)
            options[key] = ((match[3] or "").strip(), match[4] or "")
    return options


def compose(*overrides: str) -> dict[str, Any]:
    """One plain configuration, resolved, with the names that were chosen under `choices`.

    Raises ConfigError with every mistake in the overrides.
    """
    config, mistakes = examine(*overrides)
    if mistakes or config is None:
        raise ConfigError(mistakes)
    return config


def examine(*overrides: str) -> tuple[dict[str, Any] | None, list[str]]:
    """As `compose`, with the mistakes as sentences beside what the overrides without them give."""
    mistakes: list[str] = []
    groups, options = _sort_overrides(overrides, mistakes)
    config = None
    if not any(option.is_add() or option.is_force_add() for option in options):
        config = _composed(groups, options, [])
    if config is None:  # again, first without options, to tell which of them there are
        chosen = _composed(groups, [], mistakes)
        if chosen is not None:
            options = [option for option in options if _exists(option.input_line, chosen, mistakes)]
        together: list[str] = []
        config = _composed(groups, options, together) if options else chosen
        if config is None and chosen is not None:
            before = len(mistakes)
            for option in options:
                _composed(groups, [option], mistakes)
            mistakes += together if len(mistakes) == before else []
    if config is not None:
        # where a run lies, and who launches it, are no part of what it is
        config["overrides"] = [text for text in overrides if not re.match(r"[+~]*hydra[./]", text)]
    return config, mistakes


def differences(before: dict[str, Any], after: dict[str, Any], prefix: str = "") -> dict[str, tuple[Any, Any]]:
    """The options, by their path, in which two configurations differ, and both values; None where there is none."""
    found: dict[str, tuple[Any, Any]] = {}
    for key in [*before, *(key for key in after if key not in before)]:
        old, new = before.get(key), after.get(key)
        parts, others = ({} if value is None else value for value in (old, new))
        if isinstance(parts, dict) and isinstance(others, dict):
            found |= differences(parts, others, f"{prefix}{key}.")
        elif old != new:
            found[prefix + key] = (old, new)
    return found


def changes(config: dict[str, Any], overrides: Iterable[str]) -> tuple[dict[str, Any], list[str]]:
    """What overrides ask for of a configuration that is resolved already, and their mistakes as sentences.

    Returns:
        The values by their paths, that of a group, such as `cell`, below `choices`.
    """
    values: dict[str, Any] = {}
    mistakes: list[str] = []
    for text in overrides:
        try:
            override = _parsed(text)
        except ConfigError as error:
            mistakes += error.mistakes
            continue
        path = override.key_or_group
        if override.is_sweep_override() or override.is_delete() or override.package is not None or "/" in path:
            mistakes.append(f"{text!r} is not a change that a run can be continued with: write option=value")
        elif re.match(r"hydra(\.|$)", path):
            mistakes.append(f"{text!r} does not go with resume=: a run is continued in its own folder")
        elif path in GROUPS:
            values[f"choices.{path}"] = override.value()
        elif _exists(text, config, mistakes):
            values[path] = override.value()
    return values, mistakes


def allowances(overrides: list[str]) -> list[str]:
    """Those overrides that a run cannot give itself: whoever continues it gives them again."""
    return [text for text in overrides if text.lstrip("+").startswith(("allow_modules=", "allow_changed_data="))]


def merged(options: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Options with some changed; of a group, those that are named."""
    both = {key: merged(options[key], new) for key, new in changes.items() if _are_groups(options.get(key), new)}
    return {**options, **changes, **both}


def _are_groups(*values: Any) -> bool:
    return all(isinstance(value, dict) for value in values)


def jobs(*overrides: str) -> list[list[str]]:
    """The jobs of a sweep: every combination of the values that its overrides list."""
    choices = [values(text) for text in overrides]
    if math.prod(map(len, choices)) > MOST_JOBS:
        raise ConfigError([f"the sweep has more than {MOST_JOBS:,} jobs: vary fewer options, or fewer values"])
    return [list(job) for job in itertools.product(*choices)]


def varied(*overrides: str) -> list[str]:
    """The options that a sweep varies."""
    return [override.get_key_element() for override in map(sweeping, overrides) if override is not None]


def sweeping(text: str) -> Any:
    """An override with several values, as Hydra reads it; None for any other."""
    try:
        override = _parsed(text)
    except ConfigError:
        return None  # whoever reads it says what is wrong
    return override if override.is_sweep_override() else None


def values(text: str) -> list[str]:
    """The overrides that one with several values stands for."""
    from hydra.core.override_parser.types import Glob

    override = sweeping(text)
    if override is None:
        return [text]
    value, key = override.value(), override.get_key_element()
    if isinstance(value, Glob):
        return [f"{key}={name}" for name in value.filter(names(key))] or [text]
    chosen = itertools.islice(override.sweep_string_iterator(), MOST_JOBS + 1)
    return [f"{key}={value}" for value in chosen]


def _path(group: str, name: str) -> Path:
    is_name = isinstance(name, str) and re.fullmatch(r"(default/)?[\w-]{1,100}", name)
    for folder in _folders() if is_name else ():
        if (folder / group / f"{name}.yaml").is_file():
            return folder / group / f"{name}.yaml"
    raise ConfigError([_no_name(group, name)])


def _no_name(group: str, name: str) -> str:
    return f"there is no {group} named {name!r}.{closest(name, names(group))}"


def _parsed(text: str) -> Override:
    """An override as Hydra reads it. Raises ConfigError where it cannot, with the same override in quotes where that
    would help.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    if len(text) > LONGEST_OVERRIDE or sum(map(text.count, ",:[]{}()")) > MOST_MARKS:
        raise ConfigError([f"{text!r} is too long: an override has at most {LONGEST_OVERRIDE:,} characters"])
    parse = OverridesParser.create().parse_override
    try:
        return parse(text)
    except (HydraException, ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        reason = re.sub(r" expecting .*", "", reason)  # the names of the grammar's tokens
    key, equals, value = text.partition("=")
    if key.startswith("-"):
        raise ConfigError([f"{text!r} is not an option: options have no dashes, as in task=tagging"])
    if not equals or not re.fullmatch(r"[+~]{0,2}[\w./@:-]+", key):
        raise ConfigError([f"{text!r} is not an override: write option=value"])
    advice = ""
    if value.isprintable() and not re.fullmatch(r"[-+\d_]+", value):
        mark = '"' if "'" in value else "'"
        escaped = value.replace("\\", "\\\\").replace(mark, f"\\{mark}")
        around = "'" if mark == '"' else '"'  # for the shell
        advice = f": quote it, {around}{key}={mark}{escaped}{mark}{around}"
    raise ConfigError([f"{key} is {value!r}, which cannot be read as a value ({reason}){advice}"])


def _sort_overrides(overrides: tuple[str, ...], mistakes: list[str]) -> tuple[list[Override], list[Override]]:
    """Split overrides into choices of a group and the rest, leaving out what cannot be read or does not exist."""
    groups, options = [], []
    for text in overrides:
        try:
            override = _parsed(text)
        except ConfigError as error:
            mistakes += error.mistakes
            continue
        group = override.key_or_group
        if group == "hydra.searchpath":
            mistakes.append(f"{text!r} is not for a command line: name the folder with --config-dir FOLDER")
        elif override.package is not None:
            mistakes.append(f"{text!r} names a package of Hydra's: write {group}=... without it")
        elif override.is_sweep_override():
            mistakes.append(f"{text!r} gives several values: that makes a sweep, with -m")
        elif group not in GROUPS:
            options.append(override)
        elif override.is_delete():
            mistakes.append(f"{text!r} leaves a model without its {group}: choose one with {group}=...")
        else:
            try:
                _path(group, str(override.value()))
                groups.append(override)
            except ConfigError as error:
                mistakes += error.mistakes
    return groups, options


def _exists(override: str, config: dict[str, Any], mistakes: list[str]) -> bool:
    """Whether the chosen configuration has an option. `+` may add one inside a group, whose class checks it."""
    key = override.split("=", 1)[0].lstrip("~+")
    if key.startswith(("hydra.", "hydra/")):
        return True
    node: Any = {name: value for name, value in config.items() if name != "choices"}
    path = key.split(".")
    for depth, part in enumerate(path[:1] if override.startswith("+") else path):
        if not isinstance(node, dict):
            mistakes.append(f"{key}: {'.'.join(path[:depth])} has no options below it")
            return False
        if part not in node:
            advice = _advice(part, node, path[:depth], config)
            if "class" in node and depth > 1:  # only the options most asked for are written out
                advice += f" If its class has it, add it: +{override}"
            mistakes.append(f"there is no option {key!r}{advice}")
            return False
        node = node[part]
    return True


OTHER_NAMES = {
    "lr": "learning_rate", "bs": "batch_size", "wd": "weight_decay", "optim": "optimizer", "scheduler": "schedule",
    "max_steps": "steps", "max_epochs": "epochs", "clip": "clip_norm", "grad_clip": "clip_norm", "amp": "precision",
    "gpu": "device", "early_stopping": "patience", "hidden": "hidden_size", "hidden_dim": "hidden_size",
    "units": "hidden_size", "d_model": "hidden_size", "layers": "num_layers", "n_layers": "num_layers",
    "embedding_dim": "embedding_size", "model": "cell", "rnn": "cell", "vocab_size": "vocabulary_size",
}  # fmt: skip
"""What other programs call an option."""


def _advice(name: str, node: dict[str, Any], above: list[str], config: dict[str, Any]) -> str:
    """The option that may have been meant by a name that a group of options does not have, for the end of a sentence.

    node: the options of that group; above: its path.
    """
    wanted = OTHER_NAMES.get(name, name)
    everywhere = [path for group, options in config.items() if group != "choices" for path in _paths({group: options})]
    here = [path for path in everywhere if path.startswith("".join(f"{part}." for part in above))]
    if len(above) > 1:  # a component inside another one has a class of its own
        everywhere = here
    for paths in (here, everywhere):
        same = sorted((path for path in paths if path.rpartition(".")[2] == wanted), key=lambda path: path.count("."))
        same = [path for path in same if path.count(".") == same[0].count(".")]
        if same:
            return f": it is {' or '.join(map(repr, same[:3]))}."
    near_here = difflib.get_close_matches(name, node, n=1, cutoff=0.6)
    ends = {path.rpartition(".")[2]: path for path in sorted(everywhere, key=lambda path: -path.count("."))}
    near = [] if near_here else difflib.get_close_matches(name, ends, n=1, cutoff=0.7)
    if near:
        return f". Did you mean {ends[near[0]]!r}?"
    return f".{closest(name, [option for option in node if option != 'class'])}"


def _paths(options: dict[str, Any], above: str = "") -> Iterator[str]:
    """The paths of options and of those in their groups."""
    for name, value in options.items():
        yield f"{above}{name}"
        if isinstance(value, dict):
            yield from _paths(value, f"{above}{name}.")


def load(group: str, name: str) -> dict[str, Any]:
    """The options of one name alone, with those it builds on."""
    if name not in names(group):
        raise ConfigError([_no_name(group, name)])
    return copy.deepcopy(_alone(group, name, _path(group, name).parent.parent, _written()))


@functools.lru_cache(maxsize=256)
def _alone(group: str, name: str, folder: Path, written: int) -> dict[str, Any]:
    from omegaconf import OmegaConf

    return OmegaConf.to_container(_compose_file(f"{group}/{name}", [], folder=folder)[group])  # type: ignore[return-value]


def _compose_file(name: str, overrides: list[str], with_hydra: bool = False, folder: Path = CONF_DIR) -> Any:
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    register_resolvers()
    outer = GlobalHydra.instance().hydra  # inside a Hydra job there is one already, and it comes back
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(folder), version_base="1.3"):
            return hydra_compose(name, overrides=[*overrides, *search_path(folder)], return_hydra_config=with_hydra)
    finally:
        GlobalHydra.instance().hydra = outer


def _composed(groups: list[Override], options: list[Override], mistakes: list[str]) -> dict[str, Any] | None:
    """What Hydra composes of overrides, resolved, with the names that were chosen; None where there is a mistake.

    Values are put in as Hydra does, after all else, so that what else there is need not be composed again for each.
    """
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import ConfigAttributeError, ConfigKeyError

    others = tuple(option.input_line for option in [*groups, *options] if not _is_value(option))
    try:
        config, choices = _without_values(others, tuple(_folders()), _written())
        config = copy.deepcopy(config)
        for option in filter(_is_value, options):
            value = option.value()
            # a mapping with a class is another component, whose options are its own
            merge = not (isinstance(value, dict) and "class" in value)
            try:
                OmegaConf.update(config, option.key_or_group, value, merge=merge)
            except (ConfigAttributeError, ConfigKeyError):
                raise HydraException(f"there is no option {option.key_or_group!r}") from None
        return {**_resolved(config), "choices": dict(choices)}
    except Exception as error:  # what Hydra and its plugins raise for a value that they cannot use is of any kind
        reason = _in_words(error)
        text = re.sub(r"Could not override ('.*')\.", r"there is no option \1", reason)
        if not text.startswith("there is no option"):
            given = ", ".join(repr(option.input_line) for option in options)
            text = f"{given} cannot be used: {reason}" if given else reason
        if text not in mistakes:
            mistakes.append(text)
        return None


def _in_words(error: Exception) -> str:
    """Why Hydra could not use an override."""
    text = str(error).strip()
    unknown = re.match(r"In '[^']*': Could not find '(hydra/\w+)/(.*)'", text)
    if unknown:
        listed = re.findall(r"^\t(\w+)$", text.partition("Config search path")[0], re.MULTILINE)
        return f"there is no {unknown[1]} named {unknown[2]!r}.{closest(unknown[2], listed)}"
    for beginning, reason in HYDRA_REASONS.items():
        if text.startswith(beginning):
            return reason
    return text.splitlines()[0] if text else type(error).__name__


HYDRA_REASONS = {
    "Config group override must be": "it takes a name, as in hydra/launcher=basic",
    "Error merging override": "Hydra takes another type of value there",
    "Could not append to config": "there is such an option already, leave out the +",
}
"""What Hydra says of an override it cannot use begins so -> in words that fit a sentence about it."""


def _is_value(override: Override) -> bool:
    """Whether an override gives a value to an option of ours, and does nothing else."""
    from hydra.core.override_parser.types import OverrideType

    key = override.key_or_group
    changes = override.type == OverrideType.CHANGE and override.package is None
    ours = key.partition(".")[0] != "hydra" and "/" not in key
    return changes and ours and not any((folder / key).is_dir() for folder in _folders())


@functools.lru_cache(maxsize=256)
def _without_values(overrides: tuple[str, ...], folders: tuple[Path, ...], written: int) -> tuple[Any, dict[str, str]]:
    """What Hydra composes in a tenth of a second: the configuration, and the name that was chosen of each group.

    folders, written: what was read, and when it was last changed, so that a file which is edited is read again.
    """
    from hydra.errors import HydraException, MissingConfigException
    from omegaconf import OmegaConf

    try:
        composed = _compose_file("config", list(overrides), with_hydra=True)
    except MissingConfigException as error:
        raise HydraException(_missing_defaults(error, overrides)) from error
    own = OmegaConf.masked_copy(composed, [key for key in composed if key != "hydra"])
    OmegaConf.set_struct(own, True)
    return own, {group: real_name(group, composed.hydra.runtime.choices[group]) for group in GROUPS}


def _missing_defaults(error: Exception, overrides: tuple[str, ...]) -> str:
    """What a task of one's own lacks where it does not say what it runs with; what Hydra says of another file."""
    chosen = dict(text.partition("=")[::2] for text in overrides)
    task = chosen.get("task", "")
    expected = {group: f"{group}/default/{task}.yaml" for group in ("backbone", "encoder", "data")}
    expected["training"] = f"training/{task}.yaml"
    missing = {
        group: file
        for group, file in expected.items()
        if group not in chosen and not any((folder / file).is_file() for folder in _folders())
    }
    if not task or not missing:
        return str(error)
    choices = " ".join(f"{group}=NAME" for group in missing)
    names, files = ", ".join(missing), ", ".join(missing.values())
    return f"task={task} has no default {names}: choose them ({choices}), or write {files}"


def _written() -> int:
    """Another number whenever a YAML was changed, added or removed."""
    files = [path.stat() for folder in _folders() for path in folder.rglob("*.yaml")]
    return hash(tuple((file.st_ino, file.st_mtime_ns, file.st_size) for file in files))


def _resolved(config: Any) -> dict[str, Any]:
    """Plain values. An option that takes its value from one that is not there counts as not set."""
    from omegaconf import OmegaConf
    from omegaconf.errors import InterpolationKeyError

    while True:
        try:
            return OmegaConf.to_container(config, resolve=True)  # type: ignore[return-value]
        except InterpolationKeyError as error:
            OmegaConf.update(config, error.full_key, MISSING)


def real_name(group: str, name: str) -> str:
    """The name that an alias such as default/tagging stands for."""
    if "/" not in name:
        return name
    match = re.search(rf"/{group}/([\w-]+)@", _path(group, name).read_text(encoding="utf-8"))
    return match.group(1) if match else name


def register_resolvers() -> None:
    """What `conf/config.yaml` needs to name run directories."""
    from omegaconf import OmegaConf

    def run_name(data: str, cell: str, backbone: str) -> str:
        named = {"data": data, "cell": cell, "backbone": backbone}
        return "_".join(real_name(group, str(name)) for group, name in named.items())

    OmegaConf.register_new_resolver("run_name", run_name, replace=True)
