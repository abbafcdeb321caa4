"""Content counts: another content under the same names is packed anew, and runs on other data are an error."""

import hashlib
import json
import os
import time

import pytest
import small_runs
from tiny_sets import make_celeba, opened, write_attributes, write_image

from datamodules.catalogue import DATA_SETS, DataSet, data_set
from datamodules.config import DataConfig
from datamodules.faces.module import FaceDataModule
from datamodules.ffhq import FFHQ
from datamodules.storage import sources
from datamodules.storage.packing import read_index
from experiments.core.workspace import prepare_data, training_data
from experiments.engine import stages
from lightning_mmdiff.errors import UserError

FOLDERS = {
    "celebamask_hq": ("CelebA-HQ-img", "CelebAMask-HQ-mask-anno/0"),
    "celeba_hq": ("CelebA-HQ-img",),
    "ffhq": ("images1024x1024/00000", "label_maps"),
    "imagenet": ("train/n90000001", "val/n90000001"),
    "cifar10": ("train/cat", "train/frog"),
    "cityscapes": ("leftImg8bit/train/minitown", "gtFine/val/minitown"),
    "night2day": ("train", "val"),
    "digits": ("train/3", "test/3"),
    "scenes": ("train", "test"),
    "close_things": ("train", "test"),
    "scenes_balanced": ("train", "test"),
}
"""Folders of images and label files of every data set that is rendered."""
TEXTS = {
    "celebamask_hq": ("CelebAMask-HQ-attribute-anno.txt", "CelebA-HQ-to-CelebA-mapping.txt", "captions_hq.json"),
    "celeba_hq": ("CelebAMask-HQ-attribute-anno.txt", "CelebA-HQ-to-CelebA-mapping.txt", "captions_hq.json"),
    "ffhq": ("ffhq-dataset-v2.json",),
    "imagenet": ("captions.json", "LOC_synset_mapping.txt"),
}
"""Their annotation files."""
CHANGES = (("-1", " 1"), ("training", "validation"), (" on ", " in "), ('": "A', '": "B'), ("0", "7"))
"""Old and new text; the first that occurs is changed."""


def rendered(entry: DataSet, folder):
    assert entry.render is not None
    entry.render(folder / entry.folder, count=48, image_size=16)
    return DataConfig(dataset=entry.name, image_size=16).open(folder)


