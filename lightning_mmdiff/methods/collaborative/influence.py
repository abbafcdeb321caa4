"""How sampling uses the influence learned by dynamic diffusers (Collaborative Diffusion, CVPR 2023, Sec. 3.2 and 4.5).

The released sampler does more than the paper describes (its Algorithm 2), and the ablations of Table 2 also change sampling.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from lightning_mmdiff.configs import Config
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.transfer import moved

InfluenceSchedule = Literal["none", "released"]
"""none: Eq. 5-7 as printed. released: the released sampler's extra factor, see ``released_schedule``."""


def released_schedule(influence: Tensor, t: Tensor, num_steps: int, *, scheduled: Sequence[int]) -> Tensor:
    """Apply the released sampler's factor to the influence of some models (absent from the paper and from training).

    With a_i = I_i g(t), g(t) = (cos((1 - t/T) pi) + 1) / 2, and A the sum of a_i over the scheduled models, each of them gets
    2 a_i / (1 + A); the others share (1 - A) / (1 + A) in proportion to their influence. At small t they get everything.
    The released code schedules mask and sketch, and its text absorbs the rest.

    Args:
        influence: of each model, sums to 1 over M, [M, B, 1, H, W].
        t: timestep in 0 ... T - 1, a scalar.
        num_steps: T.
        scheduled: indices of the models with the factor, at least one, not all.

    Returns:
        [M, B, 1, H, W], sums to 1 over M.
    """
    g = (((1 - t.double() / num_steps) * torch.pi).cos() + 1) / 2
    chosen = list(scheduled)
    a = influence[chosen] * moved(g, influence.device, influence.dtype)
    others = influence.clone()
    others[chosen] = 0
    total, whole = others.sum(dim=0), a.sum(dim=0)
    share = torch.where(total > 0, others / total, 1 / (len(others) - len(chosen)))
    result = share * (1 - whole) / (1 + whole)
    result[chosen] = 2 * a / (1 + whole)
    return result


@dataclass(frozen=True, kw_only=True)
class InfluenceConfig(Config):
    """How sampling uses the learned influence; training never reads this config."""

    schedule: InfluenceSchedule = "none"
    scheduled: tuple[int, ...] = (0,)
    """Indices, in ``CollaborativeConfig.collaborators``, of the models that the released schedule applies to."""
    spatial: bool = True
    """False is the ablation "w/o spatial": the logits are averaged over the image before the softmax."""
    temporal: bool = True
    """False is the ablation "w/o temporal": the influence of a full run, averaged over its steps, is used at every step of a
    second run from the same x_T."""
    guidance: float = 1.0
    """Guidance applied to every expert before Eq. 7: eps(null) + guidance (eps(c) - eps(null)); 1 is the paper: none. At equal
    influence, 2 is Unite and Conquer with two experts, w = 1 and a = 1/2. The experts must know the null condition."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._filled("scheduled")
        self._at_least(0, "scheduled", "guidance")

    def check(self, count: int) -> None:
        """Raise UserError if the released schedule does not fit ``count`` models."""
        chosen = set(self.scheduled)
        if self.schedule == "released" and (len(chosen) >= count or not chosen <= set(range(count))):
            raise UserError(
                f"The released influence schedule needs at least two models and the numbers of some of them, not all; there "
                f"are {count}, and scheduled is {self.scheduled}."
            )
