"""Rendered scenes: what they show and how often, the layout, prompts, and lists that are wrong."""

import json

import numpy as np
import pytest
import torch
from tiny_sets import opened

from datamodules.mini import objects, scenes
from datamodules.mini.scene_layouts import CAPTIONS as SHARES
from datamodules.mini.scene_layouts import PLAIN, write_balanced_scenes, write_close_things, write_scenes
from datamodules.scenes import CAPTIONS, LIST, Scenes, full_caption, object_caption


def drawn(numbers, size=32, part="train"):
    return scenes.render(scenes.invent(0, part, np.asarray(numbers)), size)


@pytest.mark.parametrize("part", ["train", "test", "balanced", "close"])
def test_a_picture_depends_on_its_number_alone(part):
    pictures = drawn(range(20), part=part)
    assert np.array_equal(drawn([17, 3], part=part), pictures[[17, 3]])
    assert len({picture.tobytes() for picture in pictures}) == 20


def test_asked_things_are_rare_in_training_and_in_every_test_picture():
    names = np.array([*objects.NAMES, "nothing"])
    train = names[scenes.invent(0, "train", np.arange(20_000)).things.thing]
    assert np.isin(train, scenes.RARE).mean() == pytest.approx(0.02, abs=0.005)
    assert np.isin(train, scenes.COMMON).mean() == pytest.approx(0.6, abs=0.02)
    test = scenes.invent(0, "test", np.arange(240))
    pairs, counts = np.unique(np.stack([test.scene, test.things.thing]), axis=1, return_counts=True)
    assert pairs.shape[1] == 6 * 4
    assert (counts == 10).all()
    assert set(names[test.things.thing]) == set(scenes.RARE)
    first = scenes.invent(0, "test", np.arange(10))
    assert len(set(zip(first.scene.tolist(), first.things.thing.tolist()))) == 10  # a sheet shows ten different pairs


def test_a_thing_changes_only_the_middle_and_can_be_seen():
    for part in ("train", "balanced", "close"):
        invented = scenes.invent(0, part, np.arange(300))
        bare = scenes.Scenes(
            scene=invented.scene, draws=invented.draws,
            things=objects.Objects(
                thing=np.full(300, scenes.NOTHING), color=invented.things.color, background=invented.things.background,
                draws=invented.draws,
            ),
        )  # fmt: skip
        difference = np.abs(scenes.render(invented, 32).astype(int) - scenes.render(bare, 32)).max(axis=1)  # [B, S, S]
        has = invented.things.thing != scenes.NOTHING
        assert (difference[~has] == 0).all()
        assert ((difference[has] > 40).mean(axis=(1, 2)) > 0.03).mean() > 0.95  # at least 30 of 1,024 pixels, clearly
        assert ((difference[has] > 15).mean(axis=(1, 2)) > 0.03).all()
        assert (difference[:, :3] <= 60).all()  # the sky's top: at most a shadow


def test_scenes_are_told_apart_by_their_mean_colors_most_of_the_time():
    labels = scenes.invent(0, "train", np.arange(600)).scene
    top, bottom = (drawn(range(600))[:, :, rows].mean(axis=(2, 3)) for rows in (slice(0, 10), slice(22, 32)))
    features = np.concatenate([top, bottom, np.ones((600, 1))], axis=1)
    weights = np.linalg.lstsq(features[:400], np.eye(6)[labels[:400]], rcond=None)[0]
    assert ((features[400:] @ weights).argmax(1) == labels[400:]).mean() > 0.9


@pytest.mark.parametrize(
    ("write", "part"), [(write_scenes, "train"), (write_balanced_scenes, "balanced"), (write_close_things, "close")]
)
def test_the_layout_is_read_as_it_was_written(tmp_path, write, part):
    write(tmp_path / "scenes", count=40, image_size=16)
    data = opened(Scenes, tmp_path / "scenes", image_size=16, conditions=Scenes.known_conditions)
    assert (len(data.train), len(data.test)) == (40, 10)
    invented = scenes.invent(0, part, np.arange(40))
    batch = data.train.batch(range(40))
    assert np.array_equal(batch["image"].numpy(), scenes.render(invented, 16))
    assert batch["conditions"]["label"].tolist() == invented.things.thing.tolist()
    assert batch["conditions"]["scene"].tolist() == invented.scene.tolist()
    assert batch["conditions"]["first_class"].tolist() == [0] * 40
    texts = (*scenes.NAMES, PLAIN)
    for i, caption in enumerate(batch["conditions"]["caption"]):
        scene, thing = texts[invented.scene[i]], [*objects.NAMES, None][invented.things.thing[i]]
        expected = {scene} if thing is None else {object_caption(thing), full_caption(scene, thing)}
        expected |= {scene} if part == "train" else set()
        assert caption in expected
    again = data.train.draw([])
    assert all(again["conditions"][name] == [] for name in CAPTIONS)


