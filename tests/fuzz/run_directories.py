"""Run directories damaged at random: loaded, compared and resumed."""

from __future__ import annotations

import atexit
import contextlib
import copy
import io
import json
import os
import shutil
import struct
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import torch
import yaml
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto

import seqzoo
from seqzoo.commands import main as cli
from seqzoo.configuration.experiment import compose
from seqzoo.contracts.errors import SeqzooError
from seqzoo.runs import lifecycle as runs
from seqzoo.training.record.files import BEST, CONFIG, CURVES, EVENTS, LAST, METRICS, SPEC, WRITTEN
from tests.fuzz.driver import Case, Fault

QUICK = 15
SMALL = (
    "debug=tiny", "cell.engine=reference", "data.train_size=20", "data.validation_size=6", "data.test_size=6",
    "training.steps=2", "training.examples=1", "training.threads=1", "training.diagnostics=0",
)  # fmt: skip
TASKS = {"tagging": (), "language_modeling": ("data.window=8", "data.batch_size=4"), "transduction": ()}
PAYLOAD = "import pathlib\npathlib.Path({!r}).touch()\n"
STATUS_OF_A_MISTAKE = 2
SPARSE = 2**42
KEYS = ("x", "class", "_target_", "hydra", "\x1b[2J", "seed.x", "")


