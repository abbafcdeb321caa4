"""Training of a generator and a discriminator in turn on each batch (Goodfellow et al. 2014, Algorithm 1)."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.func import functional_call

from lightning_mmdiff import images, seeding
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.methods.config import MethodConfig, Trained
from lightning_mmdiff.models.config import ModelConfig
from lightning_mmdiff.models.training import SeededTraining
from lightning_mmdiff.optimization import OptimizerConfig, adamw
from lightning_mmdiff.sampling import Conditions
from lightning_mmdiff.schedules import Sampler
from lightning_mmdiff.source import ModelSource

Noise = Callable[..., Tensor]
"""Function from the shape of one image's noise to N(0, I) for the whole batch: ``noise(64)`` is [B, 64]."""


@dataclass(frozen=True, kw_only=True)
class AdversarialConfig(ModelConfig):
    """Base of the configs of adversarial models. ``optimizer`` trains the generator."""

    image_size: int
    """Height and width in pixels."""
    discriminator_optimizer: OptimizerConfig

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least(1, "image_size")

    @property
    def pixels(self) -> int:
        """Height and width of the training images."""
        return self.image_size


@dataclass(frozen=True)
class Example:
    """A training batch in the range of networks."""

    image: Tensor
    """Float [-1, 1], [B, 3, S, S]."""
    condition: Tensor
    """What the generator reads, float [B, C, S, S]."""


