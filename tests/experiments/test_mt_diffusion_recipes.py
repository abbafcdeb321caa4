"""MT-Diffusion's recipes: the published setting at paper, and what the rows of its tables share."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from experiments import cifar10, finetuning_curve, night2day, representation, table5, table8
from experiments.core import build
from experiments.doctor import needed_weights
from experiments.protocols import embeddings as embedding_scores
from experiments.protocols.catalogue import by_name
from experiments.protocols.samples import Samples
from experiments.recipes import cifar10 as photographs
from experiments.recipes import mt_diffusion as recipes
from experiments.recipes import mt_latents as latents
from experiments.recipes.mt_shared import sampled, with_holes
from experiments.recipes.settings.mt_diffusion import MINI
from experiments.runs import SampleRun, TrainRun
from experiments.spec import plan
from lightning_mmdiff.baselines.adversarial import AdversarialConfig
from lightning_mmdiff.methods.mt_diffusion.network import MTDiffusionConfig
from lightning_mmdiff.methods.single import Denoise
from lightning_mmdiff.models.contrastive import ContrastiveModel
from lightning_mmdiff.models.denoiser import DenoiserConfig
from lightning_mmdiff.networks.stable_diffusion import FILE
from lightning_mmdiff.released.catalogue import Released


def parameters(run) -> int:
    with torch.device("meta"):
        module = build.model(run, None)
        return sum(p.numel() for p in module.parameters()) - sum(p.numel() for p in _frozen(module))


def _frozen(module):
    return [] if getattr(module, "autoencoder", None) is None else module.autoencoder.parameters()


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
    masked, labeled = recipes.masked_image("paper", 0), recipes.image_label("paper", 0, head="middle")
    assert (masked.batch_size, labeled.batch_size) == (8 * 80, 8 * 75)  # E.2, E.3, on 8 GPUs
    for run in (masked, labeled):
        assert isinstance(run.model, MTDiffusionConfig)
        assert (run.model.schedule, run.model.optimizer.lr, run.model.prediction) == ("cosine", 7e-5, "eps")
        assert run.trainer.max_steps == 1_000_000  # "before convergence at 1M iteration", Sec. 4.1
        assert {m.weight for m in run.model.modalities} == {0.1}  # lambda
    masks = masked.data[0].masks
    assert masks is not None
    assert (masks.low, masks.high, masks.patch) == (0, 10, 16)


def test_translation_is_that_of_the_appendix() -> None:
    """E.1: 320 channels, 8 heads, latents of kl-f8; the photo's latent is concatenated, and given back by a copied block."""
    single, ours = (latents.translation("paper", 0, "cityscapes", multi_task=multi) for multi in (False, True))
    assert parameters(ours) == parameters(single) == 859_520_964 + 4 * 320 * 9 + (2 * 320 + 320 * 4 * 9 + 4)
    for run in (single, ours):
        assert isinstance(run.model, MTDiffusionConfig)
        assert (run.batch_size, run.model.optimizer.lr, run.model.learned_variance) == (8 * 32, 1e-4, False)
    assert isinstance(single.model, MTDiffusionConfig)
    assert [(m.aggregation, m.weight, m.concatenate) for m in single.model.modalities] == [("none", 0.0, True)]


def test_representation_is_that_of_the_appendix() -> None:
    """E.4: Stable Diffusion 2, embeddings of 1024 by cross-attention, a head of two layers of 1024, batch 2048, 1e-5."""
    run = latents.image_embedding("paper", 0, "joint")
    assert parameters(run) == 865_910_724 + (1280 * 1024 + 1024) + (1024 * 1024 + 1024)
    assert isinstance(run.model, MTDiffusionConfig)
    assert (run.batch_size, run.model.optimizer.lr, run.model.prediction) == (2048, 1e-5, "v")
    assert (run.initial, run.model.modalities[0].weight) == (Released("stable_diffusion_2"), 0.1)
    with torch.device("meta"):
        module = build.model(run, None)
        features = module.network(torch.zeros(1, 4, 96, 96), torch.zeros(1), torch.zeros(1, 1, 4, 96, 96))
        head = module.network.predict(module.modalities[0], features)
        encoding = module.network.encode_data(module.modalities[0], torch.zeros(1, 1024))
    assert (head.shape, encoding.shape) == ((1, 1024), (1, 4, 96, 96))