def _train(task: str) -> Path:
    """A finished run, which is deleted when the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="seqzoo-fuzz-run-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with contextlib.redirect_stdout(io.StringIO()):
        runs.start(compose(f"task={task}", *SMALL, *TASKS[task]), folder / "run")
    return folder / "run"


SOUND = {task: _train(task) for task in TASKS}
"""Made before the first case, whose time is limited."""


def attempt(case: Case) -> None:
    random, task = case.random, case.random.choice(list(TASKS))
    here, run = case.folder / "here", case.folder / "here" / random.choice(["run", "run", "a\x1b[31mb\n<b>|", "=1+1"])
    here.mkdir()
    shutil.copytree(SOUND[task], run)
    outside = case.folder / "outside"
    outside.mkdir()
    (outside / "file").write_text("outside")
    ran = case.folder / "ran"
    for folder in (run, here):
        (folder / "payload.py").write_text(PAYLOAD.format(str(ran)))
        (folder / "__init__.py").touch()
    case.note("task", task, "in", repr(run.name))
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        damage = random.choice(DAMAGES)
        case.note("damage", damage.__name__)
        damage(case, run, outside)
    before = _content(case.folder, run)
    action = random.choice(list(ACTIONS))
    case.note("action", action)
    arguments = [text.format(run=run, sound=SOUND[task], here=here) for text in ACTIONS[action]]
    try:
        with _place(here):
            _act(case, arguments, run)
    finally:
        after = _content(case.folder, run)
        changed = [path for path in before | after if before.get(path) != after.get(path)]
        if ran.exists() or "payload" in sys.modules:
            sys.modules.pop("payload", None)
            raise Fault("a module of the run directory was imported")
        if changed:
            raise Fault(f"written outside of the run directory: {changed}")


ACTIONS: dict[str, tuple[str, ...]] = {
    "compare": ("compare", "{run}", "{sound}", "--html", "{here}/out/page.html", "--csv", "{here}/out/table.csv"),
    "compare alone": ("compare", "{here}", "--markdown", "{here}/out/table.md"),
    "diff": ("diff", "{run}", "{sound}"),
    "evaluate": ("evaluate", "{run}"),
    "predict": ("predict", "{run}", "the film was good", "--json"),
    "explain": ("explain", "{run}", "the film was good", "--to", "{here}/out"),
    "resume": ("train", "resume={run}", "training.steps=3"),
    "resume without an end": ("train", "resume={run}"),
    "load": (),
}


def _act(case: Case, arguments: list[str], run: Path) -> None:
    """Run a command. Raises SeqzooError if it ends with one sentence, Fault if it ends otherwise."""
    if not arguments:
        seqzoo.load(run).predict(["the film was good"])
        return
    out, err, status = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            cli.main(arguments)
        except SystemExit as exit:
            status = exit.code
    written, told = out.getvalue(), err.getvalue()
    if arguments[0] != "predict" and any(mark in written + told for mark in "\x1b\x07\x9b\u202e"):
        raise Fault(f"what acts on a terminal was written: {written[-300:]!r} {told[-300:]!r}")
    if arguments[0] == "evaluate" and "NaN" in written:
        raise Fault(f"a score is not a number: {written[:300]}")
    if status == STATUS_OF_A_MISTAKE and told.startswith("seqzoo: "):
        raise SeqzooError(told.removeprefix("seqzoo: ").strip())
    if status or not all(line.startswith("seqzoo: ") for line in told.splitlines()):  # remarks are no faults
        raise Fault(f"status {status}: {told[:500]}")


@contextlib.contextmanager
def _place(folder: Path) -> Any:
    """Work in a folder from which modules can be imported; restore what a run may change in the process."""
    before = Path.cwd()
    os.chdir(folder)
    (folder / "out").mkdir(exist_ok=True)
    sys.path.insert(0, str(folder))
    try:
        with warnings.catch_warnings():
            yield
    finally:
        os.chdir(before)
        sys.path.remove(str(folder))
        torch.set_num_threads(1)
        torch.use_deterministic_algorithms(False)


def _content(folder: Path, run: Path) -> dict[str, bytes | str]:
    """All files of a folder except those of the run and of the requested outputs."""
    found: dict[str, bytes | str] = {}
    for place, folders, files in os.walk(folder):
        inside = [name for name in folders if Path(place, name) not in (run, folder / "here" / "out")]
        folders[:] = [name for name in inside if name != "__pycache__"]
        for name in files:
            path = Path(place, name)
            found[str(path)] = str(path.readlink()) if path.is_symlink() else path.read_bytes()
    return found


def hostile_value(random: Random) -> Any:
    """A value of an unexpected type."""
    deep: Any = 1
    for _ in range(random.choice((5, 60))):
        deep = [deep]
    return random.choice(
        [
            None, True, -1, 0, 1, 7, 10**4, 10**6, 10**12, 2**63, -(2**70), 10**100, 0.5, 1e308, -1e308, 1e-320,
            float("nan"), float("inf"), "", "a", "x" * 3000, "\x1b]0;x\x07", "<b>|`a`[b](c)", "=1+1", "\u202eabc",
            "payload.Payload", "payload", "pkg://run.payload", "${oc.env:HOME}", "../../outside/file", "/dev/zero",
            "\x00", "nan", "1e5", "null", [], {}, [1], ["a"], [None], [[1, 2], [3]], {"a": 1}, {"class": "payload.A"},
            {"_target_": "payload.A"}, list(range(2000)), deep,
        ]
    )  # fmt: skip


def mutate(value: Any, random: Random, changes: int = 1) -> Any:
    """A copy of nested lists and mappings with a few places changed, removed or added."""
    value = copy.deepcopy(value)
    for _ in range(changes):
        node, steps = value, random.choice((1, 2, 2, 3, 4))
        for _ in range(steps - 1):
            inside = [part for part in (node.values() if isinstance(node, dict) else node) if _is_nested(part)]
            if not inside:
                break
            node = random.choice(inside)
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        kind = random.choice(("change", "change", "change", "remove", "add"))
        if kind == "add" or not keys:
            new = hostile_value(random)
            node.update({random.choice(KEYS): new}) if isinstance(node, dict) else node.append(new)
        elif kind == "remove":
            del node[random.choice(keys)]
        else:
            node[random.choice(keys)] = hostile_value(random)
    return value


def _is_nested(value: Any) -> bool:
    return isinstance(value, dict | list) and bool(value)


def _bytes_changed(content: bytes, random: Random) -> bytes:
    changed = bytearray(content)
    kind = random.choice(("flip", "cut", "insert", "repeat"))
    place = random.randrange(max(len(changed), 1))
    if kind == "cut":
        return bytes(changed[:place])
    if kind == "insert":
        return bytes(changed[:place] + random.randbytes(random.choice((1, 8, 4000))) + changed[place:])
    if kind == "repeat":
        return bytes(changed[:place]) * 2 + bytes(changed[place:])
    for _ in range(random.choice((1, 1, 10))):
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def _files(run: Path) -> list[Path]:
    return sorted(path for path in run.rglob("*") if path.is_file() and not path.is_symlink() and path.suffix != ".py")


def bytes_of_a_file(case: Case, run: Path, outside: Path) -> None:
    files = [path for path in _files(run) if 0 < path.stat().st_size < SPARSE]
    if files:
        path = case.random.choice(files)
        case.note(path.name)
        path.write_bytes(_bytes_changed(path.read_bytes(), case.random))


def _config(run: Path) -> dict[str, Any]:
    try:
        config = yaml.safe_load((run / CONFIG).read_bytes())
    except Exception:  # another damage came first
        config = None
    return config if isinstance(config, dict) else {"overrides": [], "cell": {}}


def _write(path: Path, content: str | bytes) -> None:
    """Replace whatever is at this path."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))


