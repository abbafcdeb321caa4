"""Our networks and training against the official codes, with the same weights, in turn.

    python -m benchmarks.official --ref DIR --clock cpu --threads 1

DIR holds clones of https://github.com/openai/guided-diffusion and https://github.com/ziqihuangg/Collaborative-Diffusion (which
needs ``einops`` and ``omegaconf``); a comparison whose clone is not there is left out. The networks have their published
structure at a part of their width, so that a CPU can run them.
"""

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import tyro
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint
from torch import Tensor

from benchmarks import guided_diffusion
from benchmarks.paired import BenchmarkFlags, Comparison, Side, in_turn, report
from lightning_mmdiff import seeding
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.images import to_float
from lightning_mmdiff.models.denoiser import Denoiser, DenoiserConfig
from lightning_mmdiff.networks.conditions import ConditionConfig
from lightning_mmdiff.networks.dynamic_diffuser import dynamic_diffuser_unet
from lightning_mmdiff.networks.ldm import CrossAttentionUNet, CrossAttentionUNetConfig, ldm_unet
from lightning_mmdiff.networks.presets import adm_64
from lightning_mmdiff.networks.unet import UNet
from lightning_mmdiff.optimization import OptimizerConfig
from lightning_mmdiff.runtime.commands import readable_end


@dataclass(frozen=True, kw_only=True)
class OfficialFlags(BenchmarkFlags):
    """Settings of the comparison."""

    ref: Path
    """Folder of the clones."""
    width: int = 64
    """Channels of ADM-64's first level; 192 as published."""
    share: int = 3
    """The latent networks have one in so many of the published channels."""
    rows: int = 2
    """Images of a call."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.width < 64 or self.width % 64 or self.rows < 1 or 192 % self.share or (192 // self.share) % 32:
            raise ValueError("--width must be a multiple of 64, --rows at least 1, --share 1, 2, 3 or 6.")


def noisy(module: torch.nn.Module) -> Any:
    """Add noise to all weights, since whole branches start at zero."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return module


def compared(
    title: str, ours: Callable[[], Any], theirs: Callable[[], Any], flags: OfficialFlags, *, reference: str, agree: float,
    settings: dict[str, Any],
) -> Comparison:  # fmt: skip
    """Time both ways in turn.

    Args:
        title: what is done.
        ours: our way.
        theirs: the official way.
        flags: settings.
        reference: name of the official code.
        agree: largest difference of the results, relative to the largest value.
        settings: sizes.
    """
    for run in (ours, theirs):
        run()
    seconds = in_turn(Side(run=ours, units=flags.rows), Side(run=theirs, units=flags.rows), flags)
    return Comparison(
        title=title, ours="ours", reference=reference, unit="image", seconds=seconds, settings=settings,
        notes=(f"largest difference of the results: {agree:.1e}",),
    )  # fmt: skip


def relative(a: Tensor, b: Tensor) -> float:
    """Return the largest difference, relative to the largest value."""
    return ((a - b).abs().max() / b.abs().max()).item()


def adm(flags: OfficialFlags, folder: Path) -> list[Comparison]:
    """Compare ADM-64's structure with guided-diffusion: forward, forward and backward, and a whole training step."""
    code = guided_diffusion.load(flags.ref / "guided-diffusion")
    config = replace(adm_64(num_classes=None), channels=flags.width)
    ours: UNet = noisy(config.build()).eval()
    theirs = guided_diffusion.network(code, ours, 64).eval()
    x, t = torch.randn(flags.rows, 3, 64, 64), torch.full((flags.rows,), 500)
    settings = {"width": flags.width, "rows": flags.rows, "parameters": sum(p.numel() for p in ours.parameters())}

    def forward(network: Any) -> Callable[[], Tensor]:
        def run() -> Tensor:
            with torch.inference_mode():
                return network(x, t)

        return run

    def both(network: Any) -> Callable[[], Tensor]:
        def run() -> Tensor:
            network.zero_grad()
            network(x, t).square().mean().backward()
            return next(network.parameters()).grad

        return run

    name = "guided-diffusion"
    found = [
        compared("ADM-64, forward", forward(ours), forward(theirs), flags, reference=name, settings=settings,
                 agree=relative(forward(ours)(), forward(theirs)())),
        compared("ADM-64, forward and backward", both(ours), both(theirs), flags, reference=name, settings=settings,
                 agree=relative(both(ours)(), both(theirs)())),
    ]  # fmt: skip
    image = torch.randint(0, 256, (flags.rows, 3, 64, 64), dtype=torch.uint8)
    loop = guided_diffusion.train_loop(code, guided_diffusion.network(code, ours, 64), to_float(image), folder)
    step = training_step(ours, image)

    def published() -> None:
        loop.run_step(*next(loop.data))
        loop.step += 1

    found.append(compared(
        "ADM-64, training step: hybrid loss, backward, AdamW, average", step, published, flags, reference=f"{name}'s run_step",
        settings=settings, agree=0.0,
    ))  # fmt: skip
    return [
        *found[:2],
        replace(found[2], notes=("random timesteps and noise differ, so the results are not compared",)),
    ]


