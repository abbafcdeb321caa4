"""CycleGAN (Zhu et al., ICCV 2017): two translations that undo each other, learned from unpaired pictures."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lightning_mmdiff import seeding
from lightning_mmdiff.baselines.adversarial import AdversarialConfig, AdversarialModel, Example, Noise, frozen_call
from lightning_mmdiff.baselines.image_pool import ImagePool
from lightning_mmdiff.baselines.losses import least_squares
from lightning_mmdiff.baselines.resnet_generator import ResnetGenerator
from lightning_mmdiff.images import to_float
from lightning_mmdiff.networks.patch_discriminator import PatchDiscriminator
from lightning_mmdiff.networks.whole_batch import gathered
from lightning_mmdiff.optimization import OptimizerConfig
from lightning_mmdiff.sampling import Conditions

FORWARD, BACKWARD = "to_image", "to_source"


@dataclass(frozen=True, kw_only=True)
class CycleGANConfig(AdversarialConfig):
    """Architecture and losses; the defaults are the published values (Sec. 4 and App. 7)."""

    step_work: ClassVar[float] = 5.0
    source: str
    """Condition that is translated, a picture uint8 [B, 3, S, S]; a batch's pictures are shuffled against its images."""
    width: int = 64
    num_downs: int = 2
    num_blocks: int = 9
    """Residual blocks: 9 at 256 pixels, 6 at 128."""
    discriminator_width: int = 64
    discriminator_layers: int = 3
    """Layers of the discriminator with stride 2; 3 need images of 24 pixels or more."""
    cycle_weight: float = 10.0
    identity_weight: float = 0.0
    """Share of ``cycle_weight`` of the identity loss; the paper has none where pictures are translated to labels."""
    pool_size: int = 50
    optimizer: OptimizerConfig = OptimizerConfig(lr=2e-4, betas=(0.5, 0.999))
    discriminator_optimizer: OptimizerConfig = OptimizerConfig(lr=2e-4, betas=(0.5, 0.999))

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least(
            1, "width", "num_downs", "num_blocks", "discriminator_width", "discriminator_layers", "pool_size"
        )
        self._at_least(0, "cycle_weight", "identity_weight")

    def build(self, *, seed: int) -> "CycleGAN":
        """Build all networks."""
        return CycleGAN(self, seed=seed)

    @property
    def required_conditions(self) -> tuple[str, ...]:
        """The picture that is translated."""
        return (self.source,)


class CycleGAN(AdversarialModel):
    """A generator and a discriminator in each direction; "to_image" makes the images that are sampled."""

    config: CycleGANConfig
    generator: nn.ModuleDict
    discriminator: nn.ModuleDict
    pools: nn.ModuleDict

    def build_networks(self) -> None:
        """Set all networks and the pools."""
        config = self.config
        sizes = (config.width, config.num_downs, config.num_blocks)
        directions = (FORWARD, BACKWARD)
        self.generator = nn.ModuleDict({name: ResnetGenerator(3, *sizes) for name in directions})
        self.discriminator = nn.ModuleDict(
            {
                name: PatchDiscriminator(config.discriminator_width, config.discriminator_layers, norm="instance")
                for name in directions
            }
        )
        shape = (3, config.image_size, config.image_size)
        self.pools = nn.ModuleDict({name: ImagePool(config.pool_size, shape) for name in directions})
        self._fakes: dict[str, Tensor] = {}

    def condition(self, conditions: Conditions, like: Tensor) -> Tensor:
        """Return the picture to translate, [B, 3, S, S] in [-1, 1]."""
        return to_float(conditions[self.config.source]).to(like)

    def generate(self, condition: Tensor, noise: Noise) -> Tensor:
        """Return the translation, [B, 3, S, S] in [-1, 1], of pictures [B, 3, S, S]; there is no noise."""
        return self.generator[FORWARD](condition)

    def generator_loss(self, example: Example, generator: torch.Generator) -> Tensor:
        """Return both least squares and the error of both cycles (Eq. 3), with the identity loss of App. 7 if it has weight."""
        a, b = self._unpaired(example, generator)
        make, back = self.generator[FORWARD], self.generator[BACKWARD]
        fake_b, fake_a = make(a), back(b)
        self._fakes = {FORWARD: fake_b.detach(), BACKWARD: fake_a.detach()}
        fooled = least_squares(frozen_call(self.discriminator[FORWARD], fake_b), True)
        fooled = fooled + least_squares(frozen_call(self.discriminator[BACKWARD], fake_a), True)
        weight = self.config.cycle_weight
        loss = fooled + weight * (F.l1_loss(back(fake_b), a) + F.l1_loss(make(fake_a), b))
        if self.config.identity_weight:
            same = F.l1_loss(make(b), b) + F.l1_loss(back(a), a)
            loss = loss + weight * self.config.identity_weight * same
        return loss

    def discriminator_loss(self, example: Example, generator: torch.Generator) -> Tensor:
        """Return half the least squares of both discriminators, on pooled images of the generators' turn."""
        losses = []
        for name, real in ((FORWARD, example.image), (BACKWARD, example.condition)):
            pool: Any = self.pools[name]
            fakes = self._fakes[name]
            whole = gathered(fakes) if seeding.processes(generator) > 1 else fakes  # every process keeps the same pool
            pooled = seeding.own_rows(pool.query(whole, generator), generator)
            judge = self.discriminator[name]
            losses.append(0.5 * (least_squares(judge(pooled), False) + least_squares(judge(real), True)))
        return torch.stack(losses).sum()

    @staticmethod
    def _unpaired(example: Example, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return the pictures of both sides in orders that have nothing to do with each other."""
        processes = seeding.processes(generator)
        order = torch.randperm(processes * len(example.image), generator=generator).to(example.image.device)
        images = gathered(example.image) if processes > 1 else example.image
        return example.condition, seeding.own_rows(images[order], generator)
