"""Cost of dynamic diffusers: a step of collaborative sampling against the two experts alone, and the memory of training.

    python -m benchmarks.collaborative

Steps are timed at a fraction of the published width, the same for all networks (--share 1 is the paper's size, for a GPU);
at full width the operations are counted on the meta device. The memory of training is that kept for the backward pass: it
must not change with experts of twice the width, since no activation of an expert is kept.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
import tyro
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.multitask import held
from benchmarks.paired import BenchmarkFlags, Comparison, Side, in_turn, report
from lightning_mmdiff.methods.collaborative.model import Collaborative, CollaborativeConfig, Collaborator
from lightning_mmdiff.methods.composable import Composable
from lightning_mmdiff.models.latent_denoiser import LatentDenoiser, LatentDenoiserConfig
from lightning_mmdiff.networks.dynamic_diffuser import dynamic_diffuser_unet
from lightning_mmdiff.networks.ldm import CrossAttentionUNetConfig, ldm_unet
from lightning_mmdiff.networks.tokens import MaskTokensConfig, TextTokensConfig, TokensConfig
from lightning_mmdiff.networks.vae import VAE, VAEConfig
from lightning_mmdiff.runtime.commands import readable_end

LENGTHS = {"mask_tokens": 19, "text_tokens": 77}


@dataclass(frozen=True, kw_only=True)
class CollaborativeFlags(BenchmarkFlags):
    """Settings for the cost of dynamic diffusers."""

    pairs: int = 15
    share: float = 0.25
    """Width of all networks relative to the paper's; a multiple of 1/4."""
    side: int = 32
    """Height and width of the latents; 64 in the paper."""
    batch_size: int = 2
    """Number of images."""


def narrowed(network: CrossAttentionUNetConfig, share: float) -> CrossAttentionUNetConfig:
    """Return the same network with a fraction of its channels, heads and token width."""
    heads = network.num_heads
    assert isinstance(heads, int)
    return replace(
        network,
        channels=tuple(round(share * width) for width in network.channels),
        num_heads=round(share * heads),
        context_dim=round(share * network.context_dim),
        norm_groups=round(share * network.norm_groups),
    )


def collaborators(share: float, side: int, *, expert_share: float | None = None) -> Collaborative:
    """Build mask and text experts with fresh dynamic diffusers; the autoencoder is a dummy, since latents are made up."""
    expert, diffuser = narrowed(ldm_unet(), expert_share or share), narrowed(dynamic_diffuser_unet(), share)
    expert = replace(expert, context_dim=diffuser.context_dim)
    vae = VAE(VAEConfig(image_size=side, channels=(8,), num_res_blocks=1, norm_groups=8))
    vae.scale.fill_(1.0)
    width = diffuser.context_dim
    tokens: tuple[TokensConfig, ...] = (
        MaskTokensConfig(width=width),
        TextTokensConfig(width=width, num_layers=1, vocabulary=("face",)),
    )
    experts = [LatentDenoiser(LatentDenoiserConfig(network=expert, conditions=t), autoencoder=vae) for t in tokens]
    collaborators = tuple(Collaborator(conditions=(name,), network=diffuser) for name in LENGTHS)
    return Collaborative(experts, CollaborativeConfig(collaborators=collaborators))


def inputs(module: Collaborative, batch_size: int) -> tuple[Tensor, dict[str, Tensor]]:
    """Return noise z_t and the tokens of both conditions."""
    expert = module.experts[0].denoiser
    assert isinstance(expert, LatentDenoiser)
    width = expert.config.conditions.width
    tokens = {name: torch.randn(batch_size, length, width) for name, length in LENGTHS.items()}
    return torch.randn(batch_size, *module.shape), tokens


def step_cost(flags: CollaborativeFlags) -> Comparison:
    """Time one step of both ways of sampling."""
    module = collaborators(flags.share, flags.side).eval()
    alone = Composable(module.experts, sampler=module.sampler)
    z, tokens = inputs(module, flags.batch_size)
    t = torch.tensor(500)

    @torch.no_grad()
    def step(method: Any) -> Tensor:
        return method.predict_noise(z, t, tokens)

    difference = (step(module) - step(alone)).abs().max().item()
    ours, reference = (Side(run=partial(step, method), units=flags.batch_size) for method in (module, alone))
    seconds = in_turn(ours, reference, flags)
    costs = sorted(a / b for a, b in seconds)
    return Comparison(
        title="A step of collaborative sampling", ours="with dynamic diffusers", reference="two experts alone", unit="image",
        seconds=seconds, settings={"share": flags.share, "latents": flags.side, "batch": flags.batch_size},
        notes=(
            f"COST {costs[len(costs) // 2]:.3f} of the experts alone (median; {costs[0]:.3f} .. {costs[-1]:.3f})",
            f"largest difference to the plain average, before training: {difference:.1e}",
        ),
    )  # fmt: skip


def training_memory(flags: CollaborativeFlags, expert_share: float) -> float:
    """Return the MiB that a training step keeps for its backward pass, with experts of relative width ``expert_share``."""
    module = collaborators(flags.share, flags.side, expert_share=expert_share).train()
    z, tokens = inputs(module, flags.batch_size)
    t = torch.full((flags.batch_size,), 500)

    def forward() -> Tensor:
        influence = module.logits(z, t, tokens).softmax(dim=0)
        return (influence * module.predictions(z, t, tokens)).sum(dim=0).square().mean()

    return held(module.diffusers, forward)[1]


def count_lines() -> list[str]:
    """Return the multiply-adds per image and step at the paper's sizes, of the experts and of their dynamic diffusers."""
    with torch.device("meta"):
        module = collaborators(1.0, 64).eval()
        z, tokens = inputs(module, 1)
        t = torch.tensor(500)
        counts = []
        for call in (partial(module.predictions, z, t.expand(1), tokens), partial(module.logits, z, t, tokens)):
            with torch.no_grad(), FlopCounterMode(display=False) as counter:
                call()
            counts.append(counter.get_total_flops() / 2e9)
    experts, diffusers = counts
    return [
        f"Counted at the paper's sizes: {experts:.1f} x 10^9 multiply-adds of the experts, {diffusers:.1f} of the dynamic "
        f"diffusers: COST {1 + diffusers / experts:.3f}"
    ]


def main(flags: CollaborativeFlags) -> None:
    torch.set_num_threads(flags.threads)
    report([step_cost(flags)], flags)
    narrow, wide = (training_memory(flags, factor * flags.share) for factor in (1, 2))
    print(f"Kept for the backward pass of training: {narrow:.1f} MiB; with experts twice as wide: {wide:.1f} MiB")
    print("\n".join(count_lines()), flush=True)


if __name__ == "__main__":
    with readable_end():
        main(tyro.cli(CollaborativeFlags, description=__doc__))