def same_times(path, write) -> None:
    """Change a file and give it its old time of change, as unpacking an archive does."""
    before = path.stat()
    write(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize(("name", "folder"), [(name, folder) for name, places in FOLDERS.items() for folder in places])
def test_two_files_that_change_places_are_packed_anew(name: str, folder: str, tmp_path) -> None:
    """All names, and the sizes and times of all files together, stay as they were: part masks of an eye and of another eye."""
    data = rendered(data_set(name), tmp_path)
    data.prepare_data()
    before = data.fingerprint()
    files = sorted(path for path in (data.root / folder).iterdir() if not path.name.endswith("_color.png"))
    first = files[0]
    second = next(path for path in files[1:] if path.read_bytes() != first.read_bytes())
    for path, other in ((first, second.read_bytes()), (second, first.read_bytes())):
        same_times(path, lambda path, other=other: path.write_bytes(other))
    written = (data.folder / "images.npy", data.folder / "photos.npy", data.folder / "days.npy")
    [pixels] = [path for path in written if path.exists()]
    inode = pixels.stat().st_ino
    data.prepare_data()
    assert data.fingerprint() != before
    assert pixels.stat().st_ino != inode


@pytest.mark.parametrize(("name", "file"), [(name, file) for name, files in TEXTS.items() for file in files])
def test_another_text_of_the_same_length_is_packed_anew(name: str, file: str, tmp_path) -> None:
    data = rendered(data_set(name), tmp_path)
    data.prepare_data()
    before, text = data.fingerprint(), (data.root / file).read_text()
    old, new = next(change for change in CHANGES if change[0] in text)
    same_times(data.root / file, lambda path: path.write_text(text[:60] + text[60:].replace(old, new, 1)))
    data.prepare_data()
    assert data.fingerprint() != before


def test_every_rendered_data_set_is_tried() -> None:
    assert set(FOLDERS) == {entry.name for entry in DATA_SETS if entry.render}


def test_another_label_of_a_validation_image_is_packed_anew(tmp_path) -> None:
    """Labels count, whichever file they come from."""
    from datamodules.imagenet import ImageNet

    for name in ("n00000001", "n00000002"):
        write_image(tmp_path / "train" / name / f"{name}_0.JPEG")
    write_image(tmp_path / "val" / "ILSVRC2012_val_00000001.JPEG")
    write_image(tmp_path / "val" / "ILSVRC2012_val_00000002.JPEG", seed=1)
    labels = tmp_path / "val_labels.txt"
    names = ("ILSVRC2012_val_00000001", "ILSVRC2012_val_00000002")
    labels.write_text("".join(f"{name}.JPEG {wnid}\n" for name, wnid in zip(names, ("n00000001", "n00000002"))))
    before = opened(ImageNet, tmp_path).fingerprint()
    labels.write_text("".join(f"{name}.JPEG {wnid}\n" for name, wnid in zip(names, ("n00000002", "n00000001"))))
    data = opened(ImageNet, tmp_path, conditions=("label",))
    assert data.fingerprint() != before


def test_a_copy_with_other_times_is_read_again_once_and_not_packed(tmp_path, monkeypatch) -> None:
    root = make_celeba(tmp_path / "faces")
    write_attributes(root, 4)
    data = opened(data_set("celebamask_hq").module, root)
    before, inode = data.fingerprint(), (data.folder / "index.json").stat().st_ino
    for path in root.rglob("*.*"):
        os.utime(path)
    data.prepare_data()
    assert (data.fingerprint(), (data.folder / "index.json").stat().st_ino) == (before, inode)
    monkeypatch.setattr(sources, "SETTLED", 0)
    data.prepare_data()  # what had just been written is read once more
    monkeypatch.setattr("hashlib.file_digest", None)
    data.prepare_data()
    (root / "CelebA-HQ-img" / "2.jpg").touch()
    with pytest.raises(TypeError):  # and this one would be read
        data.prepare_data()


def test_a_file_that_has_just_been_written_is_not_trusted(tmp_path, monkeypatch) -> None:
    """It may change again within one tick of its file system's clock."""
    (tmp_path / "train").mkdir()
    data = rendered(data_set("night2day"), tmp_path)
    files = data.check()
    found = sources.look(files)
    now = time.time_ns()
    later = sources.read(found, {}, files)
    assert not later["files"].stamps[0].any()
    monkeypatch.setattr("time.time_ns", lambda: now + 10 * sources.SETTLED)
    assert sources.unchanged(found, sources.read(found, later, files))


def test_a_list_of_sources_that_is_lost_or_damaged_is_made_again(tmp_path) -> None:
    data = opened(data_set("celebamask_hq").module, make_celeba(tmp_path / "faces"))
    before = data.fingerprint()
    for damage in (lambda path: path.unlink(), lambda path: path.write_bytes(path.read_bytes()[:90])):
        damage(data.folder / sources.SOURCES)
        data.prepare_data()
        assert data.fingerprint() == before
        assert set(sources.read_sources(data.folder)) == {"pixels", "text"}


def test_a_run_made_on_other_label_maps_is_an_error(tmp_path) -> None:
    """Fault B1: part masks rewritten under the same names went unnoticed, and runs on old and new ones mixed."""
    data, run = small_runs.write_data(tmp_path / "data"), small_runs.expert(steps=1)
    place = small_runs.workspace(data, tmp_path / "runs")
    prepare_data(place, [run])
    assert not stages.is_done(place, run, [])
    masks = data / "CelebAMask-HQ" / "CelebAMask-HQ-mask-anno" / "0"
    (masks / "00003_hair.png").write_bytes((masks / "00003_skin.png").read_bytes())
    training_data(run, place.data, place.cache).prepare_data()  # as Lightning does, before a training
    assert not stages.is_done(place, run, [])  # the command goes on with what it read at its start
    prepare_data(place, [run])
    with pytest.raises(
        UserError, match=r"expert was made with other settings \(fingerprints.celebamask_hq: '\w+' there"
    ):
        stages.is_done(place, run, [])


def test_a_run_never_opens_data_that_were_packed_anew_since_it_began(tmp_path) -> None:
    data, run = small_runs.write_data(tmp_path / "data"), small_runs.expert(steps=1)
    place = small_runs.workspace(data, tmp_path / "runs")
    prepare_data(place, [run])
    assert not stages.is_done(place, run, [])
    masks = data / "CelebAMask-HQ" / "CelebAMask-HQ-mask-anno" / "0"
    (masks / "00003_hair.png").write_bytes((masks / "00003_skin.png").read_bytes())
    prepare_data(place, [run])  # another process, just now
    with pytest.raises(
        UserError, match="was packed from other files while a run opened it; run the same command again"
    ):
        stages.train(place, run)
    module = place.open(run.data[0])
    for known in (module.fingerprint(), module.earlier_fingerprint(), None):
        module.expected = known
        module.setup()


def earlier_fingerprint(data) -> str:
    """As version 793e9cd computed it from the names and sizes of files."""

    def digest(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    if isinstance(data, FaceDataModule):
        files = data.files()
        suffix = ".png" if isinstance(data, FFHQ) else ".jpg"
        sizes = [
            [f"{n:05d}.png" if suffix == ".png" else f"{n}.jpg", files.image(n).stat().st_size] for n in files.numbers
        ]
        if isinstance(data, FFHQ):
            labels = [path.name for path in (data.root / "label_maps").glob("*.png")]
        else:
            masks = (data.root / "CelebAMask-HQ-mask-anno" / "0").glob("*.png")
            labels = [f"{int(path.stem[:5])}_{path.stem[6:]}" for path in masks] if files.has_label_maps else []
        texts = [[path.name, path.stat().st_size] for path in files.text_files()]
        parts = {"pixels": digest(json.dumps([sizes, sorted(labels)])), "text": digest(json.dumps(texts))}
        found = {"version": 2, **parts}
    else:
        lines = (f"{path.relative_to(data.root)} {path.stat().st_size}\n" for path in data.files().paths())
        found = {"version": 1, "files": digest("".join(lines))}
    return digest(json.dumps(found, sort_keys=True))


@pytest.mark.parametrize("name", FOLDERS)
def test_a_pack_knows_the_fingerprint_that_earlier_versions_recorded(name: str, tmp_path) -> None:
    data = rendered(data_set(name), tmp_path)
    data.prepare_data()
    assert data.earlier_fingerprint() == earlier_fingerprint(data) != data.fingerprint()


def test_a_run_folder_of_an_earlier_version_opens_unless_names_or_sizes_changed(tmp_path) -> None:
    data, run = small_runs.write_data(tmp_path / "data"), small_runs.expert(steps=1)
    place = small_runs.workspace(data, tmp_path / "runs")
    prepare_data(place, [run])
    assert not stages.is_done(place, run, [])
    config = place.runs / run.name / "config.json"
    written = json.loads(config.read_text())
    there = earlier_fingerprint(place.open(run.data[0]))
    config.write_text(json.dumps({**written, "fingerprints": {"celebamask_hq": there}}))
    assert not stages.is_done(place, run, [])
    image = data / "CelebAMask-HQ" / "CelebA-HQ-img" / "3.jpg"
    image.write_bytes(image.read_bytes() + b"\0")
    prepare_data(place, [run])
    with pytest.raises(UserError, match=rf"fingerprints.celebamask_hq: '{there}' there"):
        stages.is_done(place, run, [])


def test_the_index_names_both_parts_of_faces(tmp_path) -> None:
    data = opened(data_set("celebamask_hq").module, make_celeba(tmp_path / "faces"))
    assert set(read_index(data.folder)["fingerprint"]) == {"version", "pixels", "text"}
    assert set(json.loads((data.folder / "digests.json").read_text())) >= {"index.json", "captions.json"}
