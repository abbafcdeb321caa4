"""Ways to combine experts that need every term's prediction, a latent per term, or particles: pure steps and their samplers."""
