"""Captions of pictures from files, in the formats of published data sets.

flickr: lines of NAME#NUMBER, a tab or a space, and a caption; lists of names define the splits. Hodosh, Young &
    Hockenmaier, Framing Image Description as a Ranking Task, 2013, https://doi.org/10.1613/jair.3994
coco: JSON with "images" (id, file_name) and "annotations" (image_id, caption), a file for each split. Chen et al.,
    Microsoft COCO Captions, 2015, https://arxiv.org/abs/1504.00325
karpathy: JSON with "images" (filename, split, sentences), all splits in one file. Karpathy & Fei-Fei, Deep
    Visual-Semantic Alignments for Generating Image Descriptions, 2015, https://arxiv.org/abs/1412.2306
table: .csv, .jsonl or tab-separated, with a picture and a caption in each row.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from seqzoo.contracts.batch import Batch
from seqzoo.contracts.errors import DataError, listed
from seqzoo.data.batching.chance import generator_at
from seqzoo.data.captions import CaptionData, Captioned
from seqzoo.data.checks import check_fractions
from seqzoo.data.files.base import Files
from seqzoo.data.sources.pictures import feature_file, read_features, read_picture, vary
from seqzoo.data.sources.reading import check_characters, parse_json, read_lines, read_text
from seqzoo.data.splits import SPLITS, held_out_keys

MOST_FEATURES = 2048
"""Features of a region that are assumed before a file has been read."""
LISTED = 20
"""Maximum number of names that a message lists."""

_FLICKR = re.compile(r"([^#\t]+)#(\S+)\s+(.*\S)\s*")
_KARPATHY = {"train": "train", "restval": "train", "val": "validation", "test": "test"}


class _Line(NamedTuple):
    """A caption of a picture; split: None where the file does not define it."""

    picture: str
    caption: str
    where: str
    split: str | None = None


@dataclass(eq=False, kw_only=True)
class CaptionFiles(Files, CaptionData):
    """Captions and pictures from files.

    Args:
        captions: file of the captions of all splits without a file of their own.
        pictures: folder of the pictures of all splits without a folder of their own.
        format: see the top of this file.
        validation_captions, test_captions: file of the captions of this split.
        validation_pictures, test_pictures: folder of the pictures of this split.
        features: read features of regions (R, F) instead of pictures: the folder has NAME.npy for each picture, or is a
            .safetensors file with a tensor of each name.
        train_list, validation_list, test_list: file with the names of the pictures of this split, one per line.
        validation_fraction, test_fraction: fraction of the training pictures that is held out where the split has no
            list and no file; the held-out pictures are the same in all runs.
        picture_column, caption_column: of a table, as of `seqzoo.data.sources.tables.read_table`.
        size: height and width that pictures are scaled to.
        keep: keep the pictures in memory, 3 size^2 bytes each; otherwise they are read whenever they are used.
        skip_unreadable: skip pictures that are missing or damaged; a remark lists them.
        flip, crop, colour: random augmentation of training pictures, see `seqzoo.data.sources.pictures.vary`.
    """

    acts_with: ClassVar[dict[str, str]] = {
        "picture_column": "format=table",
        "caption_column": "format=table",
        "size": "features=false",
        "keep": "features=false",
        "flip": "features=false",
        "crop": "features=false",
        "colour": "features=false",
        "validation_fraction": "validation_captions=null and validation_list=null and format=table,flickr,coco",
        "test_fraction": "test_captions=null and test_list=null and format=table,flickr,coco",
        "test_pictures": "test_captions!=null or test_list!=null or format=karpathy or test_fraction>0",
    }

    captions: str
    pictures: str
    format: Literal["flickr", "coco", "karpathy", "table"]
    validation_captions: str | None = None
    test_captions: str | None = None
    validation_pictures: str | None = None
    test_pictures: str | None = None
    features: bool = False
    train_list: str | None = None
    validation_list: str | None = None
    test_list: str | None = None
    validation_fraction: float = 0.1
    test_fraction: float = 0.0
    picture_column: str | int = 0
    caption_column: str | int = 1
    size: int = 128
    keep: bool = True
    skip_unreadable: bool = False
    flip: float = 0.0
    crop: float = 0.0
    colour: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size < 8:
            raise ValueError(f"size={self.size} is too small: a picture has at least 8 rows and columns")
        check_fractions(self)
        for name in ("crop", "colour"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 0 and below 1")
        if not 0 <= self.flip <= 1:
            raise ValueError(f"flip={self.flip} is a probability, 0 <= flip <= 1")
        self._feature_size = MOST_FEATURES
        if (self.train_list is None) != (self.validation_list is None):
            raise ValueError("train_list and validation_list belong together: give both, or neither")

    def input_sizes(self) -> tuple[int, list[int] | None]:
        return (self._feature_size, None) if self.features else (3, [3, self.size, self.size])

    def read(self) -> dict[str, Captioned]:
        self._detected = {}
        lines_of: dict[str, dict[Path, list[_Line]]] = {split: {} for split in SPLITS}
        folders: dict[str, Path] = {}
        for split, lines in self._lines().items():
            place = getattr(self, f"{split}_pictures", None) or self.pictures
            packed = self.features and place.endswith(".safetensors")
            folder = Path(self.path(place) if packed else self.folder(place))
            if not packed:
                folders[place] = folder
            for line in lines:
                lines_of[split].setdefault(folder / line.picture, []).append(line)
        self.remarks = self.statements()
        pictures, errors = self._pictures(path for split in SPLITS for path in lines_of[split])
        if errors:
            different = list(dict.fromkeys(errors))  # a file that packs all pictures has a single error
            message = listed(different)
            if not self.skip_unreadable:
                message += self._hint_of_header(
                    lines[0] for split in SPLITS for path, lines in lines_of[split].items() if path not in pictures
                )
                raise DataError(f"{message}\nRepair these pictures, or skip them with data.skip_unreadable=true")
            self.remarks = [*self.remarks, f"skipped pictures ({len(errors):,}):\n{message}"]
        files = [feature_file(path) if self.features else path for path in pictures]
        for place, folder in folders.items():
            self.note(place, str(folder), (str(file) for file in files if file.is_relative_to(folder)))
        if self.features and pictures:
            self._feature_size = self._width({path: read.shape for path, read in pictures.items() if read is not None})
        captioned = {}
        for split, captions in lines_of.items():
            paths = [path for path in captions if path in pictures]
            if paths:
                shown = [pictures[path] for path in paths]
                texts = [[line.caption for line in captions[path]] for path in paths]
                where = [captions[path][0].where for path in paths]
                captioned[split] = Captioned(PictureFiles(paths, shown, self.size), texts, where)
        return captioned

    def _hint_of_header(self, missing: Iterator[_Line]) -> str:
        """A hint for a table with numbered columns whose first row, perhaps a header, does not name a picture."""
        first = next((line for line in missing if line.where.endswith(":1")), None)
        if first is None or self.format != "table" or isinstance(self.picture_column, str):
            return ""
        columns = f"data.picture_column={first.picture} data.caption_column={first.caption}"
        return f"\nIf {first.where} is a header, name its columns: {columns}"

    def varied(self, batch: Batch, epoch: int, number: int) -> Batch:
        if self.features:
            return batch
        generator = generator_at(self.seed, epoch, number)
        return replace(batch, inputs=vary(batch.inputs, generator, self.flip, self.crop, self.colour))

    def _pictures(self, paths: Iterator[Path]) -> tuple[dict[Path, Tensor | None], list[str]]:
        """The readable pictures, in memory where they are kept, and the message of each error."""
        pictures: dict[Path, Tensor | None] = {}
        errors = []
        for path in paths:
            try:
                if self.features:
                    pictures[path] = read_features(path)
                else:
                    picture = read_picture(path, self.size)
                    pictures[path] = picture if self.keep else None
            except DataError as error:
                errors.append(str(error))
        return pictures, errors

    def _width(self, shapes: dict[Path, torch.Size]) -> int:
        """The number of features per region. Raises DataError where pictures differ."""
        first, *others = shapes
        for path in others:
            if shapes[path] != shapes[first]:
                sizes = " and ".join(" x ".join(map(str, shapes[p])) for p in (first, path))
                raise DataError(f"{first.name} and {path.name} have {sizes} features: give all the same number")
        return shapes[first][1]

    def _lines(self) -> dict[str, list[_Line]]:
        """The captions of each split."""
        read = {"flickr": self._flickr, "coco": _coco, "karpathy": _karpathy, "table": self._table}[self.format]
        lines = {"train": list(read(self.path(self.captions)))}
        for split in SPLITS[1:]:
            name = getattr(self, f"{split}_captions")
            if name is not None:
                lines[split] = list(read(self.path(name)))
        if self.train_list is not None:
            return {split: self._listed(split, lines) for split in SPLITS if getattr(self, f"{split}_list") is not None}
        if any(line.split for line in lines["train"]):
            return {split: [line for line in lines["train"] if line.split == split] for split in SPLITS}
        fractions = {"validation": self.validation_fraction, "test": self.test_fraction}
        return lines | _held_out(
            lines["train"], {split: f for split, f in fractions.items() if split not in lines and f}
        )

    def _listed(self, split: str, lines: dict[str, list[_Line]]) -> list[_Line]:
        """The lines of the pictures in the list of a split."""
        path = self.path(getattr(self, f"{split}_list"))
        names = dict.fromkeys(name.strip() for name in read_lines(path, self.encoding_of(path)) if name.strip())
        listed = [line for line in lines.get(split, lines["train"]) if line.picture in names]
        missing = names.keys() - {line.picture for line in listed}
        if missing:
            some = ", ".join(sorted(missing)[:LISTED])
            raise DataError(f"{path} lists {len(missing):,} pictures that have no captions: {some}")
        return listed

    def _flickr(self, path: str) -> Iterator[_Line]:
        for number, line in enumerate(read_lines(path, self.encoding_of(path)), start=1):
            if not line.strip():
                continue
            match = _FLICKR.fullmatch(line)
            if match is None:
                raise DataError(f"{path}:{number}: found {line[:40]!r}, expected NAME#NUMBER, a tab and a caption")
            yield _Line(match[1], match[3], f"{path}:{number}")

    def _table(self, path: str) -> Iterator[_Line]:
        if path.endswith(".json") and isinstance(self.picture_column, int):
            raise DataError(f"{path} is JSON, not a table: set data.format=coco or data.format=karpathy")
        columns = [self.picture_column, self.caption_column]
        for (picture, caption), where in self.table(path, columns, ["picture_column", "caption_column"]):
            yield _Line(picture, caption, where)


class PictureFiles:
    """Pictures from files, in memory or read on demand; or their features, in memory.

    Args:
        paths: of the pictures.
        shown: each picture or its features; None: read on demand.
        size: height and width of a picture.
    """

    def __init__(self, paths: list[Path], shown: list[Tensor | None], size: int):
        self.paths, self.shown, self.size = paths, shown, size

    def __len__(self) -> int:
        return len(self.paths)

    def gather(self, rows: list[int]) -> Tensor:
        pictures = torch.stack([self._picture(row) for row in rows])
        return pictures if pictures.is_floating_point() else pictures.float() / 255

    def _picture(self, row: int) -> Tensor:
        shown = self.shown[row]
        return read_picture(self.paths[row], self.size) if shown is None else shown


def _coco(path: str) -> Iterator[_Line]:
    expected = "images (id, file_name) and annotations (image_id, caption)"
    content = parse_json(read_text(path), path, expected)
    with _holding(path, expected):
        names = {}
        for number, image in enumerate(content["images"], start=1):
            names[image["id"]] = _text(image, "file_name", f"{path}, image {number}")
        for number, annotation in enumerate(content["annotations"], start=1):
            where = f"{path}, annotation {number}"
            yield _Line(names[annotation["image_id"]], _text(annotation, "caption", where), where)


def _karpathy(path: str) -> Iterator[_Line]:
    expected = "images (filename, split, sentences)"
    content = parse_json(read_text(path), path, expected)
    with _holding(path, expected):
        for number, image in enumerate(content["images"], start=1):
            where = f"{path}, image {number}"
            name = _text(image, "filename", where)
            if image.get("filepath"):
                name = f"{_text(image, 'filepath', where)}/{name}"
            for sentence in image["sentences"]:
                caption = _text(sentence, "raw", where) if sentence.get("raw") else " ".join(sentence["tokens"])
                check_characters(caption, where)
                yield _Line(name, caption.strip(), where, _KARPATHY[image["split"]])


@contextmanager
def _holding(path: str, content: str) -> Iterator[None]:
    """Report what JSON of captions must contain where something is missing."""
    try:
        yield
    except (KeyError, TypeError, AttributeError) as error:
        fault = f"has no {error}" if isinstance(error, KeyError) else "has a value of the wrong type"
        raise DataError(f"{path} {fault} where it is read as JSON of captions: expected {content}") from None


def _text(part: dict, key: str, where: str) -> str:
    value = part[key]
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{where}: {key} is {json.dumps(value)[:40]}, expected a text")
    check_characters(value, where)
    return value.strip()


def _held_out(lines: list[_Line], fractions: dict[str, float]) -> dict[str, list[_Line]]:
    """Hold out a fraction of the pictures for each split; "train" has the others."""
    split_of = held_out_keys((line.picture for line in lines), fractions)
    return {
        split: [line for line in lines if split_of.get(line.picture, "train") == split]
        for split in ("train", *fractions)
    }
