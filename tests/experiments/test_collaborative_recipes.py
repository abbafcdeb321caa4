"""Collaborative Diffusion's recipes: the published setting, what smoke and mini keep of it, and the tables that count it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from datamodules.faces.classes import ATTRIBUTES
from experiments import head_to_head, mask_tokens, table9, table11
from experiments.core import build
from experiments.protocols import influence
from experiments.protocols.catalogue import by_name
from experiments.protocols.samples import Samples
from experiments.recipes import collaborative as recipes
from experiments.recipes import combinations
from experiments.runs import SampleRun, TrainRun
from experiments.spec import Profile, plan
from lightning_mmdiff.methods.collaborative.model import CollaborativeConfig
from lightning_mmdiff.methods.learned_reliability import ReliabilityConfig
from lightning_mmdiff.methods.mt_diffusion.network import MTDiffusionConfig
from lightning_mmdiff.models.autoencoder import AutoencoderConfig
from lightning_mmdiff.models.denoiser import DenoiserConfig
from lightning_mmdiff.models.latent_denoiser import LatentDenoiserConfig, released_sampler

ROOT = Path(__file__).parents[2]


def counted(run: TrainRun, modality: str, protocol: str) -> float:
    sample = recipes.counted("paper", modality, run, recipes.condition_names("paper", modality))
    return by_name(protocol).measure(Samples(Path(), sample, {}, None)).value  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("run", "modality", "network", "trained"),
    [
        (recipes.mask_expert("paper", 0), "mask", 403_623_939, 403_623_939 + 656_000),
        (recipes.words_expert("paper", 0), "text", 403_623_939, 403_623_939 + 166_590_080),
        (recipes.diffusers("paper", 0), "mask", 13_136_321, 2 * 13_136_321),
        (recipes.diffusers("paper", 0), "text", 13_136_321, 2 * 13_136_321),
    ],
)
def test_table_12_counts_the_published_networks(run: TrainRun, modality: str, network: int, trained: int) -> None:
    assert round(counted(run, modality, "Parameters (M)") * 1e6) == network
    assert round(counted(run, modality, "Trained with it (M)") * 1e6) == trained


def test_the_autoencoder_is_the_published_one() -> None:
    with torch.device("meta"):
        vae = build.helper(recipes.autoencoder("paper"), None)
    assert sum(p.numel() for p in vae.parameters()) == 55_312_063
    config = recipes.autoencoder("paper").model
    assert isinstance(config, AutoencoderConfig)
    assert (config.kl_weight, config.adversarial_start, config.optimizer.lr) == (1e-6, 50_001, 2.88e-4)


def test_table_11_agrees_with_the_paper() -> None:
    run = recipes.diffusers("paper", 0)
    for column, published in table11.PUBLISHED.items():
        for modality in ("mask", "text"):
            assert counted(run, modality, column) == pytest.approx(published, rel=0.003), column


def test_hyperparameters_are_those_of_the_supplement() -> None:
    experts = (recipes.mask_expert("paper", 0), recipes.words_expert("paper", 0))
    for run in (*experts, recipes.diffusers("paper", 0)):
        assert isinstance(run.model, LatentDenoiserConfig | CollaborativeConfig)
        optimizer = run.model.optimizer
        assert (run.batch_size, optimizer.lr, optimizer.weight_decay) == (32, 6.4e-5, 0.01)
        assert (run.trainer.precision, run.trainer.ema_decay) == ("32-true", None)
    for run in experts:
        assert isinstance(run.model, LatentDenoiserConfig)
        assert (run.model.prediction, run.model.drop_probability, run.model.min_snr) == ("eps", 0.0, None)
    assert table9.ours("paper", 0).sampler == released_sampler()


def test_only_pixels_are_clipped() -> None:
    for profile in ("smoke", "mini", "paper"):
        for run in plan([table9.table(profile, 0)]):
            if isinstance(run, SampleRun) and run.sampler:
                assert run.sampler.clip == (profile == "mini"), (profile, run.name)
        for run in plan([mask_tokens.table(profile, 0)]):
            if isinstance(run, SampleRun) and run.sampler:
                assert not run.sampler.clip, (profile, run.name)


def test_every_expert_of_the_head_to_head_knows_the_null_condition() -> None:
    """Or Eq. 10 and guidance would ask it about what it never saw."""
    for profile in ("smoke", "mini", "paper"):
        for run in plan([head_to_head.table(profile, 0)]):
            if isinstance(run, TrainRun) and isinstance(run.model, LatentDenoiserConfig):
                assert run.model.drop_probability == combinations.DROP
            if isinstance(run, TrainRun) and isinstance(run.model, DenoiserConfig):
                assert dict(run.model.subsets)[()] == 0.125


def test_reliabilities_are_fitted_to_images_that_no_expert_sees() -> None:
    for profile in ("smoke", "mini", "paper"):
        runs = [run for run in plan([head_to_head.table(profile, 0)]) if isinstance(run, TrainRun)]
        fitted = [run for run in runs if isinstance(run.model, ReliabilityConfig)]
        experts = {need.name for run in fitted for need in run.needs}
        assert (len(fitted), len(experts)) == (4, 2)
        assert {(part.split, part.captions) for run in fitted for part in run.data} == {
            ("validation", _captions(profile))
        }
        for run in runs:
            if isinstance(run.model, LatentDenoiserConfig | DenoiserConfig | CollaborativeConfig | MTDiffusionConfig):
                assert {(part.split, part.captions) for part in run.data} == {("reduced", _captions(profile))}


def _captions(profile: Profile) -> str:
    """Whose order defines the parts."""
    return "beard-and-age" if profile == "paper" else "celeba-dialog"


def test_joint_models_train_as_long_as_the_experts_and_their_diffusers() -> None:
    parts = [*(use.run for use in combinations.experts("mini", 0)), combinations.collaborators("mini", 0)]
    steps = sum(run.trainer.max_steps for run in parts)
    for run in (combinations.joint("mini", 0), combinations.multi_task("mini", 0)):
        assert run.trainer.max_steps == steps
        assert run.batch_size == parts[0].batch_size


def test_contrast_is_the_difference_of_means_inside_an_image() -> None:
    inside = np.zeros((2, 4, 4), bool)
    inside[0, :, :2] = True  # the second image has no such pixels
    maps = np.where(inside, 0.9, 0.4)[None].repeat(3, axis=0)
    np.testing.assert_allclose(influence._contrast(maps, inside), [0.5, 0.0])


def test_contours_are_the_pixels_beside_another_class() -> None:
    labels = np.zeros((1, 4, 6), int)
    labels[:, :, 3:] = 1
    expected = np.zeros((1, 4, 6), bool)
    expected[:, :, 2:4] = True
    np.testing.assert_array_equal(influence._contours(labels), expected)


@pytest.fixture
def real_faces(tmp_path, real_data) -> Path:
    """The real photographs and masks; captions and attributes are made up, no folder of them has any."""
    faces = tmp_path / "data" / "CelebAMask-HQ"
    faces.mkdir(parents=True)
    for part in (real_data / "CelebAMask-HQ").iterdir():
        (faces / part.name).symlink_to(part)
    names = sorted((p.name for p in (faces / "CelebA-HQ-img").glob("*.jpg")), key=lambda n: int(n.split(".")[0]))
    (faces / "captions_hq.json").write_text(json.dumps({n: {"overall_caption": "A person smiles."} for n in names}))
    rows = [f"{name}  " + " ".join(["1", "-1"] * (len(ATTRIBUTES) // 2)) for name in names]
    (faces / "CelebAMask-HQ-attribute-anno.txt").write_text("\n".join([str(len(names)), " ".join(ATTRIBUTES), *rows]))
    return faces.parent


def states(name: str, data: Path, folder: Path) -> list[str]:
    """State of every row of table ``name``, made at smoke from ``data``."""
    done = subprocess.run(
        [sys.executable, "-m", f"experiments.{name}", "--profile", "smoke", "--data", str(data)],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    report = json.loads((folder / "runs" / "smoke" / "tables" / name / "metrics.json").read_text())
    return [row["state"] for row in report["rows"]]


@pytest.mark.slow
def test_real_faces_through_the_whole_pipeline(tmp_path, real_faces) -> None:
    """Autoencoder, cached latents, experts, dynamic diffusers, samples; then edits of photographs."""
    assert set(states("table9", real_faces, tmp_path)) == {"measured"}
    runs = tmp_path / "runs" / "smoke"
    [moments] = (runs / "autoencoder").glob("moments-*.npy")
    assert np.load(moments, mmap_mode="r").shape[1:] == (6, 8, 8)
    assert set(states("editing", real_faces, tmp_path)) == {"measured"}
    edits = {path: path.stat().st_mtime_ns for path in (runs / "edits").rglob("*") if path.is_file()}
    assert edits
    assert set(states("editing", real_faces, tmp_path)) == {"measured"}
    assert edits == {path: path.stat().st_mtime_ns for path in (runs / "edits").rglob("*") if path.is_file()}
