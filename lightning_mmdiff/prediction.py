"""Conversion of a diffusion network's output to predicted noise, and its training loss.

Ho et al. 2020 (simple loss), Salimans and Ho 2022 (v), Nichol and Dhariwal 2021 (hybrid loss), Hang et al. 2023 (min-SNR).
"""

from torch import Tensor

from lightning_mmdiff.bound import variational_bound
from lightning_mmdiff.noise import NoiseSchedule, Prediction
from lightning_mmdiff.transfer import moved


def noise_from(schedule: NoiseSchedule, prediction: Prediction, output: Tensor, z: Tensor, t: Tensor) -> Tensor:
    """Return the predicted noise, [B, C, H, W].

    Args:
        schedule: noise schedule of z.
        prediction: quantity that the network predicts.
        output: network output, [B, C, H, W].
        z: z_t, [B, C, H, W].
        t: timesteps, [B].
    """
    match prediction:
        case "eps":
            return output
        case "v":
            return schedule.eps_from_v(output, z, t)
        case "z0":
            return schedule.eps_from_z0(output, z, t)


def target_of(schedule: NoiseSchedule, prediction: Prediction, z0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
    """Return what a network of this kind shall predict, [B, C, H, W].

    Args:
        schedule: noise schedule.
        prediction: quantity that the network predicts.
        z0: clean image, [B, C, H, W].
        eps: noise, [B, C, H, W].
        t: timesteps, [B].
    """
    match prediction:
        case "eps":
            return eps
        case "v":
            return schedule.v_target(z0, eps, t)
        case "z0":
            return z0


def denoising_losses(
    schedule: NoiseSchedule,
    output: Tensor,
    z0: Tensor,
    eps: Tensor,
    z: Tensor,
    t: Tensor,
    *,
    prediction: Prediction,
    min_snr: float | None,
    learned_variance: bool,
) -> dict[str, Tensor]:
    """Return the simple loss as "simple" and, with a learned variance, the other term of the hybrid loss as "bound".

    Args:
        schedule: noise schedule of z.
        output: network output, [B, C, H, W], or [B, 2C, H, W] with a learned variance.
        z0: clean image, [B, C, H, W].
        eps: noise in z, [B, C, H, W].
        z: z_t = alpha_t z_0 + sigma_t eps, [B, C, H, W].
        t: timesteps, [B].
        prediction: quantity that the network predicts.
        min_snr: gamma of min-SNR weighting; None weights all prediction errors equally.
        learned_variance: whether to add the variational bound.
    """
    target = target_of(schedule, prediction, z0, eps, t)
    per_image = (output[:, : z.shape[1]].float() - target).square().mean(dim=(1, 2, 3))
    if min_snr is not None:
        per_image = per_image * moved(schedule.min_snr_weight(t, min_snr, prediction), z.device)
    if not learned_variance:
        return {"simple": per_image.mean()}
    bound = variational_bound(schedule, output, z0, z, t).mean()  # Improved DDPM, Eq. 16, not rescaled
    return {"simple": per_image.mean(), "bound": bound}