class AdversarialModel(SeededTraining):
    """A generator and a discriminator, with one optimizer each; step k draws only from (seed, k, process)."""

    generator: nn.Module
    """Everything that ``optimizer`` trains."""
    discriminator: nn.Module
    """Everything that ``discriminator_optimizer`` trains."""
    discriminator_first: ClassVar[bool] = False
    """Whether the discriminator steps before the generator."""
    unsaved: ClassVar[tuple[str, ...]] = ()

    def __init__(self, config: AdversarialConfig, *, seed: int) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.config, self.seed, self.sampling_seed = config, seed, seed
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.build_networks()
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # 1.7 times as fast on a CPU

    @abstractmethod
    def build_networks(self) -> None:
        """Set ``generator`` and ``discriminator``, with weights drawn from torch's global generator."""

    @abstractmethod
    def condition(self, conditions: Conditions, like: Tensor) -> Tensor:
        """Return what the generator reads, float [B, C, S, S], on the device of ``like`` [B, 3, S, S]."""

    @abstractmethod
    def generate(self, condition: Tensor, noise: Noise) -> Tensor:
        """Return images [B, 3, S, S] in [-1, 1] for conditions [B, C, S, S]."""

    @abstractmethod
    def generator_loss(self, example: Example, generator: torch.Generator) -> Tensor:
        """Return the generator's loss, a scalar."""

    @abstractmethod
    def discriminator_loss(self, example: Example, generator: torch.Generator) -> Tensor:
        """Return the discriminator's loss, a scalar."""

    def example(self, batch: Mapping[str, Any]) -> Example:
        """Return a batch in the range of networks."""
        image = images.to_float(batch["image"]).to(self.dtype)
        return Example(image=image, condition=self.condition(batch.get("conditions", {}), image))

    def turns(self) -> list[tuple[str, Callable[[Example, torch.Generator], Tensor]]]:
        """Return the names of both losses and their functions, in the order of the steps; the generator's is "loss"."""
        turns: list[tuple[str, Callable[[Example, torch.Generator], Tensor]]]
        turns = [("loss", self.generator_loss), ("discriminator_loss", self.discriminator_loss)]
        return turns[::-1] if self.discriminator_first else turns

    def loss(self, batch: Mapping[str, Any], generator: torch.Generator) -> Tensor:
        """Return the generator's loss on ``batch``, a scalar."""
        return self.losses(batch, generator)["loss"]

    def losses(self, batch: Mapping[str, Any], generator: torch.Generator) -> dict[str, Tensor]:
        """Return the generator's loss as "loss" and the discriminator's, scalars; each trains its own network."""
        example = self.example(batch)
        return {name: loss_of(example, generator) for name, loss_of in self.turns()}

    def training_step(self, batch: Mapping[str, Any], batch_idx: int) -> None:  # type: ignore[override]
        """Step with each network in turn."""
        step, example = self.step, self.example(batch)
        draws = self.draws(step)
        optimizers = dict(zip(("loss", "discriminator_loss"), self.optimizers()))  # type: ignore[arg-type]
        for name, loss_of in self.turns():
            loss = loss_of(example, draws)
            if not torch.isfinite(loss):
                raise UserError(
                    f"The {name.replace('_', ' ')} is {loss.item()} at step {step}; nothing was saved since the last "
                    "checkpoint. Lower the learning rate, or train in precision 32-true."
                )
            optimizers[name].zero_grad()
            self.manual_backward(loss + self._no_gradient())
            optimizers[name].step()
            self.log(name, loss.detach(), prog_bar=True, on_step=True)
        for scheduler in self.lr_schedulers():  # type: ignore[union-attr]
            scheduler.step()  # type: ignore[call-arg]

    def configure_optimizers(self) -> list[OptimizerLRSchedulerConfig]:
        """Return Adam for the generator, then for the discriminator."""
        config: Any = self.config
        return [
            adamw(self.generator.parameters(), config.optimizer),
            adamw(self.discriminator.parameters(), config.discriminator_optimizer),
        ]

    @torch.inference_mode()
    def predict_step(self, batch: Mapping[str, Any], batch_idx: int = 0) -> Tensor:
        """Generate one image for each item, uint8 [B, 3, S, S]; image i depends on (sampling seed, i) alone."""
        generators = [seeding.image_generator(self.sampling_seed, int(i)) for i in batch["index"]]
        size = self.config.image_size
        like = torch.empty(len(generators), 3, size, size, device=self.device)
        condition = self.condition(batch.get("conditions", {}), like)
        return images.to_uint8(self.generate(condition, self.noise_of(generators))).cpu()

    def noise(self, batch_size: int, generator: torch.Generator) -> Noise:
        """Return the noise of a training batch."""
        return lambda *shape: seeding.randn((batch_size, *shape), generator).to(next(self.parameters()))

    def noise_of(self, generators: Sequence[torch.Generator]) -> Noise:
        """Return the noise of images to sample; image i draws only from ``generators[i]``."""
        return lambda *shape: torch.stack([torch.randn(shape, generator=g) for g in generators]).to(self.device)

    def _no_gradient(self) -> Tensor | float:
        """Return 0 with a zero gradient for every parameter: processes that share a batch wait for all of them."""
        if self.processes == 1:
            return 0.0
        return 0 * torch.stack([p.sum() for p in self.parameters() if p.requires_grad]).sum()


def frozen_call(module: nn.Module, *inputs: Any) -> Any:
    """Call ``module`` so that gradients reach its inputs but not its parameters."""
    return functional_call(module, {name: p.detach() for name, p in module.named_parameters()}, inputs)


def halves(pairs: Sequence[Sequence[Tensor]]) -> tuple[list[list[Tensor]], list[list[Tensor]]]:
    """Split features of a batch of generated, then real images, of each scale and layer, into both parts."""
    split = [[layer.chunk(2) for layer in scale] for scale in pairs]
    fake, real = ([[layer[part] for layer in scale] for scale in split] for part in (0, 1))
    return fake, real


def layers_of(module: nn.Module, kind: type[nn.Module]) -> Iterator[Any]:
    """Yield the layers of one kind."""
    return (layer for layer in module.modules() if isinstance(layer, kind))


@dataclass(frozen=True, kw_only=True)
class Generate(MethodConfig):
    """Images of a model that needs no sampler: one call of its generator."""

    takes_sampler: ClassVar[bool] = False
    model: ModelSource

    def build(self, trained: Trained, *, sampler: Sampler | None, seed: int) -> LightningModule:
        """Return the trained model."""
        model = trained(self.model)
        model.sampling_seed = seed
        return model
