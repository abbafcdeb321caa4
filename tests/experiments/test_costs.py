"""The estimated memory against a whole step, traced on the meta device: weights, gradients, moments, average, activations."""

from dataclasses import replace

import pytest
import torch

from experiments import INDEX
from experiments.core import costs
from experiments.core.tracing import Autocast, LiveBytes, inputs, traced
from experiments.recipes.unite_and_conquer import hair_expert
from experiments.runs import TrainRun
from experiments.spec import plan
from lightning_mmdiff.networks import presets
from lightning_mmdiff.networks.unet import UNetConfig

SMALL = UNetConfig(
    in_channels=3, out_channels=3, channels=32, channel_mult=(1, 2), num_res_blocks=1, attention_levels=(1,), num_heads=2,
    norm_groups=8,
)  # fmt: skip


def trained_u_nets() -> list[TrainRun]:
    """The trainings of a U-Net at paper, one of each network, batch and precision."""
    found = {}
    for entry in INDEX:
        module = __import__(f"experiments.{entry.name}", fromlist=["table"])
        for run in plan([module.table("paper", 0)]):
            if isinstance(run, TrainRun) and run.model.networks:
                found.setdefault((run.model.networks, run.rows, run.trainer.precision, run.trainer.ema_decay), run)
    return list(found.values())


def whole_step(run: TrainRun, side: int) -> int:
    """Bytes of a step of the run's U-Nets as they exist together: nothing is extrapolated."""
    live = LiveBytes()
    with live:
        with torch.device("meta"):
            networks = [config.build().train() for config in run.model.networks]
        parameters = [p for network in networks for p in network.parameters()]
        copies = 2 + (run.trainer.ema_decay is not None)  # Adam's moments, the average
        states = [torch.empty_like(p) for p in parameters for _ in range(copies)]
        with Autocast(mixed=run.trainer.precision != "32-true"):
            outputs = [n(*inputs(c, side, run.rows, costs.TOKENS)) for n, c in zip(networks, run.model.networks)]
            torch.autograd.backward(sum(output.float().square().mean() for output in outputs))
    del states
    return live.most


@pytest.mark.slow
def test_every_training_of_the_papers_is_estimated_within_a_tenth() -> None:
    runs = trained_u_nets()
    assert len(runs) > 5
    wrong = {}
    for run in runs:
        own, estimate = costs.size(run), costs.gpu_memory_gib(run)
        if own is None or own.side is None or estimate is None:
            continue  # weights that are not here
        ratio = of_u_nets_alone(run, own, estimate * 2**30) / whole_step(run, own.side)
        if not 0.9 < ratio < 1.1:
            wrong[run.name] = ratio
    assert not wrong


def of_u_nets_alone(run: TrainRun, own: costs.Size, estimate: float) -> float:
    """The estimate without what is not the U-Nets': encoders, helpers and the calls of frozen experts."""
    inside = sum(costs.network_parameters(network) for network in run.model.networks)
    states = 16 + (4 if run.trainer.ema_decay is not None else 0)
    mixed = run.trainer.precision != "32-true"
    experts = [costs._call_bytes(e, own.side, run.rows, mixed=mixed) for e in costs._experts(run)]
    return estimate - states * (own.trained - inside) - 4 * own.frozen - max(experts, default=0.0)


def test_recomputed_activations_and_16_bit_need_less() -> None:
    def of(config=SMALL, *, training=True, mixed=False):
        return traced(config, 16, 64, training=training, mixed=mixed).bytes

    assert of(replace(SMALL, checkpointing=True)) < 0.6 * of()
    assert 0.4 < of(mixed=True) / of() < 0.95
    assert of(training=False) < 0.5 * of()


def test_operations_are_those_of_real_tensors() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        SMALL.build()(torch.randn(1, 3, 16, 16), torch.zeros(1, dtype=torch.int64))
    assert traced(SMALL, 16, 1, training=False, mixed=False).flops == pytest.approx(counter.get_total_flops(), rel=0.01)


def test_what_is_kept_is_what_autograd_keeps() -> None:
    """In 32-bit, of real tensors: the activations of a forward pass, without the weights."""
    network, x = SMALL.build().train(), torch.randn(4, 3, 16, 16)
    own = {p.untyped_storage().data_ptr() for p in network.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        out = network(x, torch.zeros(4, dtype=torch.int64))
    assert out.requires_grad
    few, many = (traced(SMALL, 16, rows, training=True, mixed=False).bytes for rows in (64, 128))
    assert sum(kept.values()) == pytest.approx((many - few) * 4 / 64, rel=0.15)


def test_a_released_network_has_the_operations_that_were_counted_for_it() -> None:
    """Unite and Conquer: 1,263 x 10^9 a forward pass of 256 pixels, ADM-64: 219."""
    assert traced(presets.adm_64(num_classes=None), 64, 1, training=False, mixed=False).flops == pytest.approx(
        219e9, rel=0.01
    )
    assert hair_expert("paper", 0).model.networks
