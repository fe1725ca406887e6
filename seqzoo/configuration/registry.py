"""The names in `conf/` and in folders of the user, and the documentation of options in their YAML files."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqzoo.contracts.errors import ConfigError, closest
from seqzoo.contracts.options import Options

if TYPE_CHECKING:
    from yaml import MarkedYAMLError

_PACKAGE = Path(__file__).resolve().parents[1]


# in a wheel conf/ is inside the package, in a checkout beside it
CONF_DIR = _PACKAGE / "conf" if (_PACKAGE / "conf").is_dir() else _PACKAGE.parent / "conf"


GROUPS = ("cell", "backbone", "encoder", "task", "data", "learning", "training", "experiment", "debug")


def use_config_dir(folder: str | Path) -> None:
    """Add the names of a user-defined folder with the structure of `conf/`.

    Args:
        folder: the folder.

    Raises:
        ConfigError: it is not a folder, or a name exists already.
    """
    path = Path(folder).resolve()
    if not str(folder) or not path.is_dir():
        raise ConfigError([f"--config-dir is {str(folder)!r}, which is not a folder"])
    taken = [file.relative_to(path) for group in GROUPS for file in sorted((path / group).glob("*.yaml"))]
    taken = [file for file in taken if any((other / file).is_file() for other in folders() if other != path)]
    if taken:
        raise ConfigError(
            [f"{path / file}: there is a {file.parent} of this name already, choose another" for file in taken]
        )
    if path not in _user_dirs:
        _user_dirs.append(path)


def own_config_dirs() -> list[Path]:
    """The folders that the user added."""
    return list(_user_dirs)


_user_dirs: list[Path] = []


def search_path(primary: Path = CONF_DIR) -> list[str]:
    """The override with Hydra's search path for all other folders."""
    others = ["'file://" + str(folder).replace("'", r"\'") + "'" for folder in folders() if folder != primary]
    return [f"hydra.searchpath=[{','.join(others)}]"] if others else []


def folders() -> list[Path]:
    """`conf/` and the folders that the user added."""
    return [CONF_DIR, *_user_dirs]


def names(group: str, pattern: str = "*") -> list[str]:
    """The names of a group of `conf/` that match a wildcard."""
    stems = {path.stem for folder in folders() for path in (folder / group).glob("*.yaml")}
    return sorted(name for name in stems if fnmatch.fnmatch(name, pattern))


def summary(group: str, name: str) -> str:
    """The first comment of a YAML file, without directives of Hydra."""
    for line in path_of(group, name).read_text(encoding="utf-8").splitlines():
        if line.startswith("# ") and not line.startswith("# @"):
            return line[2:]
    return ""


def option_help(group: str, name: str) -> list[tuple[str, str, str]]:
    """(option, default, description) from the comments of a YAML file and of its defaults."""
    import yaml
    from omegaconf import OmegaConf

    path = path_of(group, name)
    text = path.read_text(encoding="utf-8")
    options: dict[str, tuple[str, str]] = {}
    try:
        config: Any = OmegaConf.to_container(OmegaConf.create(text))
    except yaml.MarkedYAMLError as error:
        raise ConfigError([unreadable(error, path)]) from None
    for parent in config.get("defaults", []):
        if isinstance(parent, str) and parent != "_self_":
            parent = parent.removeprefix(f"/{group}/").removesuffix("@_here_")
            options.update((key, (default, what)) for key, default, what in option_help(group, parent))
    for key, (default, what) in _commented(text).items():
        options[key] = (default, what or options.get(key, ("", ""))[1])
    return [(key, default, what) for key, (default, what) in options.items()]


def unreadable(error: MarkedYAMLError, path: Path | None = None) -> str:
    """The sentence for a file that is no YAML. path: of the file, where the error does not know it."""
    mark = error.problem_mark or error.context_mark
    where = path or (mark and mark.name)
    line = "" if mark is None else f":{mark.line + 1}"
    return f"{where}{line}: this is not YAML ({error.problem or error.context}): correct the line"


def common_help(group: str) -> list[tuple[str, str, str]]:
    """`option_help` for the options that `conf/config.yaml` adds to every name of a group."""
    options = _commented((CONF_DIR / "config.yaml").read_text(encoding="utf-8"))
    return [
        (key.removeprefix(f"{group}."), default, what)
        for key, (default, what) in options.items()
        if key.startswith(f"{group}.")
    ]


