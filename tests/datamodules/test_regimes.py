import itertools

import pytest
import torch

from datamodules.celebamask_hq import CelebAMaskHQ
from datamodules.ffhq import FFHQ
from datamodules.regimes import CombinedDataModule, joined, turn


def alternating(celeba_root, ffhq_root, **settings):
    hair = CelebAMaskHQ(root=celeba_root, image_size=32, batch_size=4, conditions=("hair",), seed=1, flip=True)
    skin = FFHQ(root=ffhq_root, image_size=32, batch_size=4, conditions=("skin",), seed=2)
    data = CombinedDataModule(data=(hair, skin), **settings)
    data.prepare_data()
    data.setup()
    return data


def first(data, count):
    return list(itertools.islice(data.train_dataloader(), count))


def test_turns():
    assert [turn(step, "combined", 3, 0) for step in range(7)] == [
        (0, 0),
        (1, 0),
        (2, 0),
        (0, 1),
        (1, 1),
        (2, 1),
        (0, 2),
    ]
    assert [turn(step, "fine_tuning", 2, 3) for step in range(6)] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]


def test_combined_alternates_and_shows_each_set_its_own_condition(celeba_root, ffhq_root):
    data = alternating(celeba_root, ffhq_root, regime="combined")
    batches = first(data, 6)
    assert [list(batch["conditions"]) for batch in batches] == [["hair"], ["skin"]] * 3
    for which, module in enumerate(data.data):
        alone = first(module, 3)
        assert all(torch.equal(a["image"], b["image"]) for a, b in zip(alone, batches[which::2]))


def test_fine_tuning_switches_once(celeba_root, ffhq_root):
    data = alternating(celeba_root, ffhq_root, regime="fine_tuning", switch_step=3)
    assert [list(batch["conditions"])[0] for batch in first(data, 6)] == ["hair"] * 3 + ["skin"] * 3


def test_a_mixed_batch_has_the_rows_of_all_sets(celeba_root, ffhq_root):
    modules = [make(root=root, image_size=32, batch_size=2, conditions=("hair",), seed=1) for make, root in (
        (CelebAMaskHQ, celeba_root), (FFHQ, ffhq_root)
    )]  # fmt: skip
    data = CombinedDataModule(data=tuple(modules), regime="mixed")
    data.prepare_data()
    data.setup()
    for batch, *alone in zip(first(data, 3), *(first(module, 3) for module in modules)):
        assert torch.equal(batch["image"], torch.cat([part["image"] for part in alone]))
        assert torch.equal(batch["conditions"]["hair"], torch.cat([part["conditions"]["hair"] for part in alone]))


def test_texts_are_mixed_like_tensors_and_other_entries_are_refused():
    one, two = {"x": torch.tensor([1]), "text": ["a", "b"]}, {"x": torch.tensor([2]), "text": ["c"]}
    both = joined([one, two])
    assert both["text"] == ["a", "b", "c"]
    assert both["x"].tolist() == [1, 2]
    with pytest.raises(ValueError, match="same entries can be mixed"):
        joined([one, {"x": torch.tensor([2])}])


@pytest.mark.parametrize("settings", [{"regime": "combined"}, {"regime": "fine_tuning", "switch_step": 4}])
def test_starting_at_a_step_gives_the_batches_from_there(celeba_root, ffhq_root, settings):
    data = alternating(celeba_root, ffhq_root, **settings)
    whole = first(data, 9)
    data.start_step = 3
    for expected, batch in zip(whole[3:], first(data, 6)):
        assert torch.equal(batch["image"], expected["image"])
        assert torch.equal(batch["index"], expected["index"])


def test_sampling_reads_the_first(celeba_root, ffhq_root):
    data = alternating(celeba_root, ffhq_root, regime="combined")
    data.predict_batches = [[3, 1]]
    assert [batch["index"].tolist() for batch in data.predict_dataloader()] == [[3, 1]]
    assert data.test is data.data[0].test


def test_bad_settings_are_explained(celeba_root):
    one = CelebAMaskHQ(root=celeba_root, image_size=32, batch_size=4)
    with pytest.raises(ValueError, match="2 data sets and a switch_step of at least 1, got 1 and 5"):
        CombinedDataModule(data=(one,), regime="fine_tuning", switch_step=5)
    with pytest.raises(ValueError, match="at least one data set"):
        CombinedDataModule(data=(), regime="combined")