def values_of_the_configuration(case: Case, run: Path, outside: Path) -> None:
    changed = mutate(_config(run), case.random, case.random.choice((1, 1, 2, 5)))
    _write(run / CONFIG, yaml.safe_dump(changed, sort_keys=False))
    case.note(json.dumps(changed, default=repr)[:3000])


def one_option(case: Case, run: Path, outside: Path) -> None:
    config, random = _config(run), case.random
    section = random.choice(["cell", "backbone", "encoder", "task", "data", "training", "budget"])
    options = config.get(section)
    if isinstance(options, dict) and options:
        name = random.choice(list(options))
        options[name] = hostile_value(random)
        case.note(section, name, repr(options[name])[:200])
        _write(run / CONFIG, yaml.safe_dump(config, sort_keys=False))


def overrides_of_hydra(case: Case, run: Path, outside: Path) -> None:
    config, random = _config(run), case.random
    key = random.choice(
        ["hydra.searchpath", "+hydra.searchpath", "~hydra.searchpath", "hydra/launcher", "hydra.run.dir"]
    )
    value = random.choice(["[pkg://payload]", "[pkg://run.payload]", f"[file://{run}]", "payload", str(outside)])
    more = [f"{key}={value}", "+cell@hydra.x=gru", "hydra@x=payload", "cell=${oc.env:HOME}"]
    given = config.get("overrides")
    config["overrides"] = [*random.sample(more, 2), *(given if isinstance(given, list) else [])]
    if random.random() < 0.3:
        config["budget"] = {"parameters": "20k"}
    case.note(config["overrides"])
    _write(run / CONFIG, yaml.safe_dump(config))


def a_class_of_its_own(case: Case, run: Path, outside: Path) -> None:
    config, random = _config(run), case.random
    for section in random.sample(["cell", "backbone", "encoder", "task", "data"], 2):
        if isinstance(config.get(section), dict):
            config[section]["class"] = random.choice(
                ["payload.Payload", "run.payload.Payload", "os.system", ".", "a.b.c"]
            )
    config["allow_modules"] = ["payload", "run.payload", "os"]
    _write(run / CONFIG, yaml.safe_dump(config))


def yaml_of_another_kind(case: Case, run: Path, outside: Path) -> None:
    laughs = "a: &a [x, x]\n" + "".join(
        f"{n}: &{n} [*{p}, *{p}]\n" for p, n in zip("abcdefgh", "bcdefghi", strict=True)
    )
    text = case.random.choice(
        [
            laughs, "a: " + "[" * 50_000, "{a: " * 10_000, "- " * 20_000, "a: " + "9" * 6000, "a: 0x" + "f" * 10_000,
            "a: " + "1:" * 5000 + "1", "x: !!python/object/apply:payload.run []", "? " * 5000,
            "!!python/module:payload", "%YAML 9.9\n---\n",
            "a: !!timestamp x", "a: !!bool x", "a: !!int ''", "&a [*a]", "<<: *a", "a: 2001-99-99", "\x00",
            "a: b\n---\nc: d\n", "a: " + "x" * 100_000, "", "- 1", "!!set {a, b}", "!!binary aaaa", "a: .inf",
        ]
    )  # fmt: skip
    keep = yaml.safe_dump(_config(run)) if case.random.random() < 0.5 else ""
    case.note(repr(text[:100]), bool(keep))
    _write(run / CONFIG, keep + text)


def values_of_json(case: Case, run: Path, outside: Path) -> None:
    random, path = case.random, run / case.random.choice((METRICS, METRICS, SPEC, SPEC, SPEC))
    try:
        content = json.loads(path.read_bytes())
    except Exception:  # another damage came first
        return
    if not isinstance(content, dict):
        return
    changed = mutate(content, random, random.choice((1, 1, 2, 4)))
    _write(path, json.dumps(changed))
    case.note(
        path.name,
        *[f"{key}: {json.dumps(changed.get(key))[:300]}" for key in changed if changed[key] != content.get(key)],
    )


