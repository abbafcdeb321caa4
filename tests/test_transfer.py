"""No step of a sampler or of a training waits for the device: nothing is read from it, and copies to it do not block.

The device is "meta", whose tensors have no values: reading one is an error, and copies to it are counted.
"""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from lightning_mmdiff import schedules, seeding
from lightning_mmdiff.methods.collaborative.model import Collaborative, CollaborativeConfig, Collaborator
from lightning_mmdiff.methods.unite_and_conquer import Expert, UniteAndConquer
from lightning_mmdiff.models import diffusion
from lightning_mmdiff.models.denoiser import Denoiser, DenoiserConfig
from lightning_mmdiff.networks.conditions import ConditionConfig
from lightning_mmdiff.networks.dynamic_diffuser import mini_dynamic_diffuser
from lightning_mmdiff.networks.presets import mini_unet
from lightning_mmdiff.optimization import OptimizerConfig
from lightning_mmdiff.sampling import noise_source
from lightning_mmdiff.transfer import moved

COPIES = (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)


class BlockingCopies(TorchDispatchMode):
    """Counts the copies from the CPU to the device that wait for it."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        source = args[1] if func is COPIES[1] else args[0] if args else None
        if func in COPIES and source.device.type == "cpu" and result.device.type == "meta":
            blocks = not (args[2] if func is COPIES[1] and len(args) > 2 else kwargs.get("non_blocking", False))
            self.found += [f"{func} {list(source.shape)}"] * blocks
        return result


def denoiser(name: str, channels: int, **options) -> Denoiser:
    learned = options.get("learned_variance", False)
    config = DenoiserConfig(
        network=mini_unet(3 + channels, 6 if learned else 3), conditions=ConditionConfig(spatial=((name, channels),)),
        image_size=16, optimizer=OptimizerConfig(lr=1e-3), **options,
    )  # fmt: skip
    return Denoiser(config)


def experts() -> list[Expert]:
    hair, face = denoiser("hair", 1, schedule="cosine", prediction="z0"), denoiser("face", 2, prediction="v")
    return [Expert(denoiser=hair, conditions=("hair",), weight=2.0), Expert(denoiser=face, conditions=("face",))]


def batch(size: int = 2) -> dict:
    maps = {
        "hair": torch.zeros(size, 1, 16, 16, dtype=torch.uint8),
        "face": torch.zeros(size, 2, 16, 16, dtype=torch.uint8),
    }
    on_device = {name: value.to("meta") for name, value in maps.items()}
    return {"image": torch.zeros(size, 3, 16, 16, dtype=torch.uint8, device="meta"), "conditions": on_device}


def united(name: str) -> UniteAndConquer:
    return UniteAndConquer(experts(), sampler=schedules.Sampler(name=name, num_steps=3))


def collaborating(name: str) -> Collaborative:
    both = experts()
    members = tuple(
        Collaborator(conditions=e.conditions, network=mini_dynamic_diffuser(3 + channels))
        for e, channels in zip(both, (1, 2), strict=True)
    )
    config = CollaborativeConfig(collaborators=members, min_snr=5.0)
    model = Collaborative([e.denoiser for e in both], config, seed=0)
    model.sampler = schedules.Sampler(name=name, num_steps=3)
    return model


@pytest.mark.parametrize("make", [united, collaborating])
@pytest.mark.parametrize(
    ("name", "eta"), [("ddim", 0.0), ("ddim", 1.0), ("spaced-ddim", 1.0), ("spaced-ddpm", 0.0), ("dpm-solver++", 0.0)]
)
def test_no_sampling_step_waits(make, name, eta) -> None:
    method, given = make(name).to("meta"), batch()["conditions"]
    method.sampler = schedules.Sampler(name=name, num_steps=3, eta=eta)
    z, generators = torch.empty(2, 3, 16, 16, device="meta"), [torch.Generator(), torch.Generator()]
    scheduler = method.scheduler({})
    scheduler.set_timesteps(3)
    with BlockingCopies() as copies, torch.inference_mode():
        for t in scheduler.timesteps:
            z = scheduler.step(
                method.predict_noise(z, t, given), t, z, **noise_source(scheduler, generators)
            ).prev_sample
    assert copies.found == []
    assert z.device.type == "meta"


@pytest.mark.parametrize(
    "options",
    [{}, {"prediction": "v", "min_snr": 5.0}, {"learned_variance": True}, {"prediction": "z0", "schedule": "cosine"}],
    ids=["eps", "v", "learned", "z0"],
)
def test_no_loss_waits(options) -> None:
    model, given = denoiser("hair", 1, **options).to("meta"), batch()
    del given["conditions"]["face"]
    with BlockingCopies() as copies:
        model.loss(given, seeding.step_generator(0, 0))
    assert copies.found == []


def test_no_collaborative_loss_waits() -> None:
    model, given = collaborating("ddim").to("meta"), batch()
    with BlockingCopies() as copies:
        model.loss(given, seeding.step_generator(0, 0))
    assert copies.found == []


def test_the_count_sees_what_blocks() -> None:
    with BlockingCopies() as copies:
        torch.zeros(3).to("meta")
        moved(torch.zeros(3), "meta")
    assert copies.found == ["aten._to_copy.default [3]"]
    with pytest.raises((NotImplementedError, RuntimeError)):
        int(torch.zeros((), device="meta"))


def test_many_rows_are_several_calls_with_one_result(monkeypatch) -> None:
    method = united("ddim")
    torch.manual_seed(0)
    for parameter in method.parameters():
        parameter.data = 0.1 * torch.randn(parameter.shape)
    given = {
        name: torch.randint(0, 256, value.shape, dtype=torch.uint8) for name, value in batch(5)["conditions"].items()
    }
    z, t = torch.randn(5, 3, 16, 16), torch.tensor(700)
    whole, sizes = method.predict_noise(z, t, given), []
    method.experts[0].denoiser.network.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    monkeypatch.setattr(diffusion, "POSITIONS_PER_CALL", 4 * 16 * 16)
    torch.testing.assert_close(method.predict_noise(z, t, given), whole, rtol=1e-4, atol=1e-5)
    assert sizes == [4, 4, 2]