def test_released_weights_are_what_training_starts_from(tmp_path, monkeypatch) -> None:
    """And what ``runs`` None leaves out; a missing folder is named."""
    monkeypatch.setenv("MMDIFF_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    small = latents.image_embedding("smoke", 0, "joint")
    assert isinstance(small.model, MTDiffusionConfig)
    run = replace(
        small, embedder=None, autoencoder=None, initial=Released("stable_diffusion_2"),
        model=replace(small.model, modalities=()),
    )  # fmt: skip
    with pytest.raises(FileNotFoundError, match="stable-diffusion-2 is missing"):
        build.model(run, tmp_path)
    folder = tmp_path / "stable-diffusion-2" / "unet"
    folder.mkdir(parents=True)
    released = build.model(replace(run, seed=7), None).network.unet.network.state_dict()
    save_file(released, folder / FILE)
    started = build.model(run, tmp_path).network.unet.network.state_dict()
    assert all(torch.equal(started[name], value) for name, value in released.items())


@pytest.mark.parametrize("module", [table8, night2day, representation])
def test_latents_are_sampled_without_clipping(module) -> None:
    for profile in ("smoke", "mini", "paper"):
        for run in plan([module.table(profile, 0)]):
            if isinstance(run, SampleRun) and run.sampler:
                [model] = run.needs
                assert run.sampler.clip == (model.autoencoder is None), run.name
    paper = [run for run in plan([module.table("paper", 0)]) if isinstance(run, TrainRun)]
    assert all(run.autoencoder or isinstance(run.model, AdversarialConfig) for run in paper)
    names = {weight.name for weight in needed_weights([], paper)}
    assert names == {"stable_diffusion_2", "clip_h"} if module is representation else {"stable_diffusion_2"}


def test_mini_and_smoke_of_cifar10_are_table_5_on_photographs() -> None:
    ours, other = photographs.joint("smoke", 0), recipes.masked_image("smoke", 0)
    assert (ours.model, ours.trainer, ours.batch_size) == (other.model, other.trainer, other.batch_size)
    assert ours.data == (replace(other.data[0], dataset="cifar10"),)
    ours, other = photographs.joint("mini", 0), recipes.masked_image("mini", 0)  # of twice the side
    assert (ours.model.network, ours.model.modalities) == (other.model.network, other.model.modalities)
    assert ours.data[0].image_size == ours.model.image_size == 32
    assert ours.trainer == replace(other.trainer, max_steps=MINI.photographs.training.trainer.max_steps)
    assert ours.model.optimizer == replace(other.model.optimizer, decay_steps=ours.trainer.max_steps)
    assert ours.data[0].masks == replace(other.data[0].masks, patch=8)
    data = {row.sample.data for row in cifar10.table("mini", 0).rows if row.sample and row.group == cifar10.RESTORED}
    assert data == {photographs.photographs("mini", patches=5)}
    paper = photographs.single_task("paper", 0)
    assert parameters(paper) == parameters(photographs.conditional("paper", 0)) - 3 * 128 * 9
    assert (paper.batch_size, paper.trainer.max_steps, paper.data[0].image_size) == (128, 500_000, 32)


def test_predicted_embeddings_are_compared_with_their_own() -> None:
    true = torch.nn.functional.normalize(torch.tensor([[1.0, 0], [0, 1], [1, 1]]), dim=1)
    assert embedding_scores.retrieved(true, true).tolist() == [1, 1, 1]
    turned = true[[1, 0, 2]]
    assert embedding_scores.retrieved(turned, true).tolist() == [0, 0, 1]
    assert embedding_scores.retrieved(3 * turned, true).tolist() == [0, 0, 1]  # length does not count
    torch.testing.assert_close(embedding_scores.cosines(2 * turned, true), torch.tensor([0.0, 0, 1]))


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
    assert data == {with_holes("mini", 64, 10)}


def test_the_curves_have_equal_steps_and_judge_without_the_label() -> None:
    curves = [
        finetuning_curve.curve("mini", recipes.image_label("mini", 0, head="output"), "a"),
        finetuning_curve.curve("mini", finetuning_curve.classification_alone("mini", 0), "b"),
    ]
    steps = [[run.trainer.max_steps for run in curve] for curve in curves]
    assert steps[0] == steps[1] == [MINI.training.trainer.max_steps, 50, 50, 100]
    for curve in curves:
        for before, after in zip(curve, curve[1:]):
            assert after.initial == before
            assert isinstance(after.model, MTDiffusionConfig)
            assert after.model.aggregated == ()


def test_a_tuned_model_keeps_its_embedder() -> None:
    run = recipes.several_tasks("smoke", 0, "masked_image", "caption")
    once = recipes.tuned("smoke", run, "once")
    twice = recipes.tuned("smoke", once, "twice")
    assert [need.name for need in run.needs] == ["object-captions"]
    assert (once.needs, twice.needs) == ((*run.needs, run), (*run.needs, once))
    assert isinstance(build.model(twice, None).embedder, ContrastiveModel)


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
    run = sampled("smoke", "restored", Denoise(model=recipes.masked_image("smoke", 0)), with_holes("smoke", 64, 5))
    run = replace(run, num_images=2)
    samples = data.image.numpy().copy()
    samples[:, :, :4] += 10  # an error of 10 where hidden
    samples[0, :, 4:] -= 6  # one image has changed what was visible
    (tmp_path / "samples").mkdir()
    np.save(tmp_path / "samples" / "00000.npy", samples)
    found = Samples(tmp_path, run, {}, data)  # type: ignore[arg-type]
    assert by_name("PSNR-Hidden").measure(found).value == pytest.approx(10 * np.log10(255**2 / 10**2))
    assert by_name("MAE-Visible").measure(found).value == pytest.approx((6 + 0) / 2)
