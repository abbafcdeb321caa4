"""One step of Unite and Conquer's face sampler, equal to the released code (Nithin-GK/UniteandConquer, commit 584bea0).

Recorded by ``face_utils/diff_test.py:diffusion_test`` with 8 pixels in place of 256, on the CPU, with its networks at 32
channels and a stand-in for FaRL; its sampler took one step, 60 of 100. Rows of its batch: face, hair, text, no condition.
"""

import pytest
import torch
from formulas import load_official, numbers, recorded, recorded_names

from lightning_mmdiff.methods.unite_and_conquer import Expert, UniteAndConquer
from lightning_mmdiff.models.denoiser import Denoiser, DenoiserConfig
from lightning_mmdiff.networks.conditions import ConditionConfig, face_conditions
from lightning_mmdiff.networks.unet import UNetConfig
from lightning_mmdiff.optimization import OptimizerConfig
from lightning_mmdiff.schedules import Sampler

MAPS = {
    "skin": numbers("face", 1, 1, 8, 8),
    "hair": numbers("hair", 1, 1, 8, 8),
    "sketch": numbers("sketch", 1, 1, 8, 8),
}
TEXT = numbers("text", 1, 512)
CONDITIONS = {**{name: value.clamp(-1, 1) for name, value in MAPS.items()}, "text": TEXT / TEXT.norm()}
SKETCH = ConditionConfig(spatial=(("sketch", 1),), rgb=True)
WITHOUT_TEXT = ConditionConfig(spatial=face_conditions().spatial, projected_channels=3, rgb=True)
SAMPLER = Sampler(name="spaced-ddim", num_steps=100)


def denoiser(conditions: ConditionConfig) -> Denoiser:
    """A released network at 32 channels."""
    network = UNetConfig(
        in_channels=6, out_channels=6, channels=32, channel_mult=(1, 2), num_res_blocks=1, attention_levels=(0, 1),
        head_channels=16, embedding_dim=conditions.embedding and conditions.embedding[1],
    )  # fmt: skip
    model = Denoiser(
        DenoiserConfig(
            network=network, conditions=conditions, image_size=8, learned_variance=True, optimizer=OptimizerConfig(lr=1e-5)
        )
    )  # fmt: skip
    names = load_official(model.network, heads=lambda width: width // 16) + load_official(model.condition_encoder)
    theirs = recorded_names("face_steps", "sketch_names" if conditions == SKETCH else "face_names")
    assert set(names) == {name for name in theirs if network.embedding_dim or "cond_emb" not in name}
    return model.eval()


@pytest.mark.filterwarnings("ignore:A weight is below 1")
@pytest.mark.parametrize(
    ("key", "weights"),
    [
        ("face_hair_text", {"skin": 1.0, "hair": 1.0, "text": 1.25}),
        ("face_hair_text_sketch", {"skin": 1.0, "hair": 1.0, "text": 1.25, "sketch": 0.6}),
        ("face_hair", {"skin": 1.0, "hair": 1.0}),
        ("hair_sketch", {"hair": 1.2, "sketch": 0.6}),
    ],
)
@torch.no_grad()
def test_one_step_of_the_released_sampler(key: str, weights: dict[str, float]) -> None:
    """The released weights; the face network's own null alone (reliability 1). Without text in the batch, the released
    network has no second norm, which is ours without an embedding (PITFALLS 14).
    """
    face = denoiser(face_conditions() if "text" in weights else WITHOUT_TEXT)
    models = {**dict.fromkeys(("skin", "hair", "text"), face), "sketch": denoiser(SKETCH)}
    experts = [
        Expert(denoiser=models[name], conditions=(name,), weight=weight, reliability=float(i == 0))
        for i, (name, weight) in enumerate(weights.items())
    ]
    united, golden, z = UniteAndConquer(experts, sampler=SAMPLER), recorded("face_steps"), numbers("x_t", 1, 3, 8, 8)
    scheduler = united.scheduler({})
    scheduler.set_timesteps(100)
    eps = united.predict_noise(z, golden["timestep"], CONDITIONS)
    torch.testing.assert_close(eps, golden[f"{key}_eps"], atol=1e-5, rtol=1e-5)
    step = scheduler.step(eps, golden["timestep"], z).prev_sample
    torch.testing.assert_close(step, golden[f"{key}_sample"], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_without_text_in_the_batch_the_second_norm_matters() -> None:
    """What the released sampler skips for the whole batch is far from ours with the embedding's null."""
    experts = [Expert(denoiser=denoiser(face_conditions()), conditions=(name,)) for name in ("skin", "hair")]
    eps = UniteAndConquer(experts, sampler=SAMPLER).predict_noise(
        numbers("x_t", 1, 3, 8, 8), torch.tensor(605), CONDITIONS
    )
    assert (eps - recorded("face_steps")["face_hair_eps"]).abs().max() > 0.5
