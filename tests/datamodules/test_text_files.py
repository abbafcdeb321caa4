"""Annotation files as people have them: damaged ones get one sentence with file and row, other spellings are read."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from test_imagenet import WNIDS, flatten_val, make_arrays, make_folders, write_devkit, write_kaggle, write_pairs
from tiny_sets import make_celeba, opened, write_attributes, write_image

from datamodules.celebamask_hq import ATTRIBUTE_FILE, MAPPING_FILE, CelebAHQ, CelebAMaskHQ
from datamodules.faces import annotations
from datamodules.ffhq import FFHQ, JSON_FILE
from datamodules.imagenet import ImageNet
from datamodules.images import imagenet_labels
from datamodules.images.downsampled_imagenet import DownsampledImageNet
from lightning_mmdiff.errors import UserError

PAGE = "<!DOCTYPE html>\n<html><head><title>Google Drive - Quota exceeded</title></head></html>\n"
BOM = b"\xef\xbb\xbf"


@pytest.fixture
def faces(tmp_path) -> Path:
    root = make_celeba(tmp_path / "faces")
    write_attributes(root, 4)
    write_mapping(root)
    write_captions(root, {f"{i}.jpg": {"overall_caption": f"Face {i}."} for i in range(4)})
    return root


def write_mapping(root: Path, heading: str = "idx orig_idx orig_file\n", mark: str = "    ") -> None:
    originals = (5, 6, 182_638, 182_639)
    rows = (mark.join((str(i), str(original), f"{original + 1:06d}.jpg")) for i, original in enumerate(originals))
    (root / MAPPING_FILE).write_text(heading + "\n".join(rows) + "\n")


def write_captions(root: Path, entries: object) -> None:
    (root / "captions_hq.json").write_text(json.dumps(entries))


NEEDS: dict[str, dict] = {
    ATTRIBUTE_FILE: {"conditions": ("attributes",)},
    MAPPING_FILE: {"split": "official"},
    "captions_hq.json": {"conditions": ("caption",), "captions": "celeba-dialog"},
}


def prepare(root: Path, module=CelebAMaskHQ, size: int = 32, **settings) -> None:
    module(root=root, image_size=size, batch_size=1, **settings).prepare_data()


def refused(root: Path, message: str, module=CelebAMaskHQ, **settings) -> None:
    """The sentence is said before anything is packed, and by ``check``, which the doctor calls."""
    data = module(root=root, **{"image_size": 32, "batch_size": 1} | settings)
    with pytest.raises(UserError, match=message) as error:
        data.prepare_data()
    assert len(str(error.value).splitlines()) == 1 or "Expected this layout" in str(error.value)
    assert not data.folder.exists()
    with pytest.raises(UserError, match=message):
        data.check()


@pytest.mark.parametrize("name", NEEDS)
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_text(PAGE), "holds a web page instead of the file, as failed downloads do; fetch it again"),
        (lambda path: path.write_bytes(b"\xff\xfe" + path.read_text().encode("utf-16-le")), "is not UTF-8 text .byte 0"),
        (lambda path: path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.62)]), None),
        (lambda path: path.write_text(""), None),
    ],
    ids=["web page", "UTF-16", "cut", "empty"],
)  # fmt: skip
def test_a_damaged_file_stops_the_runs_that_need_it_and_no_other(faces, name, damage, message, caplog) -> None:
    path = faces / name
    damage(path)
    refused(faces, rf"faces/{name}: .*{message or ''}", **NEEDS[name])
    with caplog.at_level(logging.WARNING):
        prepare(faces)
        for other in NEEDS.keys() - {name}:
            assert opened(CelebAMaskHQ, faces, batch_size=1, **NEEDS[other]).test.batch([0])
    assert f"Left out, since nothing here needs it: {path}" in caplog.text
    with pytest.raises(UserError, match=f"faces/{name}: "):  # although all the rest is packed
        prepare(faces, **NEEDS[name])


@pytest.mark.parametrize("name", NEEDS)
def test_a_byte_order_mark_is_no_part_of_a_file(faces, name) -> None:
    plain = opened(CelebAMaskHQ, faces, batch_size=1, **NEEDS[name]).test
    (faces / name).write_bytes(BOM + (faces / name).read_bytes())
    marked = opened(CelebAMaskHQ, faces, batch_size=1, **NEEDS[name]).test
    assert marked.names == plain.names
    assert str(marked.batch([0])) == str(plain.batch([0]))


def test_cut_rows_are_named(faces) -> None:
    path = faces / ATTRIBUTE_FILE
    text = path.read_text()
    path.write_text(text[: text.rindex("-1")])
    refused(
        faces, r"row 6 is '3.jpg .*', expected the name of an image and 40 values of -1 or 1", **NEEDS[ATTRIBUTE_FILE]
    )
    path.write_text("".join(text.splitlines(keepends=True)[:-1]))
    refused(faces, "has 3 rows, announced 4, so it was cut", **NEEDS[ATTRIBUTE_FILE])
    mapping = faces / MAPPING_FILE
    mapping.write_text(mapping.read_text()[:-18])
    refused(faces, r"row 5 is '3    182', expected a number, CelebA's number and its file", **NEEDS[MAPPING_FILE])
    captions = faces / "captions_hq.json"
    captions.write_text(captions.read_text()[:70])
    refused(faces, r"captions_hq.json: is not whole JSON \(row 1: .*\), perhaps cut", **NEEDS["captions_hq.json"])


def test_a_number_that_python_does_not_read(faces) -> None:
    mapping = faces / MAPPING_FILE
    mapping.write_text(mapping.read_text() + f"9 {'9' * 5000} 000009.jpg\n")
    with pytest.raises(UserError, match="expected a number, CelebA's number and its file"):
        annotations.partition(mapping)


def test_other_spellings_of_attributes_and_mapping(faces) -> None:
    path = faces / ATTRIBUTE_FILE
    usual = annotations.attributes(path)
    lines = path.read_text().splitlines()
    path.write_text(
        "\n".join([*lines[1:2], *(f"{int(line.split('.')[0]):06d}{line[1:]}" for line in lines[2:])]) + "\n\n"
    )
    other = annotations.attributes(path)  # names of six digits, no count, a blank line
    assert list(other) == list(usual) == [0, 1, 2, 3]
    assert all(np.array_equal(other[number], usual[number]) for number in usual)
    parts = {0: "train", 1: "train", 2: "test", 3: "test"}
    for heading, mark in (("idx orig_idx orig_file\n", " "), ("", "  "), ("idx,orig_idx,orig_file\n", ","), ("", "\t")):
        write_mapping(faces, heading, mark)
        assert annotations.partition(faces / MAPPING_FILE) == parts


def test_a_file_that_tells_twice_about_an_image_is_refused(faces) -> None:
    path = faces / MAPPING_FILE
    path.write_text(path.read_text() + "0003    7    000008.jpg\n")
    refused(faces, "tells twice about the image '0003'; expected each image once", **NEEDS[MAPPING_FILE])


@pytest.mark.parametrize("name", ["{}", "{}.jpg", "{:05d}.jpg", "{:06d}.png", "images/{}.jpg"])
@pytest.mark.parametrize("value", [{"overall_caption": "A face."}, "A face.", ["A face."]])
def test_other_spellings_of_captions(faces, name, value) -> None:
    write_captions(faces, {name.format(i): value for i in range(4)})
    data = opened(CelebAMaskHQ, faces, batch_size=1, **NEEDS["captions_hq.json"])
    assert data.test.batch([0])["conditions"]["caption"] == ["A face."]


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([{"file": "0.jpg", "caption": "a face"}], "captions_hq.json: holds a JSON list, expected an object such as"),
        (None, "captions_hq.json: holds a JSON NoneType, expected an object"),
        ({"0.jpg": 3}, "captions_hq.json: the entry of image 0 is a int; expected captions"),
        ({"0.jpg": {"overall_caption": ["a"]}}, "the entry of image 0 has a caption of type list; expected text"),
        ({"0.jpg": [None, 3]}, "the entry of image 0 has a caption of type int; expected text"),
        ({"face.jpg": "a face"}, "captions_hq.json: tells about 'face.jpg'; expected each image once, by a name"),
        ({"0": "a face", "00000.jpg": "one"}, "captions_hq.json: tells twice about the image '00000.jpg'"),
        (dict.fromkeys(("0.jpg", "1.jpg", "2.jpg", "3.jpg")), "found celeba-dialog captions of 0 of 4 images"),
    ],
)  # fmt: skip
def test_captions_that_are_none_are_refused(faces, entries, message) -> None:
    write_captions(faces, entries)
    refused(faces, message, **NEEDS["captions_hq.json"])
    prepare(faces, CelebAHQ)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"0.jpg": ' + "9" * 5000 + "}"], ids=["deep", "long number"])
def test_json_that_python_does_not_read_is_named(faces, text) -> None:
    (faces / "captions_hq.json").write_text(text)
    refused(faces, r"captions_hq.json: cannot be read as JSON \(.*\); expected an object", **NEEDS["captions_hq.json"])


def test_a_plain_caption_says_nothing_of_beard_and_age(faces) -> None:
    write_captions(faces, {f"{i}.jpg": "A face." for i in range(4)})
    settings = {"conditions": ("caption",), "captions": "beard-and-age"}
    refused(faces, "the entry of image 0 is a plain caption; beard-and-age needs attribute_wise_captions", **settings)
    write_captions(faces, {"0.jpg": {"attribute_wise_captions": ["a"]}})
    refused(faces, "has attribute_wise_captions of type list; expected an object", **settings)
    write_captions(faces, {f"{i}.jpg": "A face." for i in range(4)})
    (faces / "captions_hq.json").rename(faces / "captions_hq_beard_and_age.json")
    data = opened(CelebAMaskHQ, faces, batch_size=1, **settings)
    assert data.test.batch([0])["conditions"]["caption"] == ["a face."]


def test_folders_of_captions(faces) -> None:
    folder = faces / "celeba-caption"
    folder.mkdir()
    settings = {"conditions": ("caption",), "captions": "mm-celeba"}
    for i in range(4):
        (folder / f"{i:05d}.txt").write_bytes(BOM + "".join(f"a face {k}\n" for k in range(10)).encode())
    assert opened(CelebAMaskHQ, faces, **settings).test.batch([0])["conditions"]["caption"] == ["a face 0"]
    (folder / "3.txt").write_text("a face\n" * 10)
    with pytest.raises(UserError, match=r"3.txt: is image 3, and so is .*00003.txt; remove one of them"):
        prepare(faces, CelebAMaskHQ, **settings)
    (folder / "3.txt").unlink()
    (folder / "00003.txt").write_text(PAGE)
    with pytest.raises(UserError, match="00003.txt: holds a web page"):
        prepare(faces, CelebAMaskHQ, **settings)
    prepare(faces)


def make_ffhq(root: Path) -> Path:
    for number in range(4):
        write_image(root / "thumbnails128x128" / "00000" / f"{number:05d}.png", seed=number)
    return root


def categories(value: object = "training", last: object = "validation", name: str = "{}") -> str:
    return json.dumps({name.format(i): {"category": value if i < 3 else last} for i in range(4)})


@pytest.mark.parametrize(
    "text",
    [categories(), categories("train", "val"), categories("train", "test"), categories(name="{:05d}"),
     "\ufeff" + categories(), categories(name="{:05d}.png")],
)  # fmt: skip
def test_spellings_of_the_official_split_of_ffhq(tmp_path, text) -> None:
    root = make_ffhq(tmp_path / "ffhq")
    (root / JSON_FILE).write_text(text)
    data = opened(FFHQ, root, split="official")
    assert (data.train.names, data.test.names) == (["00000.png", "00001.png", "00002.png"], ["00003.png"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (PAGE, "holds a web page"),
        (categories()[:60], "is not whole JSON"),
        (categories("learning"), "the category of '0' is 'learning'; expected training or validation"),
        (json.dumps({"0": None}), "the category of '0' is None"),
        (json.dumps({"0": {"category": "training"}}), "tells about 1 of 4 images, not about 1, 2, 3"),
        ("[]", "holds a JSON list"),
    ],
)
def test_a_damaged_split_of_ffhq(tmp_path, text, message) -> None:
    root = make_ffhq(tmp_path / "ffhq")
    (root / JSON_FILE).write_text(text)
    refused(root, f"{JSON_FILE}: {message}", FFHQ, split="official")
    assert len(opened(FFHQ, root).train) == 3


def spell_pairs(root: Path, line: str, heading: str = "") -> None:
    pairs = flatten_val(root)
    rows = [line.format(name=name.removesuffix(".JPEG"), wnid=wnid) for name, wnid in pairs]
    (root / "val_labels.txt").write_text(heading + "".join(f"{row}\n" for row in rows), encoding="utf-8")


@pytest.mark.parametrize(
    ("line", "heading"),
    [
        ("{name} {wnid}", ""), ("{name}.JPEG,{wnid}", "image,class\n"), ("{wnid} {name}.JPEG", ""), ("{wnid}", ""),
        ("{name};{wnid}", ""), ("val/{name}.JPEG\t{wnid}", "\ufeff"),
    ],
)  # fmt: skip
def test_spellings_of_validation_labels(tmp_path, line, heading) -> None:
    root = make_folders(tmp_path / "imagenet")
    spell_pairs(root, line, heading)
    assert (
        opened(ImageNet, root, conditions=("label",)).test.batch(range(6))["conditions"]["label"].tolist()
        == [0, 1, 2] * 2
    )


def edit(path: Path, change) -> None:
    path.write_text(change(path.read_text()))


TRUTH = imagenet_labels.TRUTH_FILE


@pytest.mark.parametrize(
    ("write", "name", "change", "message"),
    [
        (write_pairs, "val_labels.txt", lambda t: t[:-11], "row 6 is 'ILSVRC2012_val_00000006.JPEG', expected an image and"),
        (write_pairs, "val_labels.txt", lambda t: PAGE, "holds a web page"),
        (write_pairs, "val_labels.txt", lambda t: t.replace(WNIDS[0], "65"), "row 1 is .* 65', expected an image and its wnid"),
        (write_pairs, "val_labels.txt", lambda t: t + t.splitlines()[0], "has 7 rows about 6 images"),
        (write_kaggle, "LOC_val_solution.csv", lambda t: t.replace(f"1,{WNIDS[0]} 85", "1,"), "row 7 is .*, expected an image"),
        (write_kaggle, "LOC_val_solution.csv", lambda t: t[: t.rindex(",")], "row 7 is 'ILSVRC2012_val_00000001', expected"),
        (write_kaggle, "LOC_val_solution.csv", lambda t: PAGE, "holds a web page"),
        (write_kaggle, "LOC_val_solution.csv", lambda t: t[5:], "its first row is 'Id,PredictionString', expected ImageId"),
        (write_devkit, TRUTH, lambda t: t.replace("3\n", "2000\n", 1), "row 1 is '2000', expected the number of a class, 1 to 3"),
        (write_devkit, TRUTH, lambda t: t[:-4], "tells no class for .*5, ILSVRC2012_val_00000006 of 6 images"),
        (write_devkit, TRUTH, lambda t: PAGE, "holds a web page"),
    ],
)  # fmt: skip
def test_damaged_validation_labels(tmp_path, write, name, change, message) -> None:
    root = make_folders(tmp_path / "imagenet")
    write(root, flatten_val(root))
    edit(root / name, change)
    refused(root, f"{Path(name).name}: {message}", ImageNet)


def test_kaggles_file_with_semicolons(tmp_path) -> None:
    root = make_folders(tmp_path / "imagenet")
    write_kaggle(root, flatten_val(root))
    edit(root / "LOC_val_solution.csv", lambda t: "\ufeff" + t.replace(",", ";"))
    labels = opened(ImageNet, root, conditions=("label",)).test.batch(range(6))["conditions"]["label"]
    assert labels.tolist() == [0, 1, 2] * 2


@pytest.mark.parametrize("content", [b"PK half a file", PAGE.encode(), None])
def test_a_damaged_table_of_the_kit(tmp_path, content) -> None:
    root = make_folders(tmp_path / "imagenet")
    write_devkit(root, flatten_val(root))
    meta = root / imagenet_labels.META_FILE
    meta.unlink() if content is None else meta.write_bytes(content)
    refused(root, "meta.mat: cannot be read as the kit's table of classes", ImageNet)


def test_other_labels_are_other_data(tmp_path) -> None:
    root = make_folders(tmp_path / "imagenet")
    write_pairs(root, flatten_val(root))
    before = opened(ImageNet, root).fingerprint()
    edit(root / "val_labels.txt", lambda t: f"{t}\n\n")
    assert opened(ImageNet, root).fingerprint() != before


@pytest.mark.parametrize("mark", [" ", ": ", ":", "\t", ","])
def test_names_of_classes(tmp_path, mark) -> None:
    root = make_folders(tmp_path / "imagenet")
    rows = (f"{wnid}{mark}thing {i}, thingum\n" for i, wnid in enumerate(WNIDS))
    (root / "LOC_synset_mapping.txt").write_text("\ufeff" + "".join(rows), encoding="utf-8")
    assert opened(ImageNet, root).train.packed.classes == ["thing 0", "thing 1", "thing 2"]


@pytest.mark.parametrize("text", [PAGE, "tench n01440764\n", "n01440764\n"])
def test_damaged_names_of_classes_cost_only_the_names(tmp_path, text, caplog) -> None:
    root = make_folders(tmp_path / "imagenet")
    (root / "LOC_synset_mapping.txt").write_text(text)
    assert opened(ImageNet, root, conditions=("label",)).train.packed.classes == list(WNIDS)
    assert "Left out, since nothing here needs it:" in caplog.text
    assert "LOC_synset_mapping.txt" in caplog.text


def test_captions_of_imagenet(tmp_path) -> None:
    root = make_folders(tmp_path / "imagenet")
    names = [path.relative_to(root).as_posix() for path in sorted(root.glob("*/*/*.JPEG"))]
    path = root / "captions.json"
    for spelled in (names, [Path(name).name for name in names]):
        path.write_text("\ufeff" + json.dumps({name: f"a {name}" for name in spelled}), encoding="utf-8")
        (caption,) = opened(ImageNet, root, conditions=("caption",)).test.batch([0])["conditions"]["caption"]
        assert caption.startswith("a ")
    for value in (PAGE, json.dumps(dict.fromkeys(names)), json.dumps(names), json.dumps(dict.fromkeys(names, ["a"]))):
        path.write_text(value)
        with pytest.raises(UserError, match="captions.json: "):
            prepare(root, ImageNet, conditions=("caption",))
        prepare(root, ImageNet, conditions=("label",))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t[: t.rindex(" 3 ")], "row 3 is 'n01443537', expected a wnid, its label and a name"),
        (lambda t: PAGE, "holds a web page"),
        (lambda t: t.replace(" 2 ", " two "), "row 2 is 'n01440764 two thing', expected"),
        (lambda t: t.replace(" 2 ", f" {'2' * 5000} "), "row 2 is 'n01440764 2222"),
    ],
)
def test_a_damaged_order_of_labels(tmp_path, change, message) -> None:
    root = make_arrays(tmp_path / "npz")
    edit(root / "map_clsloc.txt", change)
    refused(root, f"map_clsloc.txt: {message}", DownsampledImageNet, image_size=8)


def test_spellings_of_the_order_of_labels(tmp_path) -> None:
    root = make_arrays(tmp_path / "npz")
    edit(root / "map_clsloc.txt", lambda t: "\ufeff" + t.replace(" ", "\t"))
    prepare(root, DownsampledImageNet, size=8)
