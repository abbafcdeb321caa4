"""One GPU at the papers' sizes, in at most eight minutes: forward, training and sampling steps, memory against the estimate.

    python -m benchmarks.gpu                                      # one H100
    python -m benchmarks.gpu --ref DIR                            # guided-diffusion from DIR/guided-diffusion beside it
    python -m benchmarks.gpu --device cpu --tiny                  # that the code runs; the numbers mean nothing
    python -m benchmarks.gpu --data DIR                           # then a real training on the images of DIR/cifar10, in bf16

Ways are timed in turn after a warm-up, so that slow moments affect all. Where time runs short, parts are skipped and named.
"""

import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import tyro

from benchmarks import guided_diffusion
from benchmarks.gpu_clock import GpuFlags, Measurement, running
from benchmarks.official import noisy, training_step
from benchmarks.paired import environment
from datamodules.base import PackedDataModule
from experiments.core.tracing import traced
from experiments.core.workspace import training_data
from experiments.recipes.cifar10 import single_task
from lightning_mmdiff import seeding
from lightning_mmdiff.images import to_float
from lightning_mmdiff.methods.unite_and_conquer import Expert, UniteAndConquer
from lightning_mmdiff.models.denoiser import Denoiser, DenoiserConfig
from lightning_mmdiff.networks.conditions import ConditionConfig
from lightning_mmdiff.networks.ldm import ldm_unet
from lightning_mmdiff.networks.network import NetworkConfig
from lightning_mmdiff.networks.presets import adm_64, unite_and_conquer_sketch
from lightning_mmdiff.networks.unet import UNetConfig
from lightning_mmdiff.optimization import OptimizerConfig
from lightning_mmdiff.runtime.commands import readable_end
from lightning_mmdiff.runtime.files import write_json
from lightning_mmdiff.schedules import Sampler

TABLES = {"Unite": ("table1", 4, 100), "ADM": ("table6", 1, 250), "LDM": ("table9", 2, 50)}
"""Network -> a table whose rows sample with it at paper: calls an image and step, and steps; dynamic diffusers are left out."""


def sizes(flags: GpuFlags) -> dict[str, tuple[NetworkConfig, int, int]]:
    """Return the networks measured: config, side and rows."""
    if flags.tiny:
        small: dict[str, Any] = {"channels": 32, "head_channels": 32}
        latent = replace(ldm_unet(), channels=(32, 64, 96, 160))
        return {
            "Unite and Conquer, tiny": (replace(unite_and_conquer_sketch(), **small), 32, 2),
            "ADM-64, tiny": (replace(adm_64(num_classes=None), **small), 16, 2), "LDM, tiny": (latent, 16, 2),
        }  # fmt: skip
    return {
        "Unite and Conquer, 311M, 256 px": (unite_and_conquer_sketch(), 256, 16),
        "ADM-64, 295M, 64 px": (adm_64(num_classes=None), 64, 64), "LDM, 404M, 64 x 64 latents": (ldm_unet(), 64, 32),
    }  # fmt: skip


