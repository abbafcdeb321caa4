"""Whether the parts of a run fit together: its model, its data, its regime."""

from typing import TYPE_CHECKING

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.methods.mt_diffusion.network import MTDiffusionConfig
from lightning_mmdiff.models.autoencoder import AutoencoderConfig
from lightning_mmdiff.models.denoiser import DenoiserConfig
from lightning_mmdiff.models.latent_denoiser import LatentDenoiserConfig

if TYPE_CHECKING:
    from experiments.spec import SampleRun, TrainRun


def check_training(run: "TrainRun") -> None:
    """Raise UserError where the data of a training do not fit its model or its regime, and nothing else would notice.

    This is not checked by ``TrainRun`` itself: recipes make small runs of published ones in several steps.
    """
    if run.trainer.max_steps < 1 or not run.data:
        raise UserError(
            f"{run.name} has max_steps={run.trainer.max_steps} and {len(run.data)} data sets; expected at least 1 of each."
        )
    if (run.regime == "fine_tuning") != (run.switch_step is not None):
        raise UserError(f"{run.name} has regime={run.regime!r} and switch_step={run.switch_step}: one needs the other.")
    if run.switch_step is not None and (len(run.data) != 2 or not 1 <= run.switch_step < run.trainer.max_steps):
        raise UserError(
            f"{run.name} has {len(run.data)} data sets and switch_step={run.switch_step}; expected two, and a step from 1 to "
            f"{run.trainer.max_steps - 1}."
        )
    sizes = {data.image_size for data in run.data}
    if isinstance(run.model, DenoiserConfig | MTDiffusionConfig) and sizes != {run.model.image_size}:
        raise UserError(f"{run.name} is a model of {run.model.image_size} pixels; its data have {sorted(sizes)}.")
    if isinstance(run.model, DenoiserConfig | LatentDenoiserConfig):
        given = {name for data in run.data for name in data.conditions}
        if missing := [name for name in run.model.sources if name not in given]:
            raise UserError(
                f"{run.name} is conditioned on {missing}, but its data give {sorted(given)}: it would learn without; request "
                "them from the data."
            )


def check_sampling(run: "SampleRun") -> None:
    """Raise UserError where the sampler of a sample run needs a variance that its models do not learn."""
    models = [use.run.model for use in run.experts if run.sampler.variance == "learned_range"]
    if not all(isinstance(m, DenoiserConfig | MTDiffusionConfig) and m.learned_variance for m in models):
        raise UserError(f"{run.name} samples with variance='learned_range'; its models need learned_variance=True.")


def diffuses_latents(run: "TrainRun") -> bool:
    """Return whether ``run``, or a model that it is made of, is a diffusion of an autoencoder's latents."""
    released = isinstance(run.model, MTDiffusionConfig) and run.model.latents is not None
    return released or any(isinstance(need.model, AutoencoderConfig) or diffuses_latents(need) for need in run.needs)