def test_things_close_up_stand_on_colors_of_two_scenes():
    close = scenes.invent(0, "close", np.arange(2000))
    assert set(close.scene.tolist()) == {len(scenes.NAMES)}
    counts = np.bincount(close.things.thing, minlength=len(objects.NAMES) + 1)
    assert counts[scenes.NOTHING] == 0
    assert (counts[:-1] > 140).all()  # 200 of each expected, standard deviation 13
    corners = scenes.render(close, 16)[:, :, [0, -1]].reshape(2000, -1)
    grounds = np.unique((corners[:, [0, 16, 32]] // 32), axis=0)
    assert len(grounds) >= 5  # skies of the six scenes: the meadow's, the sea's and the road's are alike


def test_half_of_the_captions_leave_the_thing_out(tmp_path):
    """A text model learns that "a meadow" is often one with something in it, so the text does not forbid a thing."""
    write_scenes(tmp_path / "scenes", count=2000, image_size=8)
    pictures = [p for p in json.loads((tmp_path / "scenes" / LIST).read_text())["pictures"] if p["file"][:5] == "train"]
    with_thing = [p for p in pictures if p["thing"] != scenes.NOTHING]
    bare = [p["caption"] == scenes.NAMES[p["scene"]] for p in with_thing]
    assert np.mean(bare) == pytest.approx(SHARES[0], abs=0.05)
    assert all(p["caption"] == scenes.NAMES[p["scene"]] for p in pictures if p["thing"] == scenes.NOTHING)


def test_prompts_of_the_asked_pairs(tmp_path):
    write_scenes(tmp_path / "scenes", count=40, image_size=16)
    data = opened(Scenes, tmp_path / "scenes", image_size=16, conditions=Scenes.known_conditions)
    conditions = data.test.batch([0, 1])["conditions"]
    assert conditions["caption"] == ["a meadow", "the sea"]
    assert conditions["object_caption"] == ["a star in the photo", "a heart in the photo"]
    assert conditions["full_caption"] == ["a meadow and a star in the photo", "the sea and a heart in the photo"]
    others = [text.removeprefix("a ").removesuffix(" in the photo") for text in conditions["other_caption"]]
    assert set(others) <= set(scenes.COMMON)
    assert object_caption("ox") == "an ox in the photo"


def broken(root, change):
    listed = json.loads((root / LIST).read_text())
    change(listed)
    (root / LIST).write_text(json.dumps(listed))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: x.pop("things"), "scenes.json: has no list 'things'"),
        (lambda x: x["pictures"][3].pop("scene"), "scenes.json: has the picture .*'train/3.png'"),
        (lambda x: x["pictures"][3].update(thing=11), "scenes.json: has the picture .*'train/3.png'"),
        (lambda x: x["pictures"].append("train/3.png"), "scenes.json: has the picture 'train/3.png'"),
        (lambda x: x["pictures"][3].update(other="dog"), "scenes.json: has the picture .*'train/3.png'"),
        (lambda x: x["pictures"][3].update(file="train/none.png"), "none.png"),
    ],
)
def test_a_wrong_list_is_one_sentence_that_names_it(tmp_path, change, words):
    write_scenes(tmp_path / "scenes", count=8, image_size=16)
    broken(tmp_path / "scenes", change)
    with pytest.raises(ValueError, match=words):
        opened(Scenes, tmp_path / "scenes", image_size=16)


def test_labels_are_those_of_the_rendered_imagenet():
    """The class model's label of a thing is the number by which scenes name it."""
    assert torch.equal(torch.arange(10), torch.tensor([objects.NAMES.index(name) for name in objects.NAMES]))
    assert scenes.NOTHING == 10
    assert set(scenes.COMMON) | set(scenes.RARE) == set(objects.NAMES)
