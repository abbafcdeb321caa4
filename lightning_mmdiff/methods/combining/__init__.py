"""Ways to combine experts that need every term's prediction, a latent per term, or particles: each a pure step, and its sampler."""
