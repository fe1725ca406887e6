"""Composes a plain configuration from overrides and `conf/` with Hydra, and reports all errors together.

Nothing here imports torch, so that listing names and `--help` are fast.
"""

from __future__ import annotations

import copy
import functools
import os
import pickle
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqzoo.configuration.origin import Origin, read_origin
from seqzoo.configuration.parsing import parse_each, parse_override
from seqzoo.configuration.registry import (
    CONF_DIR,
    GROUPS,
    common_help,
    file_content,
    folders,
    is_own,
    names,
    own_config_dirs,
    path_of,
    search_path,
    unknown_name,
    unreadable,
)
from seqzoo.configuration.suggestions import has_option
from seqzoo.contracts.arguments import check_argument
from seqzoo.contracts.errors import ConfigError, closest, first_line
from seqzoo.contracts.options import Options, Values

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

MISSING = "???"

WIDTH_MARK = -1
"""A width that no configuration has, to find the options that interpolate it."""

MOST_JOBS = 10_000
"""Maximum number of jobs of a sweep."""


def config_dir_arguments() -> list[str]:
    """The folders that were added, as arguments of another command."""
    return [argument for path in own_config_dirs() for argument in ("--config-dir", str(path))]


def compose(*overrides: str, defaults: Values | None = None) -> Options:
    """Compose a plain configuration with all interpolations resolved; `choices` holds the chosen names.

    Args:
        *overrides: for example "task=tagging" and "cell=gru".
        defaults: values in place of those in `conf/`, by the paths of options or the names of groups. Overrides take
            precedence, and options that the chosen components do not have are left out. Components and options that
            belong to the run of `init` are those of that run.

    Raises:
        ConfigError: all errors in the overrides.
    """
    config, mistakes = examine(*overrides, defaults=defaults)
    if mistakes or config is None:
        raise ConfigError(mistakes)
    return config


def check_overrides(overrides: Iterable[Any]) -> None:
    """Raise TypeError if an override is not a string."""
    for override in overrides:
        check_argument("an override", override, str, "a text of its own, as in 'task=tagging'")


def examine(*overrides: str, defaults: Values | None = None) -> tuple[Options | None, list[str]]:
    """`compose` that returns error messages, with the configuration from the valid overrides, instead of raising."""
    check_overrides(overrides)
    mistakes: list[str] = []
    names = [f"{path}={value}" for path, value in (defaults or {}).items() if path in GROUPS]
    groups, options = _sort_overrides((*overrides, *names), mistakes)
    values = {path: value for path, value in (defaults or {}).items() if path not in GROUPS}
    origin = _origin_of(groups, options, mistakes)
    if origin is not None:
        values |= origin.defaults
        mistakes += _contradictions(groups, origin)
    config = None
    if not any(option.is_add() or option.is_force_add() for option in options):
        config = _composed(groups, options, [], values)
    if config is None:  # again without options, to find out which of them exist
        chosen = _composed(groups, [], mistakes, values)
        if chosen is not None:
            options = [option for option in options if has_option(str(option.input_line), chosen, mistakes)]
        together: list[str] = []
        config = _composed(groups, options, together, values) if options else chosen
        if config is None and chosen is not None:
            before = len(mistakes)
            for option in options:
                _composed(groups, [option], mistakes, values)
            mistakes += together if len(mistakes) == before else []
    if config is not None:
        if config["resume"] is not None:
            mistakes.append(
                f"resume={config['resume']} has no effect here: continue a run with seqzoo.train('resume=...') or "
                "seqzoo train resume=..., and read its model with seqzoo.load"
            )
        # the output directory and the launcher are not part of the configuration
        config = {**config, "overrides": [text for text in overrides if not re.match(r"[+~]*hydra[./]", text)]}
        if origin is not None:
            config["choices"] = {**config["choices"], **origin.choices}
        elif config["init"] is not None and not mistakes:
            mistakes.append(
                f"init={config['init']} is not in the YAML of the experiment itself: give it as an override"
            )
    return config, mistakes


