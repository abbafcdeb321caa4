"""Adversarial baselines of the papers' tables: SPADE, OASIS, Pix2PixHD, INADE, pix2pix and CycleGAN, from their papers."""
