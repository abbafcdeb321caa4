"""Speed of sampling with Unite and Conquer (Eq. 10): batched over images and terms, against plain PyTorch.

    python -m benchmarks.sampling

1. Two experts: one call per network and step, against a loop over images with a call of batch size 1 for each term.
2. One network shared by both experts: one call per step, against a call for each term at the same batch size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import tyro
from torch import Tensor

from benchmarks.paired import BenchmarkFlags, Comparison, Side, in_turn, report
from lightning_mmdiff import seeding
from lightning_mmdiff.methods.unite_and_conquer import Expert, UniteAndConquer
from lightning_mmdiff.models.denoiser import Denoiser, DenoiserConfig
from lightning_mmdiff.networks.conditions import ConditionConfig
from lightning_mmdiff.networks.presets import mini_unet
from lightning_mmdiff.optimization import OptimizerConfig
from lightning_mmdiff.runtime.commands import readable_end
from lightning_mmdiff.schedules import Sampler, make_scheduler

CONDITIONS = (("hair", 1), ("face_parts", 7))
"""Names and channels of the two maps, as in the mini profile."""
WEIGHT = 2.0
"""Weight w_i of both experts; the unconditional terms of Eq. 10 have the factor 1 - sum w_i."""
Term = tuple[Any, tuple[str, ...], float]
"""A network, the conditions that it is given, and the factor of its output in Eq. 10."""


@dataclass(frozen=True, kw_only=True)
class SamplingFlags(BenchmarkFlags):
    """Settings for the speed of united sampling, with random weights."""

    batch_size: int = 64
    """Number of images in the batch."""
    reference_images: int = 8
    """Number of images that the loop over single images makes (its cost per image does not depend on it)."""
    steps: int = 10
    """Number of sampling steps."""
    image_size: int = 32
    """Height and width in pixels."""


def denoiser(conditions: tuple[tuple[str, int], ...], image_size: int, seed: int) -> Denoiser:
    """Return the mini profile's network, with random weights even in the layers that start at zero."""
    config = DenoiserConfig(
        network=mini_unet(3 + sum(channels for _, channels in conditions), 3),
        conditions=ConditionConfig(spatial=conditions),
        image_size=image_size,
        schedule="cosine",
        optimizer=OptimizerConfig(lr=1e-3),
    )
    module = Denoiser(config, seed=seed).requires_grad_(False).eval()
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))
    return module


def terms(experts: Sequence[Expert], *, merge_null: bool = False) -> list[Term]:
    """Return the terms of Eq. 10; with ``merge_null``, a shared network's unconditional noise is computed only once."""
    rest = 1 - WEIGHT * len(experts)
    conditional: list[Term] = [(e.denoiser, e.conditions, WEIGHT) for e in experts]
    asked = experts[:1] if merge_null else experts
    return [*conditional, *((e.denoiser, (), rest / len(asked)) for e in asked)]


@torch.inference_mode()
def plain(terms: list[Term], batch: dict, sampler: Sampler, rows: int) -> Tensor:
    """Sample images with one call per term, uint8 [B, 3, H, W].

    Args:
        terms: terms of Eq. 10.
        batch: image numbers as "index", and conditions.
        sampler: settings of the sampler.
        rows: number of images per call.
    """
    count = len(batch["index"])
    return torch.cat([_plain_rows(terms, batch, sampler, slice(i, i + rows)) for i in range(0, count, rows)])


def _plain_rows(terms: list[Term], batch: dict, sampler: Sampler, rows: slice) -> Tensor:
    model = terms[0][0]
    scheduler = make_scheduler(sampler, model.schedule)
    scheduler.set_timesteps(sampler.num_steps)
    indices = batch["index"][rows].tolist()
    z = torch.stack([torch.randn(model.shape, generator=seeding.image_generator(0, i)) for i in indices])
    maps = {name: value[rows].float() / 127.5 - 1 for name, value in batch["conditions"].items()}
    null = {name: torch.zeros_like(value) for name, value in maps.items()}
    for t in scheduler.timesteps:
        eps = torch.zeros_like(z)
        for network, asked, factor in terms:
            channels = [(maps if name in asked else null)[name] for name in network.config.conditions.names]
            eps += factor * network.network(torch.cat([z, *channels], dim=1), t.expand(len(z)), None)
        z = scheduler.step(eps, t, z).prev_sample
    return ((z + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def measure(flags: SamplingFlags) -> list[Comparison]:
    """Time sampling with two experts, then with one shared network."""
    sampler = Sampler(name="ddim", num_steps=flags.steps)
    batch = _batch(flags.batch_size, flags.image_size)
    few = {"index": batch["index"][: flags.reference_images], "conditions": batch["conditions"]}
    names = [name for name, _ in CONDITIONS]
    models = [denoiser((c,), flags.image_size, seed) for seed, c in enumerate(CONDITIONS)]
    two = [Expert(denoiser=m, conditions=(name,), weight=WEIGHT) for m, name in zip(models, names)]
    shared_model = denoiser(CONDITIONS, flags.image_size, seed=2)
    shared = [Expert(denoiser=shared_model, conditions=(name,), weight=WEIGHT) for name in names]

    def compare(title: str, experts: list[Expert], asked: list[Term], inputs: dict, rows: int, what: str) -> Comparison:
        module = UniteAndConquer(experts, sampler=sampler).eval()
        ours = Side(run=lambda: module.predict_step(batch), units=flags.batch_size)
        reference = Side(run=lambda: plain(asked, inputs, sampler, rows), units=len(inputs["index"]))
        theirs = reference.run().int()
        difference = (ours.run()[: len(theirs)].int() - theirs).abs().max()  # also warms both up
        return Comparison(
            title=title,
            ours="UniteAndConquer",
            reference=what,
            unit="image",
            seconds=in_turn(ours, reference, flags),
            settings={
                "batch": flags.batch_size, "pixels": flags.image_size, "DDIM steps": flags.steps,
                "reference images": reference.units, "terms": len(asked),
            },
            notes=(f"largest difference of a pixel: {difference} of 255",),
        )  # fmt: skip

    return [
        compare("Two experts: batches against a loop over images", two, terms(two), few, 1, "image by image"),
        compare(
            "One shared network: one call against one per term", shared, terms(shared), batch, flags.batch_size, "4 calls"
        ),
        compare(
            "One shared network: one call against one per distinct term",
            shared, terms(shared, merge_null=True), batch, flags.batch_size, "3 calls",
        ),
    ]  # fmt: skip


def _batch(size: int, image_size: int) -> dict:
    generator = torch.Generator().manual_seed(0)
    shapes = {name: (size, channels, image_size, image_size) for name, channels in CONDITIONS}
    maps = {n: 255 * torch.randint(2, s, generator=generator, dtype=torch.uint8) for n, s in shapes.items()}
    return {"index": torch.arange(size), "conditions": maps}


def main(flags: SamplingFlags) -> None:
    torch.set_num_threads(flags.threads)
    report(measure(flags), flags)


if __name__ == "__main__":
    with readable_end():
        main(tyro.cli(SamplingFlags, description=__doc__))
