"""MT-Diffusion's recipes: the published setting at paper, and what the rows of its tables share."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from experiments import build, finetuning_curve, table5
from experiments.evaluation import Evaluation
from experiments.recipes import mt_diffusion as recipes
from lightning_mmdiff.methods.denoiser import DenoiserConfig
from lightning_mmdiff.methods.mt_network import MTDiffusionConfig


def parameters(run) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in build.model(replace(run, initial=None, needs=()), Path()).parameters())


@pytest.mark.parametrize(
    ("run", "count"),
    [
        (recipes.adm("paper", 0, label=False), 295_136_454),
        (recipes.adm("paper", 0, label=True), 295_904_454),
        (recipes.adm("paper", 0, label=True, size=128), 421_529_606),
        (recipes.noisy_classifier("paper", 0), 65_438_568),
        (recipes.noisy_classifier("paper", 0, size=128), 42_568_040),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_paper_networks_have_the_published_numbers_of_parameters(run, count: int) -> None:
    assert parameters(run) == count


def test_a_masked_image_costs_its_output_block_and_input_channels() -> None:
    alone = parameters(recipes.adm("paper", 0, label=False))
    block = 2 * 192 + (192 * 3 * 9 + 3)  # group norm and convolution to three channels (App. E.2)
    assert parameters(recipes.masked_image("paper", 0, concatenate=False)) == alone + block
    assert parameters(recipes.masked_image("paper", 0)) == alone + block + 3 * 192 * 9


def test_hyperparameters_are_those_of_the_appendix() -> None:
    masked, labelled = recipes.masked_image("paper", 0), recipes.image_label("paper", 0, head="middle")
    assert (masked.batch_size, labelled.batch_size) == (80, 75)  # E.2, E.3
    for run in (masked, labelled):
        assert isinstance(run.model, MTDiffusionConfig)
        assert (run.model.schedule, run.model.optimizer.lr, run.model.prediction) == ("cosine", 7e-5, "eps")
        assert run.trainer.max_steps == 1_000_000  # "before convergence at 1M iteration", Sec. 4.1
        assert {m.weight for m in run.model.modalities} == {0.1}  # lambda
    masks = masked.data[0].masks
    assert masks is not None
    assert (masks.low, masks.high, masks.patch) == (0, 10, 16)


@pytest.mark.parametrize("profile", ["smoke", "mini"])
def test_rows_of_a_table_have_equal_training(profile) -> None:
    runs = [
        recipes.adm(profile, 0, label=False), recipes.adm(profile, 0, label=True), recipes.masked_image(profile, 0),
        recipes.masked_image(profile, 0, concatenate=False), recipes.image_label(profile, 0, head="output"),
    ]  # fmt: skip
    assert len({(r.batch_size, r.trainer) for r in runs}) == 1
    models = [r.model for r in runs if isinstance(r.model, DenoiserConfig | MTDiffusionConfig)]
    assert len(models) == len(runs)
    assert len({(m.optimizer, m.schedule, m.prediction, m.min_snr) for m in models}) == 1


def test_every_row_restores_the_same_holes() -> None:
    data = {row.sample.data for row in table5.rows("mini", 0, 10) if row.sample}
    assert data == {recipes.with_holes("mini", 64, 10)}


def test_the_curves_have_equal_steps_and_judge_without_the_label() -> None:
    curves = [
        finetuning_curve.curve("mini", recipes.image_label("mini", 0, head="output"), "a"),
        finetuning_curve.curve("mini", finetuning_curve.classification_alone("mini", 0), "b"),
    ]
    steps = [[run.trainer.max_steps for run in curve] for curve in curves]
    assert steps[0] == steps[1] == [recipes.MINI_STEPS, 50, 50, 100]
    for curve in curves:
        for before, after in zip(curve, curve[1:]):
            assert after.initial == before
            assert isinstance(after.model, MTDiffusionConfig)
            assert after.model.aggregated == ()


class Halves:
    """Test images that are black above and white below; the upper half is hidden."""

    def __init__(self) -> None:
        self.image = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)
        self.image[:, :, 4:] = 255
        self.mask = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
        self.mask[:, :, 4:] = 255

    @property
    def test(self) -> "Halves":
        return self

    def __len__(self) -> int:
        return len(self.image)

    def batch(self, numbers) -> dict:
        return {"image": self.image[numbers], "conditions": {"mask": self.mask[numbers]}}


def test_hidden_and_visible_pixels_are_judged_apart(tmp_path) -> None:
    data = Halves()
    run = recipes.sampled("smoke", "restored", None, recipes.with_holes("smoke", 64, 5), method="denoise")
    run = replace(run, num_images=2)
    samples = data.image.numpy().copy()
    samples[:, :, :4] += 10  # an error of 10 where hidden
    samples[0, :, 4:] -= 6  # one image has changed what was visible
    (tmp_path / "samples").mkdir()
    np.save(tmp_path / "samples" / "00000.npy", samples)
    evaluation = Evaluation(tmp_path, run, {}, data)  # type: ignore[arg-type]
    assert evaluation.measure("PSNR-Hidden").value == pytest.approx(10 * np.log10(255**2 / 10**2))
    assert evaluation.measure("MAE-Visible").value == pytest.approx((6 + 0) / 2)
