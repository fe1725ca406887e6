"""Small valid files of every format that data modules read, damaged at random: bytes, lines, fields, JSON, archives."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import struct
import zipfile
from collections.abc import Callable
from random import Random
from typing import Any

import mido
import numpy
import safetensors.torch
import scipy.io
import torch
from PIL import Image

import seqzoo.data
from seqzoo.contracts.batch import Batch
from seqzoo.contracts.data_module import DataModule
from seqzoo.contracts.spec import DataSpec
from seqzoo.data.files.series_base import SeriesData
from seqzoo.data.raw_inputs import encode_inputs
from seqzoo.data.text.codec import spec_from_plain, spec_to_plain
from tests.fuzz.driver import Case, Fault

QUICK = 120

WORDS = """the a cat dog sees runs and not good bad film 7 3.5 'tis well-known Straße 犬 приве́т <unk> <eos> [[ ]] $T$ _
___""".split()  # noqa: SIM905
Files = dict[str, bytes]
Made = tuple[str, Files, dict[str, Any]]
"""The class of a data module, files, and the options that name them."""


def attempt(case: Case) -> None:
    kind = case.random.choice(list(KINDS))
    name, files, options = KINDS[kind](case.random)
    for _ in range(case.random.choice((0, 1, 1, 1, 1, 2, 3))):
        damaged = case.random.choice(list(files))
        damage = case.random.choice(DAMAGES)
        files[damaged] = damage(case.random, files[damaged])
        case.note(f"{damaged}: {damage.__name__}")
    if kind not in BINARY:
        files, options = _packed(case, files, options)
    for file, content in files.items():
        (case.folder / file).parent.mkdir(parents=True, exist_ok=True)
        (case.folder / file).write_bytes(content)
    options["root"] = str(case.folder)
    case.note(f"seqzoo.data.{name}(**{options})")
    for file, content in files.items():
        case.note(f"{file}: {content[:2000]!r}")
    data = getattr(seqzoo.data, name)(**options)
    data.load()
    _check(data)
    if isinstance(data, SeriesData):
        series = data.read_unlabelled(options["train"])
        _check_numbers("inputs of a prediction", encode_inputs(data.spec, series).inputs, 0, data.spec)


def _check(data: DataModule) -> None:
    """Refuse data that no model could read."""
    saved = json.dumps(spec_to_plain(data.spec), ensure_ascii=False).encode()
    spec_from_plain(json.loads(saved))
    for remark in data.remarks:
        remark.encode()
    if data.spec.vectors is not None and not data.spec.vectors.values.isfinite().all():
        raise Fault("vectors are not finite")
    for split in data.splits():
        batch = next(iter(data.batches(split)))
        _check_numbers(f"{split} inputs", batch.inputs, data.spec.input_size, data.spec)
        if batch.targets is not None:
            targets = batch.targets.nan_to_num(posinf=torch.inf) if data.spec.next_values else batch.targets
            _check_numbers(f"{split} targets", targets, data.spec.output_size, data.spec)
        _check_lengths(split, batch)


def _check_numbers(what: str, numbers: torch.Tensor, size: int, spec: DataSpec) -> None:
    if numbers.is_floating_point():
        if not numbers.isfinite().all():
            raise Fault(f"{what} are not finite")
    elif numbers.numel() and not 0 <= int(numbers.min()) <= int(numbers.max()) < size:
        raise Fault(f"{what} are from {int(numbers.min())} to {int(numbers.max())}, and there are {size}")


def _check_lengths(split: str, batch: Batch) -> None:
    if (
        batch.inputs.dim() < 4
        and not 1 <= int(batch.lengths.min()) <= int(batch.lengths.max()) <= batch.inputs.shape[1]
    ):
        raise Fault(f"{split}: lengths {batch.lengths.tolist()} of inputs of shape {tuple(batch.inputs.shape)}")


def _packed(case: Case, files: Files, options: dict[str, Any]) -> tuple[Files, dict[str, Any]]:
    """Occasionally compress the files, and sometimes not in the format that their names suggest."""
    way = case.random.choice((*[None] * 20, "gz", "gz", "xz", "zip", "zip", "encrypted", "unlike"))
    if way is None:
        return files, options
    renamed, packed = {}, {}
    for name, content in files.items():
        suffix = case.random.choice(("gz", "xz", "zip")) if way in ("encrypted", "unlike") else way
        if way == "encrypted":
            suffix = "zip"
        new = f"{name}.{suffix}"
        packed[new] = content if way == "unlike" else _pack(case.random, suffix, name, content, way == "encrypted")
        renamed[name] = f"{new}::{name}" if suffix == "zip" and case.random.random() < 0.5 else new
        if case.random.random() < 0.3:
            packed[new] = case.random.choice(BYTES)(case.random, packed[new])
    case.note(f"packed: {way}")
    return packed, {
        key: renamed.get(value, value) if isinstance(value, str) else value for key, value in options.items()
    }


def _pack(random: Random, suffix: str, name: str, content: bytes, encrypted: bool) -> bytes:
    if suffix == "gz":
        return gzip.compress(content, 1, mtime=0)
    if suffix == "xz":
        return lzma.compress(content, preset=0)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        for member in [name, *["_about.txt"] * (random.random() < 0.2)]:
            archive.writestr(zipfile.ZipInfo(member), content)
    packed = bytearray(file.getvalue())
    if encrypted:
        packed[6] |= 1
        packed[packed.index(b"PK\x01\x02") + 8] |= 1
    return bytes(packed)


def _text(random: Random, least: int = 1, most: int = 8) -> str:
    return " ".join(random.choice(WORDS) for _ in range(random.randint(least, most)))


def _lines(random: Random) -> list[str]:
    return [_text(random) for _ in range(random.randint(8, 24))]


def _held_out(random: Random) -> dict[str, Any]:
    return {
        "validation_fraction": random.choice((0.2, 0.5)),
        "test_fraction": random.choice((0.0, 0.2)),
        "batch_size": random.choice((1, 4, 64)),
        "max_length": random.choice((3, 1000, 1000)),
        "truncate": random.random() < 0.9,
        "encoding": random.choice(("utf-8",) * 30 + ("latin-1", "utf-16", "utf-7", "gb18030")),
        "limit": random.choice((None, None, 3)),
    }


def _labelled(random: Random) -> list[tuple[str, str]]:
    labels = random.choice((("pos", "neg"), ("0", "1"), ("1.0", "2.5", "-3")))
    return [(text, labels[number % len(labels)]) for number, text in enumerate(_lines(random))]


def _classification(random: Random, content: str, name: str, **options: Any) -> Made:
    tokenizer = random.choice(("basic_english", "whitespace", "characters", "words"))
    files = {name: content.encode()}
    return "ClassificationFiles", files, {"train": name, "tokenizer": tokenizer, **_held_out(random), **options}


def _csv(random: Random) -> Made:
    rows = [f'"{text}",{label}' if random.random() < 0.5 else f"{text},{label}" for text, label in _labelled(random)]
    if random.random() < 0.3:
        return _classification(random, "\n".join(rows), "a.csv", text_column=0, label_column=random.choice((1, -1)))
    return _classification(random, "\n".join(["text,label", *rows, ""]), "a.csv")


def _tsv(random: Random) -> Made:
    rows = [f"{text}\t{number}\t{label}" for number, (text, label) in enumerate(_labelled(random))]
    return _classification(random, "\n".join(["text\tid\tlabel", *rows]), "a.tsv")


def _jsonl(random: Random) -> Made:
    rows = [
        {"text": text, "label": random.choice((label, len(label))), "more": [1]} for text, label in _labelled(random)
    ]
    return _classification(
        random, "\n".join(json.dumps(row, ensure_ascii=random.random() < 0.5) for row in rows), "a.jsonl"
    )


def _label_first(random: Random) -> Made:
    lines = [f"{label} {text}" for text, label in _labelled(random)]
    return _classification(random, "\n".join(lines), "a.txt", format="label_first")


def _targets(random: Random) -> Made:
    lines = [f"{text} $T$ end\n{random.choice(WORDS)}\n{label}" for text, label in _labelled(random)]
    return _classification(random, "\n".join(lines), "a.raw", format="target_lines", marked=True)


def _trees(random: Random) -> Made:
    _, files, options = _classification(random, "", "a.txt", format="label_first")
    rows = [(text.replace("(", ""), str(number % 2)) for number, text in enumerate(_lines(random))]
    files["a.txt"] = "\n".join(f"{label} {text}" for text, label in rows).encode()
    trees = [f"({label} ({label} {' '.join(text.split())}) (1 .))" for text, label in rows]
    files["trees.txt"] = "\n".join(trees).encode()
    return "PhraseFiles", files, {**options, "phrases": "trees.txt"}


def _vectors(random: Random) -> Made:
    name, files, options = _tsv(random)
    rows = [f"{word} {' '.join(f'{random.uniform(-1, 1):.4f}' for _ in range(4))}" for word in WORDS]
    files["v.txt"] = "\n".join([*[f"{len(rows)} 4"] * (random.random() < 0.5), *rows]).encode()
    return name, files, {**options, "vectors": "v.txt", "vectors_words": random.choice(("data", "all"))}


def _bio(random: Random) -> Made:
    separator, columns = random.choice("\t "), random.choice((2, 3, 4))
    tags = random.choice((["O", "B-PER", "I-PER"], ["NOUN", "VERB"], ["O", "B", "M", "E", "S"]))
    lines = []
    for text in _lines(random):
        for word in text.split():
            lines.append(separator.join([word, *["X"] * (columns - 2), random.choice(tags)]))
        lines.append("")
    if random.random() < 0.3:
        lines = [separator.join(["-DOCSTART-", *["O"] * (columns - 1)]), "", *lines]
    options = {"repair": random.random() < 0.2 and "B-PER" in tags, "characters": random.choice((0, 6))}
    options["columns"] = random.choice(({}, {"token": 0, "tag": -1}, {"tag": columns - 1}))
    return "TaggingFiles", {"a.bio": "\n".join(lines).encode()}, {"train": "a.bio", **_held_out(random), **options}


def _conllu(random: Random) -> Made:
    lines = []
    for number, text in enumerate(_lines(random)):
        lines += [f"# sent_id = {number}", f"# text = {text}", "1-2\tit's" + "\t_" * 8]
        for place, word in enumerate(text.split(), start=1):
            lines.append("\t".join([str(place), word, word, random.choice(("NOUN", "VERB")), *["_"] * 6]))
        lines += [f"{len(text.split())}.1\tghost" + "\t_" * 8, ""]
    name = random.choice(("a.conllu", "a.txt"))
    columns = random.choice(({}, {"tag": "upos"}, {"tag": "lemma"}, {"token": "form", "tag": 3}))
    return "TaggingFiles", {name: "\n".join(lines).encode()}, {"train": name, **_held_out(random), "columns": columns}


def _parallel(random: Random) -> Made:
    sources = _lines(random)
    files = {"a.de": "\n".join(sources).encode(), "a.en": "\n".join(_text(random) for _ in sources).encode()}
    options = {
        "train_source": "a.de",
        "train_target": "a.en",
        "target_tokenizer": random.choice(("words", "characters")),
    }
    return "ParallelFiles", files, {**_held_out(random), **options}


def _pairs(random: Random) -> Made:
    content = "\n".join(f"{text}\t{_text(random)}" for text in _lines(random)).encode()
    return "ParallelFiles", {"a.txt": content}, {"train_source": "a.txt", **_held_out(random)}


def _cloze(random: Random) -> Made:
    lines = _lines(random)
    if random.random() < 0.5:
        return "ClozeFiles", {"a.txt": "\n".join(lines).encode()}, {"train": "a.txt", **_held_out(random)}
    rows = "\n".join(json.dumps({"review": line}) for line in lines).encode()
    return "ClozeFiles", {"a.jsonl": rows}, {"train": "a.jsonl", "text_column": "review", **_held_out(random)}


def _running(random: Random) -> Made:
    options = {"tokenizer": random.choice(("characters", "words", "whitespace")), "batch_size": 2, "window": 5}
    options |= {"evaluation_batch_size": 1, "encoding": random.choice(("utf-8",) * 20 + ("utf-16", "latin-1"))}
    options |= {"random_windows": random.random() < 0.2, "limit": random.choice((None, 20))}
    return "TextFiles", {"a.txt": "\n".join(_lines(random)).encode()}, {"train": "a.txt", **options}


def _poems(random: Random) -> Made:
    characters = "青山白雲寒江春草秋雨古寺遠客落花流水孤村芳樹"
    poems = [["".join(random.sample(characters, 5)) for _ in range(4)] for _ in range(random.randint(10, 30))]
    options = {"batch_size": 1, "evaluation_batch_size": 1, "validation_fraction": 0.3, "test_fraction": 0.0}
    if random.random() < 0.5:
        text = "\n".join("，".join(lines) + "。" for lines in poems)
        return "PoemFiles", {"a.txt": text.encode()}, {"train": "a.txt", **options}
    rows = "\n".join(json.dumps({"lines": lines}, ensure_ascii=False) for lines in poems)
    return "PoemFiles", {"a.jsonl": rows.encode()}, {"train": "a.jsonl", "text_column": "lines", **options}


def _idx(random: Random) -> Made:
    count, height, width = random.randint(6, 12), random.randint(1, 4), random.randint(1, 4)
    pixels = bytes(random.randrange(256) for _ in range(count * height * width))
    labels = bytes(random.randrange(3) for _ in range(count))
    files = {
        "images": struct.pack(">4B3I", 0, 0, 8, 3, count, height, width) + pixels,
        "labels": struct.pack(">4BI", 0, 0, 8, 1, count) + labels,
    }
    options = {"validation_size": 2, "order": random.choice(("rows", "pixels", "permuted")), "batch_size": 3}
    return "IdxImages", files, {"train_images": "images", "train_labels": "labels", **options}


def _music(random: Random) -> Made:
    pieces = [[random.sample(range(21, 109), random.randint(0, 4)) for _ in range(random.randint(2, 9))]
              for _ in range(random.randint(6, 12))]  # fmt: skip
    options = {"validation_fraction": 0.3, "batch_size": 3, "window": random.choice((3, 99)), "transpose": 2}
    options |= {"skip_unreadable": random.random() < 0.5, "steps_per_quarter": random.choice((1, 4))}
    form = random.choice(("json", "mat", "mid"))
    if form == "mid":
        files = {f"m/{number}.mid": _midi(piece) for number, piece in enumerate(pieces)}
        return "MusicFiles", files, {"train": "m", **options}
    if form == "json":
        content: Any = {"train": pieces, "valid": pieces[:2]} if random.random() < 0.5 else pieces
        return "MusicFiles", {"a.json": json.dumps(content).encode()}, {"train": "a.json", **options}
    rolls = numpy.empty((1, len(pieces)), dtype=object)
    for number, piece in enumerate(pieces):
        rolls[0, number] = numpy.array([numpy.isin(numpy.arange(21, 109), step) for step in piece], numpy.uint8)
    file = io.BytesIO()
    scipy.io.savemat(file, {random.choice(("songs", "traindata")): rolls})
    return "MusicFiles", {"a.mat": file.getvalue()}, {"train": "a.mat", **options}


def _midi(piece: list[list[int]]) -> bytes:
    track = mido.MidiTrack()
    for notes in piece:
        track += [mido.Message("note_on", note=note) for note in notes]
        track.append(mido.MetaMessage("text", text="a", time=480))
        track += [mido.Message("note_off", note=note) for note in notes]
    file, midi = io.BytesIO(), mido.MidiFile()
    midi.tracks.append(track)
    midi.save(file=file)
    return file.getvalue()


def _series(random: Random) -> Made:
    forecast = random.random() < 0.4
    form = random.choice(("ts", "long", "array", *["wide"] * (not forecast)))
    options: dict[str, Any] = {"validation_fraction": 0.4, "batch_size": 3, "scale": random.random() < 0.5}
    options |= {"nan_is_missing": random.random() < 0.3, "limit": random.choice((None, None, 3))}
    if forecast:
        options |= {"horizon": random.choice((1, 3)), "window": 5, "test_fraction": 0.3}
        options |= {"folds": random.choice((None, None, 2)), "validation_fraction": 0.3}
    channels = random.randint(1, 3)
    steps = [random.randint(12, 20) if forecast else random.randint(1, 9) for _ in range(random.randint(6, 10))]
    values = [[[_measurement(random) for _ in range(channels)] for _ in range(count)] for count in steps]
    labels = [("walk", "run")[number % 2] for number in range(len(values))]
    name, content = {"ts": _ts, "long": _long, "wide": _wide, "array": _array}[form](random, values, labels)
    return "ForecastFiles" if forecast else "SeriesFiles", {name: content}, {"train": name, **options}


Measurements = list[list[list[str]]]
"""Series by steps by channels, as they are written."""


def _measurement(random: Random) -> str:
    return random.choice((f"{random.gauss(0, 3):.3f}",) * 12 + ("0", "-1e3", "?"))


def _ts(random: Random, values: Measurements, labels: list[str]) -> tuple[str, bytes]:
    timed = random.random() < 0.3
    lines = ["# made", "@problemName a", f"@timeStamps {str(timed).lower()}", "@missing true"]
    lines += [*["@univariate false"] * (random.random() < 0.5), f"@dimensions {len(values[0][0])}"]
    lines += ["@classLabel true walk run", "@data"]
    for series, label in zip(values, labels, strict=True):
        columns = [[step[channel] for step in series] for channel in range(len(series[0]))]
        if timed:
            columns = [[f"({time},{value})" for time, value in enumerate(column)] for column in columns]
        lines.append(":".join([*(",".join(column) for column in columns), label]))
    return "a.ts", "\n".join(lines).encode()


def _long(random: Random, values: Measurements, labels: list[str]) -> tuple[str, bytes]:
    dated, irregular = random.random() < 0.5, random.random() < 0.5
    rows = [["series", "time", "label", *(f"c{channel}" for channel in range(len(values[0][0])))]]
    for number, (series, label) in enumerate(zip(values, labels, strict=True)):
        for step, measurements in enumerate(series, start=1):
            time = step * step if irregular else step
            written = f"2021-03-{time % 28 + 1:02d}" if dated and not irregular else str(time)
            rows.append([f"s{number}", written, label, *measurements])
    return "a.csv", "\n".join(map(",".join, rows)).encode()


def _wide(random: Random, values: Measurements, labels: list[str]) -> tuple[str, bytes]:
    rows = [[label, *(step[0] for step in series)] for series, label in zip(values, labels, strict=True)]
    return "a.tsv", "\n".join(map("\t".join, rows)).encode()


def _array(random: Random, values: Measurements, labels: list[str]) -> tuple[str, bytes]:
    steps = min(map(len, values))
    numbers = [[[0.5 if text == "?" else float(text) for text in step] for step in series[:steps]] for series in values]
    file = io.BytesIO()
    numpy.savez(file, x=numpy.array(numbers, random.choice(("<f4", "<f8"))), y=numpy.array(labels))
    return "a.npz", file.getvalue()


def _picture(random: Random) -> bytes:
    mode, form = random.choice(
        (("RGB", "JPEG"), ("RGB", "PNG"), ("P", "GIF"), ("L", "BMP"), ("RGBA", "TIFF"), ("1", "PPM"))
    )
    file = io.BytesIO()
    Image.new(mode, (random.randint(1, 24), random.randint(1, 24)), random.randrange(2)).save(file, form)
    return file.getvalue()


def _captions(random: Random, form: str, names: list[str]) -> bytes:
    captions = [(name, _text(random)) for name in names for _ in range(2)]
    if form == "flickr":
        return "\n".join(f"{name}#{place}\t{text}" for place, (name, text) in enumerate(captions)).encode()
    if form == "table":
        return "\n".join(f'{name},"{text}"' for name, text in captions).encode()
    if form == "coco":
        images = [{"id": number, "file_name": name} for number, name in enumerate(names)]
        notes = [{"image_id": names.index(name), "caption": text} for name, text in captions]
        return json.dumps({"images": images, "annotations": notes}).encode()
    splits = ("train", "val")
    images = [
        {"filename": name, "split": splits[number % 2], "sentences": [{"raw": _text(random)}, {"tokens": ["a", "b"]}]}
        for number, name in enumerate(names)
    ]
    return json.dumps({"images": images}).encode()


def _captioned(random: Random, files: Files, names: list[str], options: dict[str, Any]) -> Made:
    form = random.choice(("flickr", "coco", "karpathy", "table"))
    name = {"flickr": "c.txt", "table": "c.csv"}.get(form, "c.json")
    files[name] = _captions(random, form, names)
    options |= {"captions": name, "format": form, "validation_fraction": 0.4, "batch_size": 2, "truncate": True}
    return "CaptionFiles", files, {**options, "skip_unreadable": random.random() < 0.5}


def _pictures(random: Random) -> Made:
    names = [f"{number}.png" for number in range(random.randint(3, 6))]
    files = {f"p/{name}": _picture(random) for name in names}
    options = {"pictures": "p", "size": 8, "keep": random.random() < 0.5, "flip": 0.5, "crop": 0.2, "colour": 0.1}
    return _captioned(random, files, names, options)


def _features(random: Random) -> Made:
    names = [f"{number}.png" for number in range(random.randint(3, 6))]
    shape, kind = (random.randint(1, 3), 4), random.choice(("<f4", ">f8", "<f2", "<i8"))
    features = {name: numpy.array([[random.randint(-9, 9)] * shape[1]] * shape[0], kind) for name in names}
    if random.random() < 0.5:
        tensors = {name: torch.from_numpy(values.astype(numpy.float32)) for name, values in features.items()}
        files, pictures = {"f.safetensors": safetensors.torch.save(tensors)}, "f.safetensors"
    else:
        files, pictures = {}, "f"
        for name, values in features.items():
            file = io.BytesIO()
            numpy.save(file, values)
            files[f"f/{name}.npy"] = file.getvalue()
    return _captioned(random, files, names, {"pictures": pictures, "features": True})


KINDS: dict[str, Callable[[Random], Made]] = {
    "csv": _csv,
    "tsv": _tsv,
    "jsonl": _jsonl,
    "label_first": _label_first,
    "targets": _targets,
    "trees": _trees,
    "vectors": _vectors,
    "bio": _bio,
    "conllu": _conllu,
    "parallel": _parallel,
    "pairs": _pairs,
    "cloze": _cloze,
    "running": _running,
    "poems": _poems,
    "idx": _idx,
    "music": _music,
    "series": _series,
    "pictures": _pictures,
    "features": _features,
}
BINARY = ("pictures", "features")
"""Kinds of which a folder is given, and not files."""

ODD = [
    b"", b" ", b"\t", b"\t\t", b",", b",,", b";", b'"', b'""', b"'", b"\\", b"\0", b"\x1b[31m", b"\x85", b"\x0c", b"\r",
    b"#", b"nan", b"-inf", b"1e400", b"-1", b"0", b"9" * 5000, b"null", b"true", b"[]", b"{}", b"[" * 3000, b"%s{}",
    b'{"a":' * 3000, b'"\\ud800"', b"\xed\xa0\x80", b"\xff", b"\xc0\x80", b"\xe2\x80\xa8", b"\xef\xbb\xbf", b"\xc2\xa0",
    b"\xe3\x80\x80", b"_", b"-DOCSTART-", b"1-2", b"8.1", b"B-", b"I-X", b"-", b"(", b")", b"(((", b"[[", b"]]", b"$T$",
    b"<pad>", b"x" * 50_000, b"a " * 5000, b"../../x", b"/dev/null",
]  # fmt: skip


def _cut_places(random: Random, content: bytes) -> tuple[int, int]:
    first, second = random.randrange(len(content) + 1), random.randrange(len(content) + 1)
    return min(first, second), min(max(first, second), min(first, second) + random.choice((1, 8, 200)))


def truncate(random: Random, content: bytes) -> bytes:
    return content[: random.randrange(len(content) + 1)]


def flip(random: Random, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(random.choice((1, 1, 3, 20))):
        if changed:
            changed[random.choice((random.randrange(len(changed)), random.randrange(min(64, len(changed)))))] ^= (
                1 << random.randrange(8)
            )
    return bytes(changed)


def overwrite(random: Random, content: bytes) -> bytes:
    start, end = _cut_places(random, content)
    return content[:start] + random.choice((b"\0", b"\xff", random.randbytes(1))) * (end - start) + content[end:]


def insert(random: Random, content: bytes) -> bytes:
    place = random.randrange(len(content) + 1)
    return (
        content[:place] + random.choice((random.randbytes(random.randint(1, 9)), random.choice(ODD))) + content[place:]
    )


def delete(random: Random, content: bytes) -> bytes:
    start, end = _cut_places(random, content)
    return content[:start] + content[end:]


def repeat(random: Random, content: bytes) -> bytes:
    start, end = _cut_places(random, content)
    return content[:end] + content[start:end] * random.choice((1, 3, 200)) + content[end:]


def exchange(random: Random, content: bytes) -> bytes:
    """Change line ends, separators, quotes or the encoding."""
    change = random.choice(
        (
            (b"\n", b"\r\n"), (b"\n", b"\r"), (b"\n", b"\n\n"), (b"\n", b"\xe2\x80\xa8"), (b"\n", b"\t\n"),
            (b"\n", b" \n"), (b"\t", b" "), (b" ", b"\t"), (b"\t", b"\xc2\xa0"), (b",", b";"), (b",", b"\t"),
            (b'"', b"'"), (b'"', b""), (b" ", b""),
        )
    )  # fmt: skip
    return content.replace(*change)


def reencode(random: Random, content: bytes) -> bytes:
    encoding = random.choice(("utf-16", "utf-16-le", "utf-32", "latin-1", "gb18030", "utf-8-sig", "utf-7", "cp037"))
    return content.decode(errors="replace").encode(encoding, errors="replace")


def change_lines(random: Random, content: bytes) -> bytes:
    lines = content.split(b"\n")
    place = random.randrange(len(lines))
    line = lines[place]
    lines[place : place + 1] = random.choice(
        ([], [line, line], [line, b""], [random.choice(ODD)], [b"# " + line], [line * 300], [b" " + line], [line] * 100)
    )
    if random.random() < 0.2:
        random.shuffle(lines)
    return b"\n".join(lines)


def change_fields(random: Random, content: bytes) -> bytes:
    """Change the fields of one line or of all lines."""
    lines = content.split(b"\n")
    separator = random.choice([mark for mark in (b"\t", b",", b" ") if mark in content] or [b" "])
    place, odd, way = (
        random.randrange(12),
        random.choice(ODD),
        random.choice(("drop", "twice", "odd", "append", "swap")),
    )
    everywhere = random.random() < 0.3 and len(odd) < 100
    for number in range(len(lines)) if everywhere else [random.randrange(len(lines))]:
        fields = lines[number].split(separator)
        if (lines[number] and place < len(fields)) or not everywhere:
            at = place % len(fields)
            fields[at : at + 1] = {
                "drop": [],
                "twice": [fields[at]] * 2,
                "odd": [odd],
                "append": [fields[at] + odd],
            }.get(way, fields[at : at + 2][::-1])
        lines[number] = separator.join(fields)
    return b"\n".join(lines)


def change_json(random: Random, content: bytes) -> bytes:
    """Change a value in a line of JSON; content that is not JSON is changed otherwise."""
    lines = content.split(b"\n")
    place = random.randrange(len(lines))
    try:
        value = json.loads(lines[place])
    except ValueError:
        return change_fields(random, content)
    odd = random.choice(
        (
            None,
            True,
            -1,
            10**30,
            0.5,
            float("nan"),
            float("inf"),
            "",
            " ",
            "\ud800",
            "\0",
            "a\nb",
            [],
            {},
            [None],
            ["x", 1],
            {"a": 1},
            "x" * 9999,
        )
    )
    lines[place] = json.dumps(_changed(random, value, odd)).encode()
    return b"\n".join(lines)


def _changed(random: Random, value: Any, odd: Any) -> Any:
    if not isinstance(value, dict | list) or not value or random.random() < 0.1:
        return odd
    if isinstance(value, list):
        place = random.randrange(len(value))
        return [_changed(random, part, odd) if number == place else part for number, part in enumerate(value)]
    key = random.choice(list(value))
    if random.random() < 0.2:
        return {name: part for name, part in value.items() if name != key}
    return {name: _changed(random, part, odd) if name == key else part for name, part in value.items()}


def nothing(random: Random, content: bytes) -> bytes:
    return random.choice(
        (
            b"",
            b"\n\n",
            b"\xef\xbb\xbf",
            b"\0" * 100,
            b"%!PS-Adobe-3.0 EPSF-3.0\n",
            b"\x1f\x8b",
            b"PK\x03\x04",
            b"\x93NUMPY",
        )
    )


BYTES = [truncate, flip, overwrite, insert, delete, repeat]
DAMAGES = [*BYTES, exchange, *[change_lines, change_fields, change_json] * 4, reencode, nothing]
