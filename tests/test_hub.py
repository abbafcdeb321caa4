"""Models saved for the Hub and read back, their cards, and diffusers' pipelines against our own loop."""

import json

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, UNet2DModel
from methods.test_collaborative import batch, collaborative, experts
from test_loading import write
from tiny import randomized

from experiments.recipes.faces import labels_to_face
from experiments.recipes.unite_and_conquer import hair_expert, text_expert
from lightning_mmdiff import hub, pipelines, seeding
from lightning_mmdiff.configs import as_json
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.methods.unite_and_conquer import Expert, UniteAndConquer
from lightning_mmdiff.models.denoiser import Denoiser, DenoiserConfig
from lightning_mmdiff.networks.conditions import ConditionConfig
from lightning_mmdiff.networks.diffusers_unet import DiffusersUNetConfig
from lightning_mmdiff.optimization import OptimizerConfig
from lightning_mmdiff.runtime.files import write_json
from lightning_mmdiff.runtime.run_folder import RunFolder
from lightning_mmdiff.schedules import Sampler

SAMPLER = Sampler(name="ddim", num_steps=4)
METRICS = [{"column": "FID"}, {"column": "mIoU"}]


def table_beside(runs, sample) -> None:
    """A table with a row of ``sample`` and one that has nothing to do with it."""
    write_json(RunFolder(runs / sample.name).config, as_json(sample))
    rows = [{"label": "Ours", "runs": [{"name": sample.name}]}, {"label": "Other", "runs": [{"name": "elsewhere"}]}]
    cells = {"FID": {"value": 12.345, "interval": [11.0, 13.5]}, "mIoU": {"value": None, "interval": None}}
    folder = runs / "tables" / "table1"
    write_json(folder / "table.json", {"title": "Maps to faces", "rows": rows})
    measured = [{"label": row["label"], "state": "measured", "cells": cells} for row in rows]
    write_json(folder / "metrics.json", {"name": "table1", "profile": "smoke", "metrics": METRICS, "rows": measured})


def test_a_saved_model_comes_back_with_its_helpers(tmp_path) -> None:
    run = write(text_expert("smoke", 0), tmp_path / "runs")
    saved = hub.save(run, tmp_path / "saved")
    run.rename(tmp_path / "elsewhere")
    model = hub.from_pretrained(saved)
    assert model.embedder is not None
    assert (saved / "image-text-model" / "weights.safetensors").is_file()
    with pytest.raises(UserError, match="choose a new folder"):
        hub.save(tmp_path / "elsewhere", saved)


def test_the_card_has_data_steps_licence_and_the_rows_that_the_model_made(tmp_path) -> None:
    run = hair_expert("smoke", 0)
    folder = write(run, tmp_path)
    table = labels_to_face("smoke", 0, name="table1", dataset="celebamask_hq", title="", published={})
    sample = next(row.sample for row in table.rows if row.sample and run in row.sample.needs)
    table_beside(tmp_path, sample)
    text = hub.card(folder, license="apache-2.0")
    assert "license: apache-2.0" in text
    assert "A Denoiser of lightning_mmdiff, trained for 6 steps of 4 images on celebamask_hq at 16 pixels." in text
    assert "## Maps to faces (table1, profile smoke), 95% intervals" in text
    assert "| Ours | 12.35 [11, 13.5] | - |" in text or "| Ours | 12.34 [11, 13.5] | - |" in text
    assert "Other" not in text


def test_pushing_uploads_the_saved_folder(tmp_path, monkeypatch) -> None:
    said = []

    class Api:
        def create_repo(self, name, *, private, exist_ok) -> None:
            said.append((name, private, exist_ok))

        def upload_folder(self, *, repo_id, folder_path) -> str:
            said.append((repo_id, folder_path))
            return f"https://example.org/{repo_id}"

    monkeypatch.setattr(hub, "HfApi", Api)
    assert hub.push_to_hub(tmp_path, "someone/hair") == "https://example.org/someone/hair"
    assert said == [("someone/hair", True, True), ("someone/hair", str(tmp_path))]


