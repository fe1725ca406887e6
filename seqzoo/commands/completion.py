"""Completion of commands, options, names and run directories in a shell."""

from __future__ import annotations

import argparse
import contextlib
import glob
import io
import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

from seqzoo.commands.list_names import GROUPS, PLURALS
from seqzoo.configuration import composing, pretrained, registry
from seqzoo.contracts.errors import SeqzooError

Commands = Mapping[str, Callable[[list[str]], None]]

WITH_OPTIONS = ("train", "check", "baseline", "search", "ladder", "languages", "gradients")
"""Commands whose arguments are options of a configuration."""
WITH_RUNS = ("evaluate", "predict", "explain", "demo", "serve", "export", "push", "compare", "diff")
"""Commands whose arguments are run directories."""
RUNS_DEPTH = 4
"""Maximum depth of folders in which runs are looked for."""

# bash passes no line to the function, and splits words at = and :, of which the reply must have only the last part
SCRIPTS = {
    "bash": """_seqzoo() {
    local line="${COMP_LINE:0:$COMP_POINT}" candidate
    local word="${line##*[[:space:]]}"
    local before="${word%"${COMP_WORDS[COMP_CWORD]}"}"
    case "${COMP_WORDS[COMP_CWORD]}" in '='|':') before="$word" ;; esac
    COMPREPLY=()
    while IFS= read -r candidate; do
        COMPREPLY+=("${candidate#"$before"}")
    done < <(seqzoo complete "${line#*[[:space:]]}" 2>/dev/null)
    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[=./] ]] && compopt -o nospace 2>/dev/null
    return 0
}
complete -o bashdefault -o default -F _seqzoo seqzoo
""",
    "zsh": """#compdef seqzoo
_seqzoo() {
    local -a candidates
    candidates=("${(@f)$(seqzoo complete "${(j: :)words[2,CURRENT]}" 2>/dev/null)}")
    compadd -Q -- ${(M)candidates:#*[^=./]}
    compadd -Q -S '' -- ${(M)candidates:#*[=./]}
}
compdef _seqzoo seqzoo
""",
    "fish": """function __seqzoo_complete
    set -l line (commandline --cut-at-cursor --current-process)
    seqzoo complete (string replace --regex '^\\\\s*\\\\S+\\\\s' '' -- $line) 2>/dev/null
end
complete --command seqzoo --no-files --arguments '(__seqzoo_complete)'
""",
}


def completion(arguments: list[str]) -> None:
    """Print the script of a shell that completes the words of this command line."""
    parser = argparse.ArgumentParser(
        "seqzoo completion",
        description="Completion of commands, options, names and run directories with the tab key. Add the line to the "
        'startup file of your shell. bash and zsh: eval "$(seqzoo completion bash)"; fish: seqzoo completion fish | '
        "source",
    )
    parser.add_argument("shell", choices=SCRIPTS)
    print(SCRIPTS[parser.parse_args(arguments).shell], end="")


def candidates(line: str, commands: Commands) -> list[str]:
    """The words that the last word of a line may become.

    Args:
        line: the command line without the name of the program, up to the cursor.
        commands: the commands by name.

    Returns:
        The words, sorted; empty if the line is not a command of seqzoo.
    """
    try:
        words = shlex.split(line)
    except ValueError:  # inside quotes
        return []
    last = words.pop() if words and not line[-1].isspace() else ""
    if not words:
        return sorted(name for name in commands if name.startswith(last))
    command, given = words[0], words[1:]
    if command not in commands:
        return []
    if last.startswith("-"):
        possible = _flags(commands[command])
    elif command in WITH_OPTIONS:
        possible = _options(given, last)
    elif command in WITH_RUNS:
        possible = [*_runs(), *_pretrained()]
    elif command == "list":
        possible = _names_listed(given)
    elif command == "info":
        possible = [*registry.names("cell"), *_pretrained()] if not given else []
    elif command == "data":
        fetched = filter(_is_fetched, registry.names("data", f"{glob.escape(last)}*"))
        possible = [*fetched] if given == ["fetch"] else [] if given else ["fetch"]
    else:
        possible = list(SCRIPTS) if command == "completion" and not given else []
    return sorted(word for word in possible if word.startswith(last))


def _is_fetched(name: str) -> bool:
    """Whether a data set has a source, perhaps from a YAML that its own includes."""
    content = registry.file_content("data", name) or {}
    included = [part for part in content.get("defaults", []) if isinstance(part, str) and part != "_self_"]
    return bool(content.get("source")) or any(map(_is_fetched, included))


def _flags(command: Callable[[list[str]], None]) -> list[str]:
    """The flags in the help of a command."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
        command(["--help"])
    return sorted({"--help", *re.findall(r"(?<![\w-])--?[a-z][\w-]*", text.getvalue())})


def _options(given: list[str], last: str) -> list[str]:
    """Options of the configuration that the options before the cursor choose, or values of the last one."""
    name, equals, values = last.partition("=")
    if equals:
        earlier, comma, _ = values.rpartition(",")
        return [f"{name}={earlier}{comma}{value}" for value in _values(name, given)]
    if "." not in name:
        single, groups = registry.general_options()
        return [f"{option}=" for option in (*single, *registry.GROUPS)] + [f"{group}." for group in groups]
    group = name.partition(".")[0]
    return [f"{group}.{option}=" for option, _, _ in _help_of(group, given)]


def _help_of(group: str, given: list[str]) -> list[tuple[str, str, str]]:
    """The options of a group as it is chosen, with defaults and descriptions."""
    if group == "budget":
        return registry.common_help("budget")
    if group not in registry.GROUPS:
        return []
    try:
        choices = composing.examine(*(word for word in given if "=" in word))[0] or composing.compose()
    except SeqzooError:
        return []
    return registry.every_option(group, choices["choices"][group])


def _values(name: str, given: list[str]) -> list[str]:
    """Values of an option: names of a group, run directories, true and false."""
    if name in registry.GROUPS:
        return registry.names(name)
    if name == "resume":
        return _runs()
    group, _, option = name.partition(".")
    defaults = {path: default for path, default, _ in _help_of(group, given)}
    return ["true", "false"] if defaults.get(option) in ("true", "false") else []


def _names_listed(given: list[str]) -> list[str]:
    """The groups that `seqzoo list` knows, then the names of one."""
    if not given:
        return GROUPS
    group = PLURALS.get(given[0], given[0])
    return registry.names(group) if group in (*registry.GROUPS, pretrained.GROUP) and len(given) == 1 else []


def _pretrained() -> list[str]:
    """The pretrained networks, as they are given in place of a run directory."""
    return [f"{pretrained.PREFIX}{name}" for name in pretrained.list_pretrained()]


def _runs() -> list[str]:
    """Run directories below runs/ and multirun/."""
    folders = [Path("runs"), Path("multirun")]
    runs: list[str] = []
    for _ in range(RUNS_DEPTH):
        folders = [child for folder in folders if folder.is_dir() for child in folder.iterdir() if child.is_dir()]
        runs += [str(folder) for folder in folders if (folder / "config.yaml").is_file()]
    return runs
