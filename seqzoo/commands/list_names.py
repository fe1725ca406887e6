"""List the names of a group."""

from __future__ import annotations

from seqzoo.configuration import pretrained, registry
from seqzoo.contracts.errors import ConfigError, closest, printable

PLURALS = {f"{group}s": group for group in ("cell", "backbone", "encoder", "task", "experiment")}
GROUPS = sorted({*registry.GROUPS, *PLURALS, pretrained.GROUP} - set(PLURALS.values()))
"""The groups as they are listed, in the plural where there is one."""


def list_names(arguments: list[str]) -> None:
    """Print the names of a group, each with a one-line description."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(f"seqzoo list GROUP [PATTERN]: names of a group that match a wildcard; groups: {', '.join(GROUPS)}")
        print(
            "seqzoo list cells --max-parameters N [PATTERN]: cells of at most N parameters at input and hidden size 128"
        )
        return
    limit, arguments = _take_max_parameters(arguments)
    group = PLURALS.get(arguments[0], arguments[0])
    if group not in (*registry.GROUPS, pretrained.GROUP):
        raise ConfigError([f"there is no group {arguments[0]!r}{closest(arguments[0], GROUPS)}"])
    pattern = arguments[1] if len(arguments) > 1 else "*"
    names = registry.names(group, pattern)
    if not names:
        raise ConfigError([f"no name in {arguments[0]} matches {pattern!r}"])
    width = max(len(name) for name in names)
    if limit is None:
        for name in names:
            scored = f"; {pretrained.read_card(name).scored}" if group == pretrained.GROUP else ""
            print(printable(f"{name.ljust(width)}  {registry.summary(group, name)}{scored}"))
        return
    if group != "cell":
        raise ConfigError(["--max-parameters is for cells only: seqzoo list cells --max-parameters N"])
    for name in names:
        parameters = _count(name)
        if parameters is None or parameters <= limit:
            counted = "?" if parameters is None else f"{parameters:,}"
            print(printable(f"{name.ljust(width)}  {counted:>9}  {registry.summary(group, name)}"))


def _count(name: str) -> int | None:
    """The number of parameters of a cell; None for user-defined cells, whose code listing must not run."""
    from seqzoo.analysis.catalogue import cell_info

    cell = cell_info(name)
    return None if "." in cell.cell_class else cell.parameters


def _take_max_parameters(arguments: list[str]) -> tuple[int | None, list[str]]:
    """The value of --max-parameters, if given, and the other arguments."""
    rest, limit = [], None
    remaining = iter(arguments)
    for argument in remaining:
        flag, equals, value = argument.partition("=")
        if flag != "--max-parameters":
            rest.append(argument)
            continue
        value = value if equals else next(remaining, "")
        if not value.isdecimal():
            raise ConfigError([f"--max-parameters is {value!r}: it must be an integer"])
        limit = int(value)
    return limit, rest
