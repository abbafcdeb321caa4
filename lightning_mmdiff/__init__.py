"""lightning_mmdiff: reproduce, compare and extend multi-modal diffusion models."""

__version__ = "0.1.0"
