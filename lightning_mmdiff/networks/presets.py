"""Named networks: ADM and its classifiers (Dhariwal & Nichol 2021), Unite and Conquer's face networks, mini networks."""

from dataclasses import replace

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.networks.classifier import ClassifierConfig
from lightning_mmdiff.networks.unet import UNetConfig


def adm_64(*, num_classes: int | None = 1000) -> UNetConfig:
    """Return ADM for ImageNet-64: cosine schedule; 295,904,454 parameters (295,136,454 without classes), new order."""
    return UNetConfig(
        in_channels=3,
        out_channels=6,
        channels=192,
        channel_mult=(1, 2, 3, 4),
        num_res_blocks=3,
        attention_levels=(1, 2, 3),  # 32, 16, 8 pixels
        head_channels=64,
        num_classes=num_classes,
        dropout=0.1,
    )


def adm_128(*, num_classes: int | None = 1000) -> UNetConfig:
    """Return ADM for ImageNet-128: linear schedule, 4 heads at every width; 421,529,606 parameters, legacy order."""
    return UNetConfig(
        in_channels=3,
        out_channels=6,
        channels=256,
        channel_mult=(1, 1, 2, 3, 4),
        num_res_blocks=2,
        attention_levels=(2, 3, 4),
        num_heads=4,
        num_classes=num_classes,
    )


def adm_256(*, num_classes: int | None = 1000) -> UNetConfig:
    """Return ADM for ImageNet-256: linear schedule; 553,838,086 parameters (552,814,086 without classes), legacy order."""
    return UNetConfig(
        in_channels=3,
        out_channels=6,
        channels=256,
        channel_mult=(1, 1, 2, 2, 4, 4),
        num_res_blocks=2,
        attention_levels=(3, 4, 5),
        head_channels=64,
        num_classes=num_classes,
    )


def adm_512(*, num_classes: int | None = 1000) -> UNetConfig:
    """Return ADM for ImageNet-512: linear schedule; 558,997,638 parameters, legacy order."""
    return UNetConfig(
        in_channels=3,
        out_channels=6,
        channels=256,
        channel_mult=(0.5, 1, 1, 2, 2, 4, 4),
        num_res_blocks=2,
        attention_levels=(4, 5, 6),
        head_channels=64,
        num_classes=num_classes,
    )


def adm_upsampler_256(*, num_classes: int | None = 1000) -> UNetConfig:
    """Return ADM's upsampler from 64 to 256 pixels, which also reads the small image, enlarged; 311,795,910 parameters."""
    return UNetConfig(
        in_channels=6,
        out_channels=6,
        channels=192,
        channel_mult=(1, 1, 2, 2, 4, 4),
        num_res_blocks=2,
        attention_levels=(3, 4, 5),
        num_heads=4,
        num_classes=num_classes,
    )


def improved_ddpm() -> UNetConfig:
    """Return Improved DDPM for CIFAR-10 (Nichol & Dhariwal 2021, App. B), with a learned variance."""
    return UNetConfig(
        in_channels=3,
        out_channels=6,
        channels=128,
        channel_mult=(1, 2, 2, 2),
        num_res_blocks=3,
        attention_levels=(1, 2),  # 16, 8 pixels
        num_heads=4,
        dropout=0.3,
        resblock_updown=False,
    )


def unite_and_conquer_sketch(*, embedding_dim: int | None = None) -> UNetConfig:
    """Return Unite and Conquer's sketch network, 256 pixels: image and sketch as RGB; 311,027,910 parameters, legacy order."""
    return UNetConfig(
        in_channels=6,
        out_channels=6,
        channels=192,
        channel_mult=(1, 1, 2, 2, 4, 4),
        num_res_blocks=2,
        attention_levels=(3, 4, 5),
        head_channels=64,
        embedding_dim=embedding_dim,
    )


def unite_and_conquer_face() -> UNetConfig:
    """Return Unite and Conquer's network of face map, hair map and text, 256 pixels: 330,924,102 parameters, legacy order.

    It is the sketch network with a FaRL embedding (512); the convolution of the two maps to three channels, with 165
    parameters, is in ``conditions.ConditionEncoder``.
    """
    return unite_and_conquer_sketch(embedding_dim=512)


def glide() -> UNetConfig:
    """Return the U-Net of GLIDE, 64 pixels: cosine; 308,728,902 parameters without its text transformer, legacy order."""
    return replace(adm_64(num_classes=None), context_dim=512)


def glide_upsampler() -> UNetConfig:
    """Return the U-Net of GLIDE's upsampler to 256 pixels: linear schedule; 322,059,462 parameters, legacy order."""
    return replace(unite_and_conquer_sketch(), context_dim=512, dropout=0.1)


def mini_unet(
    in_channels: int, out_channels: int, *, embedding_dim: int | None = None, num_classes: int | None = None
) -> UNetConfig:
    """Return a U-Net for 32-pixel images, small enough for two CPU cores; it works at 16, 8 and 4 pixels.

    Args:
        in_channels: channels of the image and of the conditions concatenated to it.
        out_channels: channels of the output.
        embedding_dim: width of an image or text embedding; None for none.
        num_classes: number of classes; None for none.
    """
    return UNetConfig(
        in_channels=in_channels,
        out_channels=out_channels,
        channels=24,
        channel_mult=(1, 2, 4),
        num_res_blocks=1,
        attention_levels=(2,),
        num_heads=2,
        embedding_dim=embedding_dim,
        num_classes=num_classes,
        patch_size=2,
        resblock_updown=False,
        conv_resample=False,
        norm_groups=8,
    )


def adm_classifier(image_size: int, *, num_classes: int = 1000) -> ClassifierConfig:
    """Return ADM's classifier of noisy images of 64, 128, 256 or 512 pixels (its README; attention at 32, 16, 8 pixels).

    65,438,568 / 42,568,040 / 54,096,360 / 54,448,360 parameters. MT-Diffusion-E uses the first (App. E.3: depth 4).
    """
    mult: dict[int, tuple[float, ...]] = {
        64: (1, 2, 3, 4), 128: (1, 1, 2, 3, 4), 256: (1, 1, 2, 2, 4, 4), 512: (0.5, 1, 1, 2, 2, 4, 4)
    }  # fmt: skip
    if image_size not in mult:
        raise UserError(f"ADM has classifiers for {', '.join(map(str, mult))} pixels, not for {image_size}.")
    levels = len(mult[image_size])
    return ClassifierConfig(
        num_classes=num_classes,
        image_size=image_size,
        channel_mult=mult[image_size],
        num_res_blocks=4 if image_size == 64 else 2,
        attention_levels=(levels - 3, levels - 2, levels - 1),  # the last level has 8 pixels
    )


def mini_classifier(num_classes: int, *, image_size: int = 32) -> ClassifierConfig:
    """Return the classifier that accompanies ``mini_unet``; it works at 16, 8 and 4 pixels for 32-pixel images."""
    return ClassifierConfig(
        num_classes=num_classes,
        image_size=image_size,
        channels=24,
        channel_mult=(1, 2, 4),
        num_res_blocks=1,
        attention_levels=(2,),
        head_channels=24,
        patch_size=2,
        resblock_updown=False,
        norm_groups=8,
    )
