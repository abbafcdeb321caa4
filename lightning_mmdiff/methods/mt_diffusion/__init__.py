"""MT-Diffusion (Chen et al., ICLR 2024): forward aggregation, modalities with their encoders and heads, the model."""
