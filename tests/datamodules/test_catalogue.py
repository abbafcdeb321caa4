"""Every data set of the catalogue at smoke size, and what a DataConfig refuses when it is made."""

from dataclasses import replace

import pytest
import torch

from datamodules.batches.masking import MaskConfig
from datamodules.catalogue import DATA_SETS, DataSet, data_set
from datamodules.config import COMMON, DataConfig
from datamodules.night2day import Night2Day
from lightning_mmdiff.errors import UserError

MASKS = MaskConfig(low=1, high=2, patch=4)
WRONG = {"captions": "celeba-dialog", "split": "official", "masks": MASKS, "only_class": 1, "label_size": 8}
"""A value of each field that not every data set takes, other than its default."""
RENDERING = [entry for entry in DATA_SETS if entry.render]
COUNT, SIZE = 48, 16
"""Of rendered images at smoke."""


def named(entry: DataSet) -> str:
    return entry.name


def test_names_are_unique_and_options_are_fields() -> None:
    names = [entry.name for entry in DATA_SETS]
    assert len(set(names)) == len(names)
    fields = set(DataConfig.__dataclass_fields__) - set(COMMON)
    assert fields == set(WRONG)
    for entry in DATA_SETS:
        assert set(entry.module.options) <= fields
        assert data_set(entry.name) is entry
        assert entry.source


@pytest.mark.parametrize("entry", RENDERING, ids=named)
def test_a_batch_of_every_data_set_with_every_condition_it_knows(entry: DataSet, tmp_path) -> None:
    known = [name for name in entry.module.known_conditions if name != "label_picture"]  # the image itself
    options = {"masks": MASKS} if "masked_image" in known else {}
    options |= {"captions": "celeba-dialog"} if "captions" in entry.module.options else {}
    if entry.name in ("cifar10", "digits"):
        known.remove("caption")  # who has them puts captions.json there; the renderer does not
    config = DataConfig(dataset=entry.name, image_size=SIZE, conditions=tuple(known), **options)
    entry.render(tmp_path / entry.folder, count=COUNT, image_size=SIZE)
    data = config.open(tmp_path, batch_size=4)
    data.prepare_data()
    data.setup()
    assert len(data.check()) == len(data.train) + len(data.test)
    batch = next(iter(data.train_dataloader()))
    assert batch["image"].shape == (4, 3, SIZE, SIZE)
    assert batch["image"].dtype == torch.uint8
    assert set(known) <= set(batch["conditions"])
    assert len(data.fingerprint()) == 16


def test_packed_data_goes_to_the_cache_unless_it_lies_beside_its_files(tmp_path) -> None:
    config = DataConfig(dataset="night2day", image_size=SIZE, conditions=("photo",))
    data = config.open(tmp_path, batch_size=3, seed=5, cache=tmp_path / "cache")
    assert isinstance(data, Night2Day)
    assert (data.root, data.batch_size, data.seed) == (tmp_path / "night2day", 3, 5)
    assert data.folder.is_relative_to(tmp_path / "cache")
    (tmp_path / "night2day" / ".packed" / f"{SIZE}px").mkdir(parents=True)
    assert config.open(tmp_path, cache=tmp_path / "cache").folder == tmp_path / "night2day" / ".packed" / f"{SIZE}px"


@pytest.mark.parametrize("field", WRONG)
@pytest.mark.parametrize("entry", DATA_SETS, ids=named)
def test_a_field_that_a_data_set_does_not_take_is_an_error(entry: DataSet, field: str) -> None:
    known = entry.module.known_conditions
    conditions = ("hair",) if "hair" in known else ()  # label_size is the size of some condition
    given = {"dataset": entry.name, "image_size": SIZE, "conditions": conditions, field: WRONG[field]}
    if field in entry.module.options:
        assert DataConfig(**given).options[field] == WRONG[field]
        return
    takers = ", ".join(other.name for other in DATA_SETS if field in other.module.options)
    with pytest.raises(UserError, match=f"{entry.name} takes no {field}, .*: leave it out, or choose one of {takers}"):
        DataConfig(**given)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("dataset", "celebamask-hq", r"Unknown data set 'celebamask-hq': .*; did you mean 'celebamask_hq'\?"),
        (
            "dataset",
            "mnist-1d-2020",
            r"Unknown data set 'mnist-1d-2020': choose from celebamask_hq, .*scenes_balanced\.$",
        ),
        ("conditions", ("hairs",), r"Unknown condition 'hairs': .*; did you mean 'hair'\?"),
        ("conditions", ("hair", "label"), "Unknown condition 'label'"),
        ("conditions", ("caption",), "Condition 'caption' needs captions="),
        ("captions", "celeba_dialog", r"captions='celeba_dialog'; expected one of .*; did you mean 'celeba-dialog'\?"),
        ("split", "papers", r"split='papers'; expected one of .*; did you mean 'paper'\?"),
        ("split", None, "split=None; expected one of"),
        ("image_size", 0, "celebamask_hq at image_size=0: expected at least 1 pixel"),
        ("image_size", -64, "expected at least 1 pixel"),
    ],
)
def test_a_wrong_value_is_an_error_that_names_the_nearest_right_one(field, value, words) -> None:
    right = DataConfig(dataset="celebamask_hq", image_size=SIZE, conditions=("hair",))
    with pytest.raises(UserError, match=words):
        replace(right, **{field: value})


@pytest.mark.parametrize(
    ("dataset", "conditions", "words"),
    [
        ("ffhq", ("attributes",), "Unknown condition 'attributes'"),
        ("celeba_hq", ("mask",), "Unknown condition 'mask'"),
        ("cityscapes", ("label_picture",), "label_picture is the image itself; its condition is photo"),
        ("imagenet", ("masked_image",), "Condition 'masked_image' needs masks="),
        ("night2day", ("foto",), r"did you mean 'photo'\?"),
    ],
)
def test_conditions_that_a_data_set_cannot_give_are_refused(dataset, conditions, words) -> None:
    with pytest.raises(UserError, match=words):
        DataConfig(dataset=dataset, image_size=SIZE, conditions=conditions)


def test_a_class_below_zero_is_refused() -> None:
    with pytest.raises(UserError, match="only_class is -1, but classes count from 0"):
        DataConfig(dataset="digits", image_size=8, only_class=-1)