def _origin_of(groups: list[Override], options: list[Override], mistakes: list[str]) -> Origin | None:
    """The run that `init` names, given or in an experiment; None: there is none, or an error is added to `mistakes`."""
    init = None
    for override in (*groups, *options):
        if override.key_or_group == "experiment":
            with suppress(ConfigError):  # an unreadable file is reported where it is composed
                init = (file_content("experiment", str(override.value())) or {}).get("init")
        elif override.key_or_group == "init":
            init = override.value()
    if init is None:
        return None
    try:
        return read_origin(init)
    except ConfigError as error:
        mistakes += error.mistakes
        return None


def _contradictions(groups: list[Override], origin: Origin) -> list[str]:
    """Mistakes in names that are given although the components come from a run."""
    return [
        f"{group.input_line} contradicts init={origin.name}, which has {group.key_or_group}={taken}: leave it out"
        for group in groups
        if (taken := origin.choices.get(group.key_or_group)) not in (None, group.value())
    ]


def for_hydra(*overrides: str) -> Any:
    """The configuration as Hydra composes it for a run, from overrides without errors: an OmegaConf with Hydra's own
    section, which names the run directory.
    """
    from omegaconf import open_dict

    parsed = [parse_override(text) for text in overrides]
    config, _ = _with_values(parsed, {}, with_hydra=True)
    with open_dict(config.hydra):
        # these depend on all overrides and on the current folder, and so are not those of the cached composition
        config.hydra.overrides.task = [option.input_line for option in parsed if not option.is_hydra_override()]
        config.hydra.overrides.hydra = [option.input_line for option in parsed if option.is_hydra_override()]
        config.hydra.job.override_dirname = _folder_name(
            [option for option in parsed if not option.is_hydra_override()],
            **config.hydra.job.config.override_dirname,
        )
        config.hydra.runtime.cwd = str(Path.cwd())
    return config


def _folder_name(options: list[Override], exclude_keys: list[str], item_sep: str, kv_sep: str) -> str:
    """`hydra.job.override_dirname`: all options as the name of a folder, by Hydra's rules."""
    texts = sorted(str(option.input_line) for option in options if option.key_or_group not in exclude_keys)
    return item_sep.join(texts).replace("=", kv_sep)


def differences(before: Options, after: Options, prefix: str = "") -> dict[str, tuple[Any, Any]]:
    """The options in which two configurations differ, by path, with both values; None: not set."""
    changed: dict[str, tuple[Any, Any]] = {}
    for key in [*before, *(key for key in after if key not in before)]:
        old, new = before.get(key), after.get(key)
        parts, others = ({} if value is None else value for value in (old, new))
        if isinstance(parts, dict) and isinstance(others, dict):
            changed |= differences(parts, others, f"{prefix}{key}.")
        elif old != new:
            changed[prefix + key] = (old, new)
    return changed


def changes(config: Options, overrides: Iterable[str]) -> tuple[Values, list[str]]:
    """The values that overrides set in a resolved configuration, and error messages.

    Returns:
        The values by their paths, that of a group, such as `cell`, below `choices`.
    """
    values: dict[str, Any] = {}
    mistakes: list[str] = []
    for override in parse_each(overrides, mistakes):
        text, path = str(override.input_line), override.key_or_group
        if override.is_sweep_override() or override.is_delete() or override.package is not None or "/" in path:
            mistakes.append(f"{text!r} is not a change that a run can be continued with: write option=value")
        elif re.match(r"hydra(\.|$)", path):
            mistakes.append(f"{text!r} cannot be combined with resume=: a run continues in its own folder")
        elif path in GROUPS:
            values[f"choices.{path}"] = override.value()
        elif has_option(text, config, mistakes):
            values[path] = override.value()
    return values, mistakes


