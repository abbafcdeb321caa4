"""Classes in Collaborative Diffusion (CVPR 2023, Sec. 3.2): a dynamic diffuser sees what its expert sees (Eq. 5)."""

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.models.diffusion import DiffusionModel


def check_classes(denoiser: DiffusionModel, conditions: tuple[str, ...], num_classes: int | None) -> None:
    """Raise UserError if only one of an expert and its dynamic diffuser takes classes.

    ``conditions`` are those of the expert, ``num_classes`` that of the diffuser's network.
    """
    if (denoiser.encode({}, 1).labels is None) != (num_classes is None):
        raise UserError(
            f"The dynamic diffuser of {conditions} has num_classes={num_classes}; it sees what its expert sees: give it "
            "classes if and only if the expert has them."
        )
