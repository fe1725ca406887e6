"""Captions of pictures from files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import safetensors.torch
import torch
from PIL import Image

from seqzoo.contracts.errors import DataError
from seqzoo.data.files.caption_files import CaptionFiles
from seqzoo.data.raw_inputs import encode_inputs
from seqzoo.data.text.codec import spec_from_plain, spec_to_plain

NAMES = [f"{letter}.png" for letter in "abcdefgh"]
CAPTIONS = {name: [f"A {name[0]} stands .", f"one {name[0]}"] for name in NAMES}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    for number, name in enumerate(NAMES):
        Image.new("RGB", (16, 16), (20 * number, 0, 0)).save(tmp_path / "images" / name)
    (tmp_path / "train.txt").write_text("\n".join(NAMES[:5]))
    (tmp_path / "dev.txt").write_text("\n".join(NAMES[5:7]) + "\n")
    lines = [f"{name}#{n}\t{text}" for name, texts in CAPTIONS.items() for n, text in enumerate(texts)]
    (tmp_path / "tokens.txt").write_text("\n".join(lines))
    (tmp_path / "chinese.txt").write_text("".join(f"{name}#zhc#0 一只{name[0]}。\n" for name in NAMES))
    rows = [f'{name},"{text}"' for name, texts in CAPTIONS.items() for text in texts]
    (tmp_path / "table.csv").write_text("file,text\n" + "\n".join(rows))
    for split, names in {"train": NAMES[:5], "val": NAMES[5:7]}.items():
        content: dict[str, list] = {"images": [{"id": n, "file_name": name} for n, name in enumerate(names)]}
        content["annotations"] = [{"image_id": n, "caption": t} for n, name in enumerate(names) for t in CAPTIONS[name]]
        (tmp_path / f"coco_{split}.json").write_text(json.dumps(content))
    splits = ["train", "train", "restval", "train", "restval", "val", "val", "test"]
    images = [
        {"filename": name, "split": split, "sentences": [{"raw": text} for text in CAPTIONS[name]]}
        for name, split in zip(NAMES, splits, strict=True)
    ]
    (tmp_path / "karpathy.json").write_text(json.dumps({"images": images}))
    return tmp_path


def made(folder: Path, **options: Any) -> CaptionFiles:
    data = CaptionFiles(root=str(folder), pictures="images", size=8, tokenizer="basic_english", **options)
    data.load()
    return data


LISTS = {"train_list": "train.txt", "validation_list": "dev.txt"}


@pytest.mark.parametrize(
    ("options", "test"),
    [
        ({"format": "flickr", "captions": "tokens.txt", **LISTS}, 0),
        ({"format": "coco", "captions": "coco_train.json", "validation_captions": "coco_val.json"}, 0),
        ({"format": "karpathy", "captions": "karpathy.json"}, 1),
        ({"format": "table", "captions": "table.csv", "picture_column": "file", "caption_column": "text", **LISTS}, 0),
    ],
    ids=lambda value: value.get("format") if isinstance(value, dict) else "",
)
def test_each_form_gives_the_same(options: dict[str, Any], test: int, folder: Path) -> None:
    data = made(folder, **options)
    assert data.splits() == {"train": 5, "validation": 2, **({"test": test} if test else {})}
    [batch] = data.batches("validation")
    assert batch.inputs.shape == (2, 3, 8, 8)
    shown = {
        round(255 * float(picture[0, 0, 0])): texts
        for picture, texts in zip(batch.inputs, batch.references, strict=True)
    }
    assert shown == {100: ["a f stands .", "one f"], 120: ["a g stands .", "one g"]}
    assert data.spec.targets.vocabulary.tokens[4:] == ["a", ".", "one", "stands", "b", "c", "d", "e"]
    assert data.spec.picture == [3, 8, 8]
    again = spec_from_plain(json.loads(json.dumps(spec_to_plain(data.spec))))
    assert again.picture == [3, 8, 8]
    data.load(again)
    assert data.spec is again


def test_chinese_by_characters_and_held_out_pictures(folder: Path) -> None:
    data = CaptionFiles(
        root=str(folder), pictures="images", captions="chinese.txt", format="flickr", size=8, tokenizer="characters",
        validation_fraction=0.25, test_fraction=0.25,
    )  # fmt: skip
    data.load()
    assert data.splits() == {"train": 4, "validation": 2, "test": 2}
    [batch] = data.batches("test")
    assert batch.target_lengths.tolist() == [5, 5]
    assert all(text.startswith("一只") and text.endswith("。") for [text] in batch.references)


def test_training_pictures_vary_and_the_rest_do_not(folder: Path) -> None:
    options: dict[str, Any] = {"format": "flickr", "captions": "tokens.txt", **LISTS, "colour": 0.3}
    data, again = made(folder, **options), made(folder, keep=False, **options)
    first, second = (next(data.batches("train", epoch)) for epoch in (0, 1))
    assert not torch.equal(first.inputs.sort(0).values, second.inputs.sort(0).values)
    torch.testing.assert_close(next(again.batches("train", 0)).inputs, first.inputs)
    as_they_are = made(folder, **{**options, "colour": 0.0})
    for held_out in (data, again):
        assert torch.equal(next(held_out.batches("validation")).inputs, next(as_they_are.batches("validation")).inputs)


def test_a_picture_is_trained_on_its_captions_in_turn(folder: Path) -> None:
    data = made(folder, format="flickr", captions="tokens.txt", **LISTS)

    def targets(split: str, epoch: int) -> dict[float, str]:
        [batch] = data.batches(split, epoch)
        texts = [data.spec.targets.decode(row.tolist()) for row in batch.targets]
        return dict(zip(batch.inputs[:, 0, 0, 0].tolist(), texts, strict=True))

    first, second, third = (targets("train", epoch) for epoch in range(3))
    assert first.keys() == second.keys()
    assert all(first[picture] != second[picture] for picture in first)
    assert third == first
    assert targets("validation", 0) == targets("validation", 1)


def test_all_pictures_that_cannot_be_read_are_told_at_once(folder: Path) -> None:
    (folder / "images" / "b.png").unlink()
    (folder / "images" / "f.png").write_text("no picture")
    options: dict[str, Any] = {"format": "flickr", "captions": "tokens.txt", **LISTS}
    for keep in (True, False):
        with pytest.raises(DataError) as error:
            made(folder, keep=keep, **options)
        first, second, advice = str(error.value).split("\n")
        assert first.startswith("there is no picture")
        assert first.endswith("b.png")
        assert "f.png is not a picture" in second
        assert advice.endswith("data.skip_unreadable=true")
    data = made(folder, skip_unreadable=True, **options)
    assert data.splits() == {"train": 4, "validation": 1}
    [remark] = data.remarks
    assert remark.startswith("skipped pictures (2):")
    assert "b.png" in remark


@pytest.mark.parametrize(
    ("name", "change", "options", "message"),
    [
        ("tokens.txt", lambda text: text + "\nno caption", {"format": "flickr"}, r"tokens.txt:17: found 'no caption'"),
        ("dev.txt", lambda text: text + "x.png\n", {"format": "flickr"}, "1 pictures that have no captions: x.png"),
        ("karpathy.json", lambda text: text.replace("sentences", "s"), {"format": "karpathy"}, "'sentences'"),
        ("karpathy.json", lambda text: text[:-5], {"format": "karpathy"}, "expected images .filename, split"),
        ("coco_train.json", lambda text: text.replace("caption", "c"), {"format": "coco"}, "has no .caption. "),
        ("coco_train.json", lambda text: text.replace('"b.png"', "7"), {"format": "coco"}, "image 2: file_name is 7, "),
        ("coco_train.json", lambda text: text.replace('"one b"', "null"), {"format": "coco"}, "caption is null, exp"),
        ("coco_train.json", lambda text: text.replace("one b", "\\ud800"), {"format": "coco"}, "ud800 is half of"),
        ("coco_train.json", lambda text: text, {"format": "table"}, "is JSON, not a table: set data.format=coco"),
        ("coco_train.json", lambda text: "[" * 100_000, {"format": "coco"}, "nested too deep.: expected images"),
        ("karpathy.json", lambda text: text.replace('"b.png"', "7"), {"format": "karpathy"}, "image 2: filename is 7,"),
        ("karpathy.json", lambda text: text.replace("one b", "\\ud800"), {"format": "karpathy"}, "ud800 is half of"),
        ("tokens.txt", lambda text: "", {"format": "flickr"}, "tokens.txt is empty"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_file_is_told(
    name: str, change: Callable[[str], str], options: dict[str, Any], message: str, folder: Path
) -> None:
    (folder / name).write_text(change((folder / name).read_text()))
    captions = {"flickr": "tokens.txt", "karpathy": "karpathy.json", "coco": "coco_train.json"}.get(
        options["format"], name
    )
    lists = LISTS if options["format"] == "flickr" else {}
    with pytest.raises(DataError, match=message):
        made(folder, captions=captions, **options, **lists)


@pytest.mark.parametrize("packed", [False, True])
def test_features_stand_in_for_pictures(packed: bool, folder: Path) -> None:
    features = {name: torch.full((3, 5), float(number)) for number, name in enumerate(NAMES)}
    if packed:
        safetensors.torch.save_file(features, folder / "f.safetensors")
    else:
        (folder / "f").mkdir()
        for name, found in features.items():
            numpy.save(folder / "f" / f"{name}.npy", found.numpy())
    place = "f.safetensors" if packed else "f"
    options: dict[str, Any] = {"format": "flickr", "captions": "tokens.txt", "pictures": place, "features": True}
    data = CaptionFiles(root=str(folder), **options, **LISTS)
    data.load()
    assert (data.spec.input_size, data.spec.picture) == (5, None)
    [batch] = data.batches("validation")
    assert batch.lengths.tolist() == [3, 3]
    torch.testing.assert_close(batch.inputs, torch.stack([features[name] for name in NAMES[5:7]]))
    (folder / "dev.txt").write_text("h.png\n")
    features["h.png"] = torch.zeros(2, 5)
    if packed:
        safetensors.torch.save_file({**features, "a.png": torch.zeros(3, 5)}, folder / "f.safetensors")
    else:
        numpy.save(folder / "f" / "h.png.npy", features["h.png"].numpy())
    with pytest.raises(DataError, match=r"a.png and h.png have 3 x 5 and 2 x 5 features"):
        data.load()
    if packed:
        safetensors.torch.save_file({"a.png": features["a.png"]}, folder / "f.safetensors")
    else:
        (folder / "f" / "c.png.npy").unlink()
    message = r"f.safetensors has no features of c.png" if packed else r"no .*f/c.png.npy, for the features of c.png"
    with pytest.raises(DataError, match=message):
        data.load()
    spoilt = {**features, "b.png": torch.tensor([[1.0, 2], [3, float("nan")]])}
    if packed:
        safetensors.torch.save_file(spoilt, folder / "f.safetensors")
    else:
        numpy.save(folder / "f" / "b.png.npy", spoilt["b.png"].numpy())
    with pytest.raises(DataError, match=r"feature 1 of region 1 of b.png is nan, not a finite number"):
        data.load()
    # predict is given such a file, or the picture's name
    names = [str(folder / place / name) for name in ("a.png", "a.png" if packed else "a.png.npy")]
    batch = encode_inputs(data.spec, names)
    torch.testing.assert_close(batch.inputs, torch.stack([features["a.png"]] * 2))
    with pytest.raises(DataError, match=r"^the model reads features of pictures, so give PICTURE.npy or"):
        encode_inputs(data.spec, [names[0], str(folder / "images" / "a.png")])
    numpy.save(folder / "wide.npy", numpy.zeros((3, 6)))
    with pytest.raises(DataError, match=r"wide.npy has 3 x 6 features, but the model reads 5 per region$"):
        encode_inputs(data.spec, [str(folder / "wide.npy")])
    numpy.save(folder / "wide.npy", numpy.zeros((5, 3)))
    with pytest.raises(DataError, match=r"wide.npy has 5 x 3 features, .*Its first size is 5: transpose it to regions"):
        encode_inputs(data.spec, [str(folder / "wide.npy")])
    with pytest.raises(DataError, match="line 2 is empty: give the name of a file"):
        encode_inputs(data.spec, [names[0], ""])


def test_a_header_that_is_read_as_a_picture_is_told(folder: Path) -> None:
    with pytest.raises(DataError, match=r"If .*table.csv:1 is a header, name its columns: data.picture_column=file"):
        made(folder, format="table", captions="table.csv")


def test_impossible_options_are_refused(folder: Path) -> None:
    for options, message in (
        ({"size": 4}, "size=4 is too small"),
        ({"flip": 2.0}, "flip=2.0"),
        ({"crop": 1.0}, "crop=1.0"),
        ({"train_list": "train.txt"}, "belong together"),
        ({"batch_size": 0}, "batch_size=0"),
    ):
        with pytest.raises(ValueError, match=message):
            CaptionFiles(captions="tokens.txt", format="flickr", **{"pictures": "images", **options})
    data = CaptionFiles(root=str(folder), captions="tokens.txt", pictures="photos", format="flickr")
    with pytest.raises(DataError, match="there is no folder photos in"):
        data.load()


@pytest.mark.parametrize("name", ["Flickr8k.token.txt", "flickr8kzhc.caption.txt"])
def test_flickr8k(name: str, real_data_root: Path) -> None:
    data = CaptionFiles(
        root=str(real_data_root), captions=f"flickr8k/{name}", pictures="flickr8k/images", format="flickr", keep=False,
        train_list="flickr8k/Flickr_8k.trainImages.txt", validation_list="flickr8k/Flickr_8k.devImages.txt",
        test_list="flickr8k/Flickr_8k.testImages.txt", limit=8,
    )  # fmt: skip
    data._pictures = lambda paths: (dict.fromkeys(paths), [])  # type: ignore[method-assign]
    data.load()
    assert data.splits() == {"train": 8, "validation": 8, "test": 8}
    [batch] = data.batches("test")
    assert batch.inputs.shape == (8, 3, 128, 128)
    assert all(len(texts) == 5 for texts in batch.references)