def allowances(overrides: Iterable[str]) -> list[str]:
    """The overrides that are not stored with a run for safety and must be given again to resume it."""
    return [text for text in overrides if text.lstrip("+").startswith(("allow_modules=", "allow_changed_data="))]


def merged(options: Options, changes: Options) -> Options:
    """Options updated recursively by changes."""
    both = {key: merged(options[key], new) for key, new in changes.items() if _are_groups(options.get(key), new)}
    return {**options, **changes, **both}


def _are_groups(*values: Any) -> bool:
    return all(isinstance(value, Mapping) for value in values)


def _sort_overrides(overrides: tuple[str, ...], mistakes: list[str]) -> tuple[list[Override], list[Override]]:
    """Split overrides into choices of a group and options, without those that are invalid."""
    groups, options = [], []
    for override in parse_each(overrides, mistakes):
        text, group = override.input_line, override.key_or_group
        if group == "hydra.searchpath":
            mistakes.append(f"{text!r} cannot be given on the command line: give the folder by --config-dir FOLDER")
        elif override.package is not None:
            mistakes.append(f"{text!r} has a part that seqzoo does not use: write {group}=NAME without '@...'")
        elif override.is_sweep_override():
            mistakes.append(f"{text!r} gives several values: that makes a sweep, with -m")
        elif group not in GROUPS:
            options.append(override)
        elif override.is_delete():
            mistakes.append(f"{text!r} leaves a model without its {group}: choose one with {group}=...")
        elif override.value() is None:
            mistakes.append(f"{text!r} chooses nothing: name one{closest('', names(group))}")
        elif not isinstance(override.value(), str) and (raw := str(text).partition("=")[2]) in names(group):
            mistakes.append(f"{text!r} is read as a number or a truth value: quote the name, as in \"{group}='{raw}'\"")
        else:
            try:
                path_of(group, str(override.value()))
                groups.append(override)
            except ConfigError as error:
                mistakes += error.mistakes
    return groups, options


def load(group: str, name: str) -> Options:
    """The options of a name of a group, with the defaults that its YAML includes."""
    if name not in names(group):
        raise ConfigError([unknown_name(group, name)])
    return copy.deepcopy(_alone(group, name, path_of(group, name).parent.parent, _written()))


@functools.lru_cache(maxsize=256)
def _alone(group: str, name: str, folder: Path, written: int) -> Options:
    from omegaconf import DictConfig, OmegaConf

    if group == "task":  # its YAML chooses names of other groups, too, which only a whole configuration has
        return OmegaConf.to_container(_compose_file("config", [f"task={name}"])[group])  # type: ignore[return-value]
    options = OmegaConf.load(folder / group / f"{name}.yaml")
    included = options.pop("defaults", ["_self_"]) if options and isinstance(options, DictConfig) else []
    # a data set may choose its encoder, which only a whole configuration has
    included = [
        part
        for part in included
        if not (isinstance(part, DictConfig) and str(next(iter(part))).startswith("override "))
    ]
    # plain names, as in defaults: [lstm, _self_], need no composing, which takes Hydra a tenth of a second
    if "_self_" in included and all(part == "_self_" or part in names(group) for part in included):
        parts = (options if part == "_self_" else load(group, str(part)) for part in included)
        return OmegaConf.to_container(OmegaConf.merge(*parts))  # type: ignore[return-value]
    return OmegaConf.to_container(_compose_file(f"{group}/{name}", [], folder=folder)[group])  # type: ignore[return-value]


def _compose_file(name: str, overrides: list[str], with_hydra: bool = False, folder: Path = CONF_DIR) -> Any:
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    outer = GlobalHydra.instance().hydra  # inside a Hydra job there is one already, which is restored
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(folder), version_base="1.3"):
            return hydra_compose(name, overrides=[*overrides, *search_path(folder)], return_hydra_config=with_hydra)
    finally:
        GlobalHydra.instance().hydra = outer


