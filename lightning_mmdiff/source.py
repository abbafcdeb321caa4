"""The base class of sources of trained models."""

HELPERS = ("embedder", "autoencoder", "decoder", "experts")
"""Roles of the frozen models that a model is built on."""


class ModelSource:
    """A training run or a released checkpoint: a model that is, or will be, trained. Configs hold it in place of the model."""

    experts: tuple["ModelSource", ...] = ()
    """Frozen models that it combines, in order."""
    seed: int = 0
    """Training seed; a released model has one only."""

    @property
    def is_latent(self) -> bool:
        """Whether the model, or one that it combines, diffuses the latents of an autoencoder."""
        return False

    @property
    def calls_per_step(self) -> int:
        """Number of diffusion network evaluations per image and sampler step."""
        return 1