def general_options() -> tuple[list[str], list[str]]:
    """The options of `conf/config.yaml` that belong to no group, and the groups of options, in conf/ or not."""
    paths = [path.split(".") for path in _commented((CONF_DIR / "config.yaml").read_text(encoding="utf-8"))]
    above = {parts[0] for parts in paths if len(parts) > 1}
    single = [parts[0] for parts in paths if len(parts) == 1 and parts[0] not in {*above, *GROUPS}]
    return single, sorted({*above, *GROUPS} - {"hydra", "experiment", "debug"})


def every_option(group: str, name: str) -> list[tuple[str, str, str]]:
    """`option_help` and `common_help`; the description of a name takes precedence over that of its group."""
    of_name = option_help(group, name)
    described = {option for option, _, _ in of_name}
    return [*of_name, *(option for option in common_help(group) if option[0] not in described)]


def having(group: str) -> dict[str, list[str]]:
    """The options of the YAML files of a group -> the names of the files; of an option that some of them require, such
    as the file that data are read from, only these.
    """
    owners: dict[str, list[str]] = {}
    required: dict[str, list[str]] = {}
    for name in names(group):
        for option, (default, _) in _commented(path_of(group, name).read_text(encoding="utf-8")).items():
            owners.setdefault(option, []).append(name)
            if default == "???":
                required.setdefault(option, []).append(name)
    return owners | required


def _commented(text: str) -> dict[str, tuple[str, str]]:
    """The default and the comment of each option in the text of a YAML file, by path."""
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


def path_of(group: str, name: str) -> Path:
    """The YAML file of a name. Raises ConfigError if there is none."""
    is_name = isinstance(name, str) and re.fullmatch(r"[\w-]{1,100}", name)
    for folder in folders() if is_name else ():
        if (folder / group / f"{name}.yaml").is_file():
            return folder / group / f"{name}.yaml"
    raise ConfigError([unknown_name(group, name)])


def file_content(group: str, name: str) -> Options:
    """The options in the YAML file of a name, without those of its defaults."""
    from omegaconf import OmegaConf

    return OmegaConf.to_container(OmegaConf.load(path_of(group, name)))  # type: ignore[return-value]


def sets(group: str, name: str) -> tuple[dict[str, str], set[str]]:
    """What the YAML of an experiment or a debugging mode sets, with those of the same group that it includes.

    Returns:
        The names that it chooses by group, and the paths of its options.
    """
    content = file_content(group, name) or {}
    choices: dict[str, str] = {}
    paths: set[str] = set()
    for part in content.get("defaults", []):
        if isinstance(part, dict):
            choices |= {key.removeprefix("override").strip(" /"): chosen for key, chosen in part.items()}
        elif part != "_self_":
            included, options = sets(group, part)
            choices, paths = choices | included, paths | options
    own = {name: value for name, value in content.items() if name != "defaults"}
    return choices, paths | set(_paths(own))


def _paths(options: Options, above: str = "") -> Iterator[str]:
    """The paths of options; a component, which has a class, is one value."""
    for name, value in options.items():
        if isinstance(value, dict) and "class" not in value:
            yield from _paths(value, f"{above}{name}.")
        else:
            yield f"{above}{name}"


def noun(group: str) -> str:
    """What a name of a group is called in messages."""
    return {"learning": "learning rule", "training": "set of training options", "pretrained": "pretrained network"}.get(
        group, group
    )


def is_own(group: str, name: str) -> bool:
    """Whether a name is defined in a folder of the user's own."""
    return not path_of(group, name).is_relative_to(CONF_DIR)


def shown_path(group: str, name: str) -> str:
    """The YAML file of a name, for messages: `conf/GROUP/NAME.yaml`, or its path in a folder of the user's own."""
    return str(path_of(group, name)) if is_own(group, name) else f"conf/{group}/{name}.yaml"


def unknown_name(group: str, name: str) -> str:
    """The sentence for a name that a group does not have."""
    return f"there is no {noun(group)} named {name!r}{closest(name, names(group))}"