def _composed(groups: list[Override], options: list[Override], mistakes: list[str], defaults: Values) -> Options | None:
    """The configuration that Hydra composes from overrides, resolved, with the chosen names; None after an error."""
    from omegaconf import OmegaConf

    overrides = [*groups, *options]
    with_hydra = any(override.is_hydra_override() for override in overrides)
    try:
        config, choices = _with_values(overrides, defaults, with_hydra)
        if with_hydra:  # a mistake in these options has been found by now
            config = OmegaConf.masked_copy(config, [key for key in config if key != "hydra"])
        resolved = _resolved(config)
        return {**resolved, "same_width": _same_width(config, resolved), "choices": choices}
    except Exception as error:  # Hydra and its plugins raise exceptions of any type for invalid values
        reason = _reason(error)
        text = re.sub(r"Could not override ('.*')\.", r"there is no option \1", reason)
        if not text.startswith("there is no option"):
            given = ", ".join(repr(option.input_line) for option in options)
            text = f"{given} cannot be used: {reason}" if given else reason
        if text not in mistakes:
            mistakes.append(text)
        return None


def _with_values(overrides: list[Override], defaults: Values, with_hydra: bool) -> tuple[Any, dict[str, str]]:
    """What Hydra composes from overrides, with its own section or without, and the chosen name of each group. Defaults
    of options that do not exist are left out.

    Values are set last, as Hydra does, so that the cached composition of everything else can be reused.
    """
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import ConfigAttributeError, ConfigKeyError

    others = tuple(override.input_line for override in overrides if not _is_value(override))
    without_hydra, whole, choices = _without_values(others, tuple(folders()), _written())
    config = pickle.loads(whole if with_hydra else without_hydra)
    for path, value in defaults.items():
        with suppress(ConfigAttributeError, ConfigKeyError):
            OmegaConf.update(config, path, value, merge=not _is_component(value))
    for override in filter(_is_value, overrides):
        value = override.value()
        try:
            OmegaConf.update(config, override.key_or_group, value, merge=not _is_component(value))
        except (ConfigAttributeError, ConfigKeyError):
            raise HydraException(f"there is no option {override.key_or_group!r}") from None
    return config, dict(choices)


def _is_component(value: Any) -> bool:
    """Whether a value is another component, a mapping with a class, whose options are its own."""
    return isinstance(value, Mapping) and "class" in value


def _same_width(config: Any, resolved: Options) -> list[str]:
    """The options that a budget of the size sets: `backbone.hidden_size` and those that interpolate it."""
    from omegaconf import OmegaConf

    budget = resolved.get("budget")
    if not isinstance(budget, dict) or (budget.get("parameters"), budget.get("flops")) == (None, None):
        return []
    probe = copy.deepcopy(config)
    OmegaConf.update(probe, "backbone.hidden_size", WIDTH_MARK, force_add=True)
    changes = differences(resolved, _resolved(probe))
    return [path for path, (_, value) in changes.items() if value == WIDTH_MARK]


def _reason(error: Exception) -> str:
    """The reason for which Hydra could not use an override, in plain words."""
    import yaml

    if isinstance(error, yaml.MarkedYAMLError):
        return unreadable(error)
    text = str(error).strip()
    unknown = re.match(r"In '[^']*': Could not find '(hydra/\w+)/(.*)'", text)
    if unknown:
        listed = re.findall(r"^\t(\w+)$", text.partition("Config search path")[0], re.MULTILINE)
        return f"there is no {unknown[1]} named {unknown[2]!r}{closest(unknown[2], listed)}"
    for beginning, reason in HYDRA_REASONS.items():
        if text.startswith(beginning):
            return reason
    return first_line(error)