def forward(m: Measurement, title: str, config: NetworkConfig, side: int, rows: int) -> None:
    """Time the forward pass in all precisions, with channels last, and compiled.

    Args:
        m: the clock.
        title: name of the network.
        config: the network.
        side: height and width of its input.
        rows: rows of a call.
    """
    device = m.flags.device
    network = noisy(config.build()).to(device).eval().requires_grad_(False)
    last = replace(config, channels_last=True).build().to(device).eval().requires_grad_(False)
    last.load_state_dict(network.state_dict())
    adm = isinstance(config, UNetConfig)
    z, t = torch.randn(rows, config.in_channels, side, side, device=device), torch.full((rows,), 500, device=device)
    more = () if adm else (torch.randn(rows, 77, config.embedding_dim or 1, device=device),)

    def call(module: Any, way: str) -> Callable[[], Any]:
        def run() -> Any:
            with torch.inference_mode(), running(device, way):
                return module(z, t, *more)

        return run

    ways = {"fp32": call(network, "fp32"), "tf32": call(network, "tf32"), "bf16": call(network, "bf16")}
    ways["bf16, channels last"] = call(last, "bf16")
    if m.flags.compile and m.left > 200:
        compiled = replace(config, channels_last=True, compile=True).build().to(device).eval().requires_grad_(False)
        compiled.load_state_dict(network.state_dict())
        ways["bf16, channels last, compiled"] = call(compiled, "bf16")
    if m.flags.ref is not None and adm:
        code = guided_diffusion.load(m.flags.ref / "guided-diffusion")
        ways["guided-diffusion, fp16" if m.cuda else "guided-diffusion"] = call(
            guided_diffusion.network(code, network, side, fp16=m.cuda).eval(), "tf32"
        )
    exact, half = ways["fp32"]().float(), ways["bf16"]().float()
    print(f"  bf16 differs from fp32 by {((exact - half).norm() / exact.norm()).item():.1e} of the output's norm")
    m.in_turn(f"forward: {title}, {rows} rows", ways, units=rows, flops=_flops(config, side))
    table, calls, steps = TABLES[title.split()[0].split("-")[0].strip(",")]
    each = statistics.median(next(r["seconds"] for r in reversed(m.results) if r["way"] == "bf16")) / rows
    print(
        f"  {table} at paper: {1 / (each * calls * steps):.3g} images a second in bf16 ({calls} calls, {steps} steps)"
    )
    for mixed, name in ((False, "tf32"), (True, "bf16")):
        found = traced(config, side, rows, training=False, mixed=mixed, tokens=77).bytes
        weights = 4 * sum(p.numel() for p in network.parameters())
        print(
            f"  {name}: estimated {(found + weights) / 2**30:.2f} GiB for this call; the peaks hold the other networks too"
        )


def training(m: Measurement, title: str, config: NetworkConfig, side: int, rows: int) -> None:
    """Time a training step: hybrid loss, backward pass, AdamW, average.

    Args:
        m: the clock.
        title: name of the network.
        config: the network.
        side: height and width of its input.
        rows: rows of a call.
    """
    assert isinstance(config, UNetConfig)
    config = replace(config, in_channels=3)
    network = noisy(config.build()).to(m.flags.device)
    image = torch.randint(0, 256, (rows, 3, side, side), dtype=torch.uint8, device=m.flags.device)
    step = training_step(network, image)

    def call(way: str) -> Callable[[], Any]:
        def run() -> None:
            with running(m.flags.device, way):
                step()

        return run

    ways: dict[str, Callable[[], Any]] = {way: call(way) for way in ("tf32", "bf16")}
    with tempfile.TemporaryDirectory() as folder:
        if m.flags.ref is not None:
            code = guided_diffusion.load(m.flags.ref / "guided-diffusion")
            theirs = guided_diffusion.network(code, network, side, fp16=m.cuda)
            loop = guided_diffusion.train_loop(code, theirs, to_float(image.cpu()), Path(folder), fp16=m.cuda)
            ways["guided-diffusion's run_step"] = lambda: loop.run_step(*next(loop.data))
        m.in_turn(f"training: {title}, batch {rows}", ways, units=rows, flops=3 * _flops(config, side))


