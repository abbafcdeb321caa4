"""U-Nets by name: ADM (Dhariwal & Nichol 2021), Unite and Conquer's face networks, and the one of the mini profile."""

from lightning_mmdiff.networks.unet import UNetConfig


def adm_64(*, num_classes: int | None = 1000) -> UNetConfig:
    """ADM for ImageNet-64: cosine schedule; 295,904,454 parameters (295,136,454 without classes), new order."""
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
    """ADM for ImageNet-128: linear schedule, 4 heads at every width; 421,529,606 parameters, legacy order."""
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
    """ADM for ImageNet-256: linear schedule; 553,838,086 parameters (552,814,086 without classes), legacy order."""
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


def unite_and_conquer_sketch(*, embedding_dim: int | None = None) -> UNetConfig:
    """Unite and Conquer's sketch network, 256 pixels: image and sketch as RGB; 311,027,910 parameters, legacy."""
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
    """Unite and Conquer's network of face map, hair map and text, 256 pixels: 330,924,102 parameters, legacy order.

    It is the sketch network with a FaRL embedding (512); the 165 parameters of the convolution of the two maps to three
    channels are in ``conditions.ConditionEncoder``.
    """
    return unite_and_conquer_sketch(embedding_dim=512)


def mini_unet(in_channels: int, out_channels: int, *, embedding_dim: int | None = None) -> UNetConfig:
    """U-Net for 32-pixel images on two CPU cores: works at 16, 8 and 4 pixels."""
    return UNetConfig(
        in_channels=in_channels,
        out_channels=out_channels,
        channels=24,
        channel_mult=(1, 2, 4),
        num_res_blocks=1,
        attention_levels=(2,),
        num_heads=2,
        embedding_dim=embedding_dim,
        patch_size=2,
        resblock_updown=False,
        conv_resample=False,
        norm_groups=8,
    )