def training_step(network: UNet, image: Tensor) -> Callable[[], None]:
    """Return our training step on one batch: that of the Trainer, without its loop."""
    config = DenoiserConfig(
        network=network.config, conditions=ConditionConfig(), image_size=image.shape[-1], schedule="cosine",
        learned_variance=True, optimizer=OptimizerConfig(lr=1e-4),
    )  # fmt: skip
    model = Denoiser(config).to(image.device).train()
    model.network.load_state_dict(network.state_dict())
    optimizer: Any = model.configure_optimizers()
    optimizer = optimizer["optimizer"] if isinstance(optimizer, dict) else optimizer
    parameters = list(model.parameters())
    average = [p.detach().clone() for p in parameters]
    steps = iter(range(10**9))

    def run() -> None:
        optimizer.zero_grad()
        model.loss({"image": image}, seeding.step_generator(0, next(steps))).backward()
        optimizer.step()
        torch._foreach_lerp_(average, [p.detach() for p in parameters], 1e-4)

    return run


def latent(flags: OfficialFlags, title: str, published: CrossAttentionUNetConfig) -> Comparison:
    """Compare a latent network with Collaborative Diffusion's own code, forward."""
    sys.path.insert(0, str(flags.ref / "Collaborative-Diffusion"))
    from ldm.modules.diffusionmodules.openaimodel import UNetModel  # type: ignore[import-not-found]

    channels = (
        published.channels if published.channels[0] < 192 else tuple(c // flags.share for c in published.channels)
    )
    config = replace(published, channels=channels)
    theirs = UNetModel(
        image_size=64, in_channels=3, out_channels=config.out_channels, model_channels=channels[0],
        attention_resolutions=[8, 4, 2], num_res_blocks=2, channel_mult=[c // channels[0] for c in channels], num_heads=32,
        use_spatial_transformer=True, transformer_depth=1, context_dim=640, use_checkpoint=False, legacy=False,
    )  # fmt: skip
    noisy(theirs).eval()
    ours = CrossAttentionUNet(config).eval()
    state = {f"model.diffusion_model.{name}": value for name, value in theirs.state_dict().items()}
    ours.network.load_state_dict(convert_ldm_unet_checkpoint(state, dict(ours.network.config)))
    z, t, tokens = torch.randn(flags.rows, 3, 64, 64), torch.full((flags.rows,), 500), torch.randn(flags.rows, 77, 640)

    def run_ours() -> Tensor:
        with torch.inference_mode():
            return ours(z, t, tokens)

    def run_theirs() -> Tensor:
        with torch.inference_mode():
            return theirs(z, t, context=tokens)

    return compared(
        title, run_ours, run_theirs, flags, reference="Collaborative-Diffusion", agree=relative(run_ours(), run_theirs()),
        settings={"channels": channels, "rows": flags.rows},
    )  # fmt: skip


def main(flags: OfficialFlags) -> None:
    torch.set_num_threads(flags.threads)
    comparisons: list[Comparison] = []
    with tempfile.TemporaryDirectory() as folder:
        if (flags.ref / "guided-diffusion").is_dir():
            comparisons += adm(flags, Path(folder))
        if (flags.ref / "Collaborative-Diffusion").is_dir():
            comparisons += [
                latent(flags, "uni-modal latent network, forward", ldm_unet()),
                latent(flags, "dynamic diffuser, forward", dynamic_diffuser_unet()),
            ]
    if not comparisons:
        raise UserError(f"{flags.ref} holds neither guided-diffusion/ nor Collaborative-Diffusion/: clone them there.")
    report(comparisons, flags)


if __name__ == "__main__":
    with readable_end():
        main(tyro.cli(OfficialFlags, description=__doc__))
