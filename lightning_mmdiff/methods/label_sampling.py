"""Label sampling: one model per class, each trained only on D_u = {x in D : label(x) = u} (Bereyhi 2025, "Naive Approach").

P(x | u) is the distribution learned by model u; the classes share nothing.

    python -m experiments.conditioning
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.methods.config import MethodConfig, Trained
from lightning_mmdiff.networks.conditions import check_labels
from lightning_mmdiff.sampling import Conditions, SamplingModule
from lightning_mmdiff.schedules import Sampler
from lightning_mmdiff.source import ModelSource


class LabelSampling(SamplingModule):
    """Sends each image of a batch to the model of its class."""

    def __init__(self, models: Sequence[SamplingModule], *, sampler: Sampler, sampling_seed: int = 0) -> None:
        """Freeze the models and set their sampler.

        Args:
            models: models of class 0, class 1, ...; sampled unconditionally.
            sampler: sampler of all models.
            sampling_seed: image i depends only on this seed and i.

        Raises:
            UserError: if there is no model, or the models differ in image shape or noise schedule.
        """
        if not models:
            raise UserError("Label sampling needs a model of each class, got none.")
        first = models[0]
        for number, model in enumerate(models):
            same_noise = len(model.schedule) == len(first.schedule) and model.schedule.alpha.equal(first.schedule.alpha)
            if model.shape != first.shape or not same_noise:
                raise UserError(
                    f"Model {number} makes {model.shape} with {len(model.schedule)} noising steps, model 0 {first.shape} with "
                    f"{len(first.schedule)}: label sampling needs one shape and one noise schedule."
                )
        super().__init__(
            sampler=sampler, schedule=first.schedule, shape=first.shape, sampling_seed=sampling_seed,
            latent=first.is_latent,
        )  # fmt: skip
        self.of_class = tuple(models)
        self.models = nn.ModuleList(models).requires_grad_(False).eval()
        for model in models:
            model.sampler = sampler

    def predict_noise(self, z: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
        """Predict the noise with the model of each image's class, [B, C, H, W]; a class without images costs nothing.

        Raises:
            UserError: if there is no label, or a label has no model.
        """
        if "label" not in conditions:
            raise UserError(
                f"Label sampling needs the condition 'label' of each image, but the batch has {sorted(conditions)}."
            )
        labels = conditions["label"].to(z.device)
        check_labels(labels, len(z), len(self.models))
        rows = {u: (labels == u).nonzero()[:, 0] for u in labels.unique().tolist()}
        eps = torch.cat([self.of_class[u].predict_noise(z[r], t, {}) for u, r in rows.items()])
        return eps[torch.cat(list(rows.values())).argsort()]  # back to batch order


@dataclass(frozen=True, kw_only=True)
class SampleByLabel(MethodConfig):
    """Config for sampling each image from the model of its class."""

    models: tuple[ModelSource, ...]
    """Models of class 0, class 1, ..."""

    def build(self, trained: Trained, *, sampler: Sampler, seed: int) -> LabelSampling:
        """Build label sampling over the models."""
        return LabelSampling([trained(model) for model in self.models], sampler=sampler, sampling_seed=seed)

    @property
    def calls_per_step(self) -> int:
        """One call: that of the model of the image's class."""
        return 1