def json_of_another_kind(case: Case, run: Path, outside: Path) -> None:
    texts = [
        "[" * 100_000, '{"a":' * 50_000, '{"test": {"accuracy": ' + "9" * 4000 + "}}", '{"test": {"a": 1e999}}', "null",
        '{"test": {"accuracy": NaN}}', '{"\\ud800": 1}', '{"test": {"\\ud800": 1}}', "[]", "1", '"a"', "", "{",
        '{"test": {"a": 1}, "test": {"\\u001b[2J": 2}}', "\x00" * 100,
        '{"validation": {"accuracy": 1e308}, "test": {"accuracy": -1e308}}',
        '{"test": {"loss_nats": 1e308}, "parameters": 1e308, "seconds": -1e308, "tokens_per_second": Infinity}',
    ]  # fmt: skip
    name = case.random.choice((METRICS, SPEC))
    text = case.random.choice(texts)
    case.note(name, text[:100])
    _write(run / name, text)


def points_of_curves(case: Case, run: Path, outside: Path) -> None:
    random = case.random
    lines = [
        "[" * 100_000, '{"step": ' + "9" * 3000 + "}", '{"step": 1e5}', '{"step": -3, "valid/accuracy": 1e308}',
        '{"step": 3, "seconds": -1e308, "valid/accuracy": -1e308}', '{"step": 4, "seconds": NaN, "valid/loss": NaN}',
        '{"step": 5, "seconds": "a", "tokens": null}', '{"step": 9223372036854775807, "seconds": 1e308}', "x", "[]",
        '{"step": true}', '{"step": 1, "\\u001b[2J": 1}', "\x85{}", '{"step": 2, "valid/accuracy": 0.5}',
    ]  # fmt: skip
    chosen = random.choices(lines, k=random.choice((1, 5, 200)))
    is_kept = random.random() < 0.5 and (run / CURVES).is_file() and (run / CURVES).stat().st_size < SPARSE
    kept = (run / CURVES).read_text(errors="replace") if is_kept else ""
    _write(run / CURVES, kept + "\n".join(chosen))


def event_files(case: Case, run: Path, outside: Path) -> None:
    random = case.random
    size = TensorShapeProto(dim=[TensorShapeProto.Dim(size=random.choice((-1, 0, 1, 2**40)))])
    tag = random.choice(("valid/accuracy", "step", "seconds", "\x1b[2J", "val_loss"))
    value = random.choice((0.5, float("nan"), float("inf"), 3e38))
    tensor = TensorProto(dtype=random.choice((0, 1, 3, 7, 99)), float_val=[value], tensor_shape=size)
    values = [Summary.Value(tag=tag, tensor=tensor), Summary.Value(tag=tag, simple_value=value)]
    events = [Event(step=random.choice((0, 5, -1, 2**62)), wall_time=value, summary=Summary(value=values))]
    events += [Event(step=n % 7, session_log=SessionLog(status=SessionLog.START)) for n in range(random.choice((0, 3)))]
    records = [event.SerializeToString() for event in random.sample(events, len(events))]
    content = b"".join(struct.pack("<Q", len(record)) + bytes(4) + record + bytes(4) for record in records)
    content += random.choice((b"", struct.pack("<Q", 2**62) + bytes(8), random.randbytes(50)))
    _write(run / f"{EVENTS}9.x", content)
    for name in random.sample((CONFIG, METRICS, CURVES), random.choice((0, 1, 2))):  # then it is another program's
        if (run / name).is_file():
            (run / name).unlink()


class Boom:
    """Unpickling it imports the payload."""

    def __reduce__(self) -> tuple[Callable, tuple[str]]:
        return (__import__, ("payload",))


def training_states(case: Case, run: Path, outside: Path) -> None:
    random, path = case.random, run / LAST
    try:
        content = torch.load(path, weights_only=True)
    except Exception:
        return
    kind = random.choice(("values", "values", "values", "values", "pickle", "compressed", "overlapping", "deep"))
    case.note(kind)
    if kind == "pickle":
        torch.save({**content, "x": Boom()}, path)
    elif kind == "values":
        content = _mutated_state(content, random, case)
        torch.save(content, path)
    elif kind == "deep":
        deep: Any = ()
        for _ in range(random.choice((50, 500))):
            deep = (deep,)
        torch.save({**content, random.choice(("state", "averaging", "model", "x")): deep}, path)
    else:
        with zipfile.ZipFile(path) as old:
            parts = {name: old.read(name) for name in old.namelist()}
        compression = zipfile.ZIP_DEFLATED if kind == "compressed" else zipfile.ZIP_STORED
        with zipfile.ZipFile(path, "w", compression) as new:
            for name, part in parts.items():
                new.writestr(name, part + bytes(random.choice((0, 10**6))) if kind == "compressed" else part)


