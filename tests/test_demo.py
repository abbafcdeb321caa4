"""The demo: shipped experts of at most 5 MB, from a named command, make a page of pictures."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from experiments.core.run_config import differences
from lightning_mmdiff.loading import load
from mmdiff import demo

MEGABYTE = 2**20


@pytest.fixture(scope="module")
def given(tmp_path_factory) -> dict:
    return demo.faces(4, tmp_path_factory.mktemp("faces") / "CelebAMask-HQ")


def test_the_shipped_experts_are_small_and_those_of_the_training() -> None:
    files = [path for path in demo.SHIPPED.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 5 * MEGABYTE
    for run in demo.needed():
        config = json.loads((demo.SHIPPED / run.name / "config.json").read_text())
        assert not list(differences(config, run))


@torch.no_grad()
def test_each_expert_has_learned_its_condition(given) -> None:
    """Of a noisy face, the prediction under the right condition is nearer to the noise than under that of the next face."""
    for run, condition in zip(demo.runs(), demo.CONDITIONS):
        model = load(demo.SHIPPED / run.name)
        z0, t = given["image"].float() / 127.5 - 1, torch.full((4,), 800)
        eps = torch.randn(z0.shape, generator=torch.Generator().manual_seed(0))
        z = model.schedule.add_noise(z0, eps, t)
        value = given[condition]
        other = [*value[1:], *value[:1]] if condition == "caption" else value.roll(1, 0)
        right, wrong = (
            (model.predict_eps(z, t, model.encode(model.encode_conditions({condition: v}), 4)) - eps).square().mean()
            for v in (value, other)
        )
        assert right < wrong, condition


def test_the_page_has_conditions_samples_and_influence(given, tmp_path) -> None:
    rows = demo.strips(given, num_steps=3)
    assert len(rows) == 3 + 1 + 4 + 1
    assert all(row.pictures.shape == (4, 32, 32, 3) and row.pictures.dtype == np.uint8 for row in rows)
    influence = np.stack([row.pictures[..., 0].astype(int) for row in rows if row.label.startswith("influence")])
    assert np.abs(influence.sum(0) - 255).max() <= 4  # shares of one, each rounded down
    page = demo.write(rows, given["caption"], tmp_path / "demo")
    assert (page.parent / "faces.png").stat().st_size > 1000
    assert 'src="faces.png"' in Path(page).read_text()