HYDRA_REASONS = {
    "Config group override must be": "a group takes a name, as in hydra/launcher=basic",
    "Error merging override": "Hydra takes another type of value there",
    "Invalid type assigned": "Hydra takes another type of value there",
    "Cannot convert": "Hydra takes another type of value there",
    "Could not append to config": "there is such an option already, leave out the +",
}
"""Beginnings of error messages of Hydra and OmegaConf -> plain reasons."""


def _is_value(override: Override) -> bool:
    """Whether an override only sets the value of an option."""
    from hydra.core.override_parser.types import OverrideType

    key = override.key_or_group
    changes = override.type == OverrideType.CHANGE and override.package is None
    return changes and "/" not in key and not any((folder / key).is_dir() for folder in folders())


@functools.lru_cache(maxsize=256)
def _without_values(
    overrides: tuple[str, ...], folders: tuple[Path, ...], written: int
) -> tuple[bytes, bytes, dict[str, str]]:
    """The composed configuration without and with Hydra's own section, and the chosen name of each group; cached,
    because Hydra takes a tenth of a second. They are pickled, since OmegaConf takes five times as long to copy them.

    Args:
        folders, written: cache keys: the folders, and the last change of any file in them.
    """
    from hydra.errors import ConfigCompositionException, HydraException
    from omegaconf import OmegaConf

    try:
        composed = _compose_file("config", list(overrides), with_hydra=True)
    except ConfigCompositionException as error:
        if not str(error).startswith("You must specify 'data'"):
            raise
        raise HydraException(_no_data(overrides)) from error
    choices = {group: composed.hydra.runtime.choices[group] for group in GROUPS}
    OmegaConf.set_struct(composed, False)
    _leave_out_missing(composed, choices, overrides)
    parts = OmegaConf.masked_copy(composed, [key for key in composed if key != "hydra"])
    for config in (parts, composed):
        OmegaConf.set_struct(config, True)
    return pickle.dumps(parts), pickle.dumps(composed), choices


def _leave_out_missing(config: Any, choices: dict[str, str], overrides: tuple[str, ...]) -> None:
    """Remove the options that a debugging mode sets for parts of the user's own whose YAMLs do not have them."""
    if choices["debug"] == "none":
        return
    by_mode, by_experiment = (file_content(group, choices[group]) for group in ("debug", "experiment"))
    given = {text.partition("=")[0].lstrip("+") for text in overrides}
    for group in ("data", "encoder", "backbone", "cell", "task"):
        if group in by_mode and is_own(group, choices[group]):
            known = {*load(group, choices[group]), *(option for option, _, _ in common_help(group))}
            known |= {*by_experiment.get(group, ())}
            for option in by_mode[group]:
                if option not in known and f"{group}.{option}" not in given:
                    del config[group][option]


def _no_data(overrides: tuple[str, ...]) -> str:
    """The error message for a task whose YAML names no data."""
    task = next((text for text in overrides if text.startswith("task=")), "the task")
    return (
        f"{task} has no data of its own: choose data=NAME, or write 'override /data@_global_.data: NAME' in the "
        "defaults of its YAML"
    )


def _written() -> int:
    """A number that changes whenever a YAML file is changed, added or removed."""
    files = [
        os.stat(os.path.join(parent, file))  # noqa: PTH116, PTH118 (each composition does this, for hundreds of files)
        for folder in folders()
        for parent, _, files in os.walk(folder)
        for file in files
        if file.endswith(".yaml")
    ]
    return hash(tuple((file.st_ino, file.st_mtime_ns, file.st_size) for file in files))


def _resolved(config: Any) -> Options:
    """Resolve all interpolations to plain values; an interpolation of a missing option counts as not set."""
    from omegaconf import OmegaConf
    from omegaconf.errors import InterpolationKeyError

    while True:
        try:
            return OmegaConf.to_container(config, resolve=True)  # type: ignore[return-value]
        except InterpolationKeyError as error:
            OmegaConf.update(config, str(error.full_key), MISSING)