def test_a_repository_is_read_through_the_hubs_client(tmp_path, monkeypatch) -> None:
    saved = hub.save(write(hair_expert("smoke", 0), tmp_path / "runs"), tmp_path / "saved")
    assert json.loads((saved / "model.json").read_text()) == {"run": "hair-expert"}
    monkeypatch.setattr(hub, "snapshot_download", lambda name: str(saved) if name == "someone/hair" else "")
    assert isinstance(hub.from_pretrained("someone/hair"), Denoiser)


def united() -> UniteAndConquer:
    return UniteAndConquer(
        [Expert(denoiser=e, conditions=(n,)) for e, n in zip(experts("hair", "skin"), ("hair", "skin"))],
        sampler=SAMPLER,
    )


@pytest.mark.parametrize("method", [united, collaborative])
def test_a_pipeline_of_diffusers_gives_our_samples(method, monkeypatch) -> None:
    """Both loops start from the same z_T; z_0 agrees to 1e-5, before it is rounded."""
    ours, given = method(), batch(2)
    ends = []
    monkeypatch.setattr(type(ours), "decode", lambda self, z, batch: ends.append(z.clone()) or z)
    known = ours.predict_step(given)
    generators = [seeding.image_generator(ours.sampling_seed, i) for i in range(2)]
    latents = ours.initial_latents(given, generators)
    pipeline = pipelines.CombinationPipeline(ours)
    pipeline.set_progress_bar_config(disable=True)
    found = pipeline(given["conditions"], num_inference_steps=4, latents=latents, output_type="pt").images
    assert ends[0].std() > 0.1
    torch.testing.assert_close(ends[1], ends[0], atol=1e-5, rtol=1e-5)
    assert (found * 255 - known).abs().max() <= 1
    pictures = pipeline(given["conditions"], num_inference_steps=2, generator=torch.Generator().manual_seed(0)).images
    assert [picture.size for picture in pictures] == [(8, 8), (8, 8)]


def test_a_network_that_diffusers_has_is_given_as_its_own_class() -> None:
    network = DiffusersUNetConfig(
        in_channels=3, out_channels=3, channels=8, channel_mult=(1, 2), num_res_blocks=1, attention_levels=(), num_heads=1,
        norm_groups=4,
    )  # fmt: skip
    config = DenoiserConfig(
        network=network,
        conditions=ConditionConfig(),
        image_size=8,
        schedule="linear",
        optimizer=OptimizerConfig(lr=1e-3),
    )
    model = randomized(Denoiser(config)).eval()
    unet, z, t = pipelines.to_diffusers(model), torch.randn(2, 3, 8, 8), torch.tensor(100)
    eps = model.predict_eps(z, t.expand(2), model.encode({}, 2))
    torch.testing.assert_close(unet(z, t).sample, eps)
    assert isinstance(pipelines.ddim(model), DDIMScheduler)
    np.testing.assert_allclose(pipelines.ddim(model).alphas_cumprod, model.schedule.alpha_bar, atol=1e-6)


def test_our_own_network_is_given_as_diffusers_class_too(tmp_path) -> None:
    """With the condition's channels after the image; saved and read by diffusers itself."""
    expert, z, t = experts("hair")[0], torch.randn(2, 3, 8, 8), torch.tensor(100)
    maps = torch.ones(2, 1, 8, 8, dtype=torch.uint8)
    encoded = expert.encode({"hair": maps}, 2)
    pipelines.to_diffusers(expert).save_pretrained(tmp_path)
    unet = UNet2DModel.from_pretrained(tmp_path)
    found = unet(torch.cat([z, encoded.channels], dim=1), t).sample
    torch.testing.assert_close(found, expert.predict_eps(z, t.expand(2), encoded), atol=1e-5, rtol=1e-5)
    expert.network = torch.nn.Identity()
    with pytest.raises(UserError, match="diffusers has no Identity"):
        pipelines.to_diffusers(expert)
