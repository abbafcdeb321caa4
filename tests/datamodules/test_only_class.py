"""Training on the images of one class: D_u of label sampling."""

import pickle

import pytest
import torch
from tiny_sets import opened

from datamodules.digits import Digits
from datamodules.mini.image_layouts import write_digits


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "digits"
    write_digits(root)
    return root


def digits(root, **settings):
    return opened(Digits, root, image_size=8, conditions=("label",), batch_size=16, **settings)


def test_the_parts_of_all_classes_are_the_training_images(root):
    everything = digits(root)
    labels = everything.train.batch(range(1500))["conditions"]["label"]
    found = []
    for label in range(10):
        part = digits(root, only_class=label)
        batch = part.train.batch(range(len(part.train)))
        assert batch["conditions"]["label"].unique().tolist() == [label]
        assert torch.equal(batch["index"], (labels == label).nonzero()[:, 0])
        assert torch.equal(batch["image"], everything.train.batch(batch["index"].tolist())["image"])
        found += batch["index"].tolist()
        assert len(part.test) == 297  # judged on all
    assert sorted(found) == list(range(1500))


def test_training_batches_hold_one_class_and_depend_on_the_step_alone(root):
    part = digits(root, only_class=7)
    batches = part.train_batches()
    seen = [batches(step) for step in range(12)]
    assert all((b["conditions"]["label"] == 7).all() and len(b["index"]) == 16 for b in seen)
    epoch = len(part.train) // 16
    assert len(torch.cat([b["index"] for b in seen[:epoch]]).unique()) == 16 * epoch  # no image twice in a pass
    again = pickle.loads(pickle.dumps(part.train_batches()))(5)
    assert torch.equal(again["image"], seen[5]["image"])


def test_a_class_without_images(root):
    with pytest.raises(ValueError, match="no training image is of class 10"):
        digits(root, only_class=10)
