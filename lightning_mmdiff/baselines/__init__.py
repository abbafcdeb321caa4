"""Baselines of the papers' tables: SPADE, OASIS, Pix2PixHD, INADE, TediGAN, pix2pix, CycleGAN; the lecture's GAN and VAE."""
