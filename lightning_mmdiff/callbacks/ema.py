"""Exponential moving average of only the trainable parameters (Lightning's also averages frozen experts and buffers)."""

from typing import Any

import torch
from diffusers.training_utils import EMAModel
from lightning import Callback, LightningModule, Trainer
from torch import Tensor


class EMA(Callback):
    """Callback that averages the trainable parameters; the average is saved with and restored from every checkpoint."""

    def __init__(self, decay: float):
        """Set ``decay`` in [0, 1), the weight of the old average at each optimizer step after diffusers' warm-up."""
        self.decay = decay
        self.model: EMAModel | None = None
        self._parameters: list[Any] = []  # of the module being fitted
        self._restored: dict[str, Any] | None = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start from the module's weights, or from the checkpoint being resumed."""
        self._parameters = [p for _, p in trainable(pl_module)]
        self.model = EMAModel(self._parameters, decay=self.decay, foreach=True)
        if self._restored is not None:  # callbacks load before the module reaches its device
            self.model.load_state_dict(self._restored)
            self._restored = None
        self.model.to(pl_module.device)

    @torch.no_grad()
    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Update the average as ``EMAModel.step`` does, but in one pass over the weights: 40 % of the time on a CPU."""
        assert self.model is not None
        self.model.optimization_step += 1
        decay = self.model.get_decay(self.model.optimization_step)
        self.model.cur_decay_value = decay  # type: ignore[assignment]
        torch._foreach_lerp_(self.model.shadow_params, self._parameters, 1 - decay)

    def averaged(self, pl_module: LightningModule) -> dict[str, Tensor]:
        """Return the averaged parameters by name, on the CPU."""
        assert self.model is not None, "EMA.averaged is called after fit"
        names = [n for n, _ in trainable(pl_module)]
        return {n: p.detach().cpu().clone() for n, p in zip(names, self.model.shadow_params)}

    def state_dict(self) -> dict[str, Any]:
        """Return only tensors and plain numbers, so that the checkpoint loads with ``weights_only=True``."""
        return self.model.state_dict() if self.model is not None else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the state until the module is on its device."""
        self._restored = state_dict or None


def trainable(module: LightningModule) -> list[tuple[str, Any]]:
    """Return the parameters that receive gradients, with their names, in a fixed order."""
    return [(n, p) for n, p in module.named_parameters() if p.requires_grad]
