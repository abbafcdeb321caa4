import json

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_sets import opened
from torch.nn import functional

from datamodules.batches.randomness import Draws
from datamodules.cifar10 import CIFAR10
from datamodules.cityscapes import NAMES, TRAIN_ID_OF, CityscapesFiles, label_picture
from datamodules.imagenet import ImageNet
from datamodules.mini import objects, streets
from datamodules.mini.image_layouts import write_cifar10, write_cityscapes, write_imagenet, write_night2day
from datamodules.mini.things import THINGS

HEIGHTS = ("sky", "building", "person", "road")  # from above


def drawn_objects(numbers, size=32, seed=0, part="train"):
    return objects.render(objects.invent(seed, part, np.asarray(numbers)), size)


def drawn_streets(numbers, size=32, seed=0, **options):
    return streets.render(Draws("streets", seed, indices=np.asarray(numbers)), size, **options)


@pytest.mark.parametrize("size", [16, 32, 64])
def test_a_picture_depends_on_its_number_alone(size):
    things = drawn_objects(range(24), size)
    scenes = {night: drawn_streets(range(24), size, night=night) for night in (False, True)}
    for numbers in ([17], [23, 3, 17], range(4, 20)):
        assert np.array_equal(drawn_objects(numbers, size), things[list(numbers)])
        for night, (images, labels) in scenes.items():
            some_images, some_labels = drawn_streets(numbers, size, night=night)
            assert np.array_equal(some_images, images[list(numbers)])
            assert np.array_equal(some_labels, labels[list(numbers)])


def test_seeds_and_parts_differ():
    pictures = [drawn_objects(range(4)), drawn_objects(range(4), seed=1), drawn_objects(range(4), part="val")]
    assert all(len({image.tobytes() for image in images}) == 3 for images in zip(*pictures))


def test_every_outline_is_a_closed_shape_of_similar_size():
    line = (np.arange(400, dtype=np.float32) + 0.5) / 100 - 2
    u, v = np.meshgrid(line, line)
    for name, shape in THINGS.items():
        inside = shape(u, v) < 0
        assert 0.7 < inside.sum() / 100**2 < 2.6, name
        assert not inside[[0, -1]].any(), name
        assert not inside[:, [0, -1]].any(), name
        assert np.abs(u[inside]).max() < 1.05, name
        assert np.abs(v[inside]).max() < 1.05, name
        steps = np.abs(np.diff(shape(u, v), axis=1)) / 0.01
        assert np.quantile(steps, 0.99) < 1.3, name  # a distance grows by at most the way walked
    masks = [(shape(u, v) < 0) for shape in THINGS.values()]
    assert len({mask.tobytes() for mask in masks}) == 10


def test_captions_say_what_is_drawn():
    invented = objects.invent(0, "train", np.arange(400))
    assert (invented.color != invented.background).all()
    pictures = objects.render(invented, 32).astype(float) / 255
    texts = objects.captions(invented)
    reds = np.array(["red box" in text or "red ball" in text for text in texts])
    center = pictures[:, :, 12:20, 12:20].mean((2, 3))
    assert reds.sum() > 3
    assert (center[reds, 0] > center[reds, 1:].max(1) + 0.2).all()
    assert all(text.startswith("an orange" if " orange " in text[:10] else "a ") for text in texts)


def test_a_class_is_learned_within_its_images_but_not_from_single_pixels():
    images, labels = drawn_objects(range(600), 16), np.arange(600) % 10
    flat = torch.from_numpy(images).float().flatten(1) / 255
    weights = torch.linalg.lstsq(flat[:500], functional.one_hot(torch.from_numpy(labels[:500]), 10).float()).solution
    accuracy = ((flat[500:] @ weights).argmax(1).numpy() == labels[500:]).mean()
    assert accuracy < 0.6