def sampling(m: Measurement, config: NetworkConfig, side: int, images: int, steps: int) -> None:
    """Time whole sampling of two united experts, and count how often the CPU waits for the GPU.

    Args:
        m: the clock.
        config: the experts' network.
        side: height and width.
        images: images at once.
        steps: sampler steps.
    """
    assert isinstance(config, UNetConfig)
    device, names = m.flags.device, ("hair", "skin")
    models = [
        Denoiser(DenoiserConfig(
            network=config, conditions=ConditionConfig(spatial=((name, 3),)), image_size=side, learned_variance=True,
            optimizer=OptimizerConfig(lr=1e-5),
        )) for name in names
    ]  # fmt: skip
    maps = {name: torch.zeros(images, 3, side, side, dtype=torch.uint8, device=device) for name in names}
    batch = {"index": torch.arange(images), "conditions": maps}
    for sampler in ("spaced-ddim", "spaced-ddpm", "unipc"):
        experts = [Expert(denoiser=model, conditions=(name,)) for model, name in zip(models, names)]
        method = UniteAndConquer(experts, sampler=Sampler(name=sampler, num_steps=steps)).to(device).eval()  # type: ignore[arg-type]

        def run(way: str, method: UniteAndConquer = method) -> None:
            with running(device, way):
                method.predict_step(batch)

        ways = {way: (lambda way=way, run=run: run(way)) for way in ("tf32", "bf16")}
        m.in_turn(
            f"sampling: two experts, {images} images, {steps} steps of {sampler}", ways, units=images,
            flops=4 * steps * _flops(config, side), pairs=2,
        )  # fmt: skip
        if m.cuda:
            torch.cuda.set_sync_debug_mode("warn")
            with warnings.catch_warnings(record=True) as found:
                warnings.simplefilter("always")
                run("bf16")
            torch.cuda.set_sync_debug_mode("default")
            print(f"  the CPU waited {len(found)} times in {steps} steps")


def photographs(m: Measurement, root: Path) -> None:
    """Train the network of the CIFAR-10 table on the photographs below ``root`` in bf16 for the time that is left."""
    run = single_task("mini" if m.flags.tiny else "paper", 0)
    data = training_data(run, root)
    assert isinstance(data, PackedDataModule)
    data.prepare_data()
    data.setup()
    model: Any = run.model.build(seed=run.seed).to(m.flags.device).train()
    batches = data.train_batches()
    optimizer: Any = model.configure_optimizers()
    optimizer = optimizer["optimizer"] if isinstance(optimizer, dict) else optimizer
    losses, start = list[torch.Tensor](), time.monotonic()
    while m.left > 20 or not losses:
        batch = {
            key: value.to(m.flags.device) if key == "image" else value for key, value in batches(len(losses)).items()
        }
        with running(m.flags.device, "bf16"):
            loss = model.loss(batch, seeding.step_generator(run.seed, len(losses)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    m.wait()
    rate = len(losses) * run.batch_size / (time.monotonic() - start)
    parts = torch.stack(losses).float().cpu().split(max(1, len(losses) // 4))
    means = ", ".join(f"{part.mean().item():.4f}" for part in parts)
    print(f"CIFAR-10, bf16: {len(losses)} steps of {run.batch_size}, {rate:.0f} images a second; mean losses: {means}")


def _flops(config: NetworkConfig, side: int) -> float:
    return traced(config, side, 1, training=False, mixed=False, tokens=77).flops


def main(flags: GpuFlags) -> None:
    m = Measurement(flags)
    for title, (config, side, rows) in sizes(flags).items():
        parts: list[tuple[str, Callable[[], None]]] = [
            ("forward", lambda: forward(m, title, config, side, rows)),  # noqa: B023
        ]
        if isinstance(config, UNetConfig):
            parts.append(("training", lambda: training(m, title, config, side, max(2, rows // 2))))  # noqa: B023
        if title.startswith("Unite"):
            parts.append(("sampling", lambda: sampling(m, config, side, rows, 2 if flags.tiny else 5)))  # noqa: B023
        for name, part in parts:
            if m.left < 45:
                print(f"{name}: {title} skipped, {m.left:.0f} s left")
                continue
            part()
            if m.cuda:
                torch.cuda.empty_cache()
    if flags.data is not None:
        photographs(m, flags.data)
    print(", ".join(f"{k} {v}" for k, v in environment().items()), torch.cuda.get_device_name() if m.cuda else "CPU")
    if flags.out is not None:
        write_json(flags.out, {"environment": environment(), "results": m.results})


if __name__ == "__main__":
    with readable_end():
        main(tyro.cli(GpuFlags, description=__doc__))