def _mutated_state(content: dict, random: Random, case: Case) -> dict:
    """Change or remove a value of a checkpoint: another type, shape or dtype."""
    node, path = content, []
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            return content
        key = random.choice(keys)
        path.append(key)
        below = node[key]
        if isinstance(below, dict | list) and below and random.random() < 0.85:
            node = below
            continue
        break
    tensors = [
        torch.zeros(()), torch.zeros(3), torch.zeros(1).expand(2**40),
        torch.zeros(2, 3, dtype=torch.int64), torch.zeros(2, dtype=torch.complex64), torch.zeros(0),
        torch.full((3,), float("nan")),
    ]  # fmt: skip
    if isinstance(below, torch.Tensor) and random.random() < 0.5:
        tensors += [below.double(), below.t() if below.dim() == 2 else below[None], below.to(torch.int8)]
        tensors += [below.to_sparse()] if below.dim() else []
    new = random.choice([*tensors, hostile_value(random), hostile_value(random), (), ((torch.zeros(2, 3),),)])
    if random.random() < 0.25:
        del node[key]
        case.note("without", path)
    else:
        node[key] = new
        case.note(path, type(new).__name__, repr(new)[:100] if not isinstance(new, torch.Tensor) else tuple(new.shape))
    return content


def weights(case: Case, run: Path, outside: Path) -> None:
    random, path = case.random, run / BEST
    if not path.is_file() or path.is_symlink() or path.stat().st_size == SPARSE:
        return
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8]) if len(content) >= 8 else (0,)
    try:
        header = json.loads(content[8 : 8 + length])
    except ValueError:
        return
    kind = random.choice(("header", "header", "length", "many"))
    if kind == "header":
        header = mutate(header, random, random.choice((1, 2)))
    elif kind == "many":
        header |= {f"x{n}": {"dtype": "F32", "shape": [0, 2**40], "data_offsets": [0, 0]} for n in range(100)}
    text = json.dumps(header).encode()
    size = random.choice((2**63, 2**40, length // 2, 10**8)) if kind == "length" else len(text)
    case.note(kind)
    _write(path, struct.pack("<Q", size) + text + content[8 + length :])


def a_file_of_another_kind(case: Case, run: Path, outside: Path) -> None:
    random = case.random
    name = random.choice((*WRITTEN, "checkpoints"))
    path = run / name
    kind = random.choice(
        (
            "link",
            "link",
            "link into nothing",
            "loop",
            "device",
            "fifo",
            "folder",
            "empty",
            "sparse",
            "hard link",
            "gone",
            "full",
        )
    )
    case.note(name, kind)
    content = path.read_bytes() if path.is_file() and path.stat().st_size < SPARSE else b"outside"
    if path.is_dir() and not path.is_symlink():
        if kind in ("link", "hard link"):
            shutil.copytree(path, outside / "folder", dirs_exist_ok=True)
        shutil.rmtree(path)
        content = b""
    path.unlink(missing_ok=True)
    path.parent.mkdir(exist_ok=True)
    target = outside / (path.name if content else "folder")
    if kind in ("link", "hard link"):
        if content:
            target.write_bytes(content)
        path.symlink_to(target) if kind == "link" or not content else path.hardlink_to(target)
    elif kind in ("link into nothing", "loop", "device", "full"):
        path.symlink_to(
            {"loop": path, "device": Path("/dev/zero"), "full": Path("/dev/full")}.get(kind, outside / "new")
        )
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind != "gone":
        path.touch()
        os.truncate(path, SPARSE if kind == "sparse" else 0)


DAMAGES: list[Callable[[Case, Path, Path], None]] = [
    bytes_of_a_file, values_of_the_configuration, values_of_the_configuration, one_option, one_option, one_option,
    overrides_of_hydra, a_class_of_its_own, yaml_of_another_kind, values_of_json, values_of_json, json_of_another_kind,
    points_of_curves, event_files, training_states, training_states, weights, a_file_of_another_kind,
    a_file_of_another_kind,
]  # fmt: skip