@pytest.mark.slow
def test_a_small_network_learns_the_classes(tmp_path):
    write_imagenet(tmp_path / "imagenet", count=4000, image_size=32)
    data = opened(ImageNet, tmp_path / "imagenet", conditions=("label",), batch_size=64, flip=True)
    torch.manual_seed(0)
    layers, last = [], 3
    for channels, stride in ((24, 1), (48, 2), (96, 2), (96, 2)):
        convolution = torch.nn.Conv2d(last, channels, 3, stride, 1)
        layers += [convolution, torch.nn.BatchNorm2d(channels), torch.nn.ReLU()]
        last = channels
    network = torch.nn.Sequential(*layers, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(last, 10))
    optimizer, batches = torch.optim.AdamW(network.parameters(), 3e-3), data.train_batches()
    for step in range(500):
        batch = batches(step)
        loss = functional.cross_entropy(network(batch["image"].float() / 127.5 - 1), batch["conditions"]["label"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    test = data.test.batch(range(len(data.test)))
    with torch.no_grad():
        predicted = network.eval()(test["image"].float() / 127.5 - 1).argmax(1)
    assert (predicted == test["conditions"]["label"]).float().mean() > 0.9


def test_streets_have_17_classes_where_they_belong():
    labels = TRAIN_ID_OF[drawn_streets(range(250), 32)[1]]
    share = {name: (labels == k).mean() for k, name in enumerate(NAMES)}
    absent = {name for name, value in share.items() if value == 0}
    assert absent == {"train", "motorcycle"}
    for name in ("road", "sidewalk", "building", "sky", "vegetation"):
        assert share[name] > 0.08, name
    assert 0.01 < (labels == 255).mean() < 0.08
    rows = np.arange(32)[None, :, None]
    height = {
        name: (rows * (labels == NAMES.index(name))).sum() / (labels == NAMES.index(name)).sum() for name in HEIGHTS
    }
    assert [*sorted(height, key=height.get)] == list(HEIGHTS)


def test_night_darkens_the_same_street():
    day, labels = drawn_streets(range(40))
    night, night_labels = drawn_streets(range(40), night=True)
    assert np.array_equal(labels, night_labels)
    assert (night.mean((1, 2, 3)) < 0.55 * day.mean((1, 2, 3))).all()
    assert (night.max((1, 2, 3)) > 140).mean() > 0.8  # windows and lamps


def test_streets_in_the_official_layout_are_what_was_drawn(streets_root):
    files = CityscapesFiles(streets_root)
    assert (files.num_train, files.num_test) == (12, 3)
    for part, first, count in (("train", 0, 12), ("val", 12, 3)):
        images, label_ids = streets.render(Draws("streets", 3, part, indices=np.arange(count)), 32)
        for i in range(count):
            assert np.array_equal(np.asarray(Image.open(files.photo(first + i))).transpose(2, 0, 1), images[i])
            assert np.array_equal(files.label_map(first + i), TRAIN_ID_OF[label_ids[i]])
            color = str(files.label_file(first + i)).replace("labelIds", "color")
            shown = np.asarray(Image.open(color)).transpose(2, 0, 1)
            assert np.array_equal(shown, label_picture(TRAIN_ID_OF[label_ids[i]]))


def test_objects_in_the_official_layout(objects_root):
    names = [str(path.relative_to(objects_root)) for path in objects_root.glob("*/*/*.JPEG")]
    assert len([name for name in names if name.startswith("train/")]) == 40
    assert "val/n90000003/ILSVRC2012_val_00000004.JPEG" in names
    assert set(json.loads((objects_root / "captions.json").read_text())) == set(names)
    picture = np.asarray(Image.open(objects_root / "train" / "n90000007" / "n90000007_17.JPEG")).transpose(2, 0, 1)
    assert np.abs(picture.astype(int) - drawn_objects([17], seed=3)[0]).mean() < 2  # JPEG at quality 100


@pytest.mark.parametrize("write", [write_imagenet, write_cityscapes, write_night2day])
def test_writing_twice_is_a_no_op_and_another_set_is_refused(tmp_path, write):
    root = tmp_path / "set"
    write(root, count=10, image_size=16)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    write(root, count=10, image_size=16)
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    with pytest.raises(ValueError, match="holds rendered images with .*expected .*delete this one"):
        write(root, count=10, image_size=16, seed=1)
    (tmp_path / "full").mkdir()
    with pytest.raises(ValueError, match="holds no rendered images"):
        write(tmp_path / "full", count=10, image_size=16)


def test_too_few_objects_for_their_classes(tmp_path):
    with pytest.raises(ValueError, match="count is 4, but there are 10 classes"):
        write_imagenet(tmp_path / "never", count=4, image_size=16)


def test_an_interrupted_writing_leaves_no_folder(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("datamodules.mini.image_layouts.write_png", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_cityscapes(tmp_path / "streets", count=3, image_size=16)
    assert [path.name for path in tmp_path.iterdir()] == [".streets.lock"]


def test_objects_in_the_layout_of_cifar10(tmp_path):
    write_cifar10(tmp_path / "cifar10", count=21, image_size=16)
    module = opened(CIFAR10, tmp_path / "cifar10", image_size=16, conditions=("label",))
    assert (len(module.train), len(module.test)) == (21, 10)
    batch = module.test.batch(range(10))
    assert batch["conditions"]["label"].tolist() == list(range(10))
    drawn = drawn_objects(range(10), 16, part="val").astype(int)
    assert np.abs(drawn - batch["image"].numpy()).mean() < 8  # JPEG
    with pytest.raises(ValueError, match="count is 9, but CIFAR-10 has 10 classes"):
        write_cifar10(tmp_path / "few", count=9, image_size=16)
