"""The published models that papers compare with: files, addresses, licenses, sizes. ``lightning_mmdiff.released`` reads them.

Sizes are those of the parameters (32-bit).
"""

from lightning_mmdiff.weights.weight import Weight

BASELINES = (
    Weight(
        name="stylegan2_ffhq",
        file="stylegan2-ffhq-config-f.pt",
        purpose="generator of TediGAN (StyleGAN2 of FFHQ at 1024 pixels, in the layout of stylegan2-pytorch)",
        source="the README of github.com/eladrich/pixel2style2pixel",
        license="NVIDIA Source Code License (non-commercial)",
        about=4 * 33_166_236,
        converts=True,
    ),
    Weight(
        name="psp_mask",
        file="psp_celebs_seg_to_face.pt",
        purpose="TediGAN's encoder of masks (pSp, with StyleGAN2 of FFHQ)",
        source="the README of github.com/eladrich/pixel2style2pixel",
        license="MIT; the generator in it NVIDIA Source Code License (non-commercial)",
        about=4 * 300_337_616,
        converts=True,
    ),
    Weight(
        name="inade_generator",
        file="inade_celeba_best_net_G.pth",
        purpose="INADE's generator of CelebAMask-HQ (published as inade_celeba/best_net_G.pth; rename it)",
        source="the README of github.com/tzt101/INADE",
        license="CC BY-NC-SA 4.0",
        about=4 * 85_273_237,
        converts=True,
    ),
    Weight(
        name="inade_encoder",
        file="inade_celeba_best_net_E.pth",
        purpose="INADE's encoder of CelebAMask-HQ (published as inade_celeba/best_net_E.pth; rename it)",
        source="the README of github.com/tzt101/INADE",
        license="CC BY-NC-SA 4.0",
        about=4 * 3_689_856,
        converts=True,
    ),
    *(
        Weight(
            name=f"{method}_{name}",
            file=f"{method}_{published}.pth",
            purpose=f"{purpose} at 256 pixels (published as {published}.pth; rename it)",
            source="github.com/junyanz/pytorch-CycleGAN-and-pix2pix",
            url=f"http://efrosgans.eecs.berkeley.edu/{method}/pretrained_models/{published}.pth",
            license="BSD-2-Clause",
            about=4 * parameters,
            converts=True,
        )
        for method, name, published, purpose, parameters in (
            ("pix2pix", "day2night", "day2night", "pix2pix from day to night", 54_413_955),
            ("cyclegan", "photo2label", "cityscapes_photo2label", "CycleGAN from street to label colors", 11_378_179),
        )
    ),
)
