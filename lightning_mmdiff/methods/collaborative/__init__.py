"""Collaborative Diffusion (Huang et al., CVPR 2023): dynamic diffusers, their influence, and editing with Imagic."""
