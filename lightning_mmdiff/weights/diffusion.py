"""The published diffusion models: files, addresses, licenses, sizes. ``lightning_mmdiff.released`` says what is in them.

Sizes are those of the parameters (32-bit), unless the publisher's file is known to the byte.
"""

from lightning_mmdiff.weights.weight import Weight

OPENAI = "https://openaipublic.blob.core.windows.net/diffusion"
CODIFF_FOLDER = (
    "the folder of pre-trained models that README.md of github.com/ziqihuangg/Collaborative-Diffusion links (Google Drive "
    "or OneDrive; Drive may answer with a page of HTML)"
)


def _adm(name: str, file: str, purpose: str, parameters: int, *, sha256: str = "", size: int | None = None) -> Weight:
    """Return one of ADM's files, from the bucket that its README names."""
    return Weight(
        name=name, file=file, purpose=purpose, source="README.md of github.com/openai/guided-diffusion",
        url=f"{OPENAI}/jul-2021/{file}", license="MIT", sha256=sha256, size=size, about=4 * parameters, converts=True,
    )  # fmt: skip


def _glide(name: str, file: str, purpose: str, parameters: int) -> Weight:
    """Return one of GLIDE's files, from the bucket that its code names."""
    return Weight(
        name=name, file=file, purpose=purpose, source="github.com/openai/glide-text2im, glide_text2im/download.py",
        url=f"{OPENAI}/dec-2021/{file}", license="MIT", about=4 * parameters, converts=True,
    )  # fmt: skip


def _unite_and_conquer(name: str, file: str, purpose: str, parameters: int, *, link: str) -> Weight:
    """Return one of Unite and Conquer's files, by the link that its code names."""
    return Weight(
        name=name, file=file, purpose=purpose,
        source="github.com/Nithin-GK/UniteandConquer, utils/download_models_func.py",
        url=f"https://www.dropbox.com/s/{link}/{file}?dl=1", license="Apache-2.0", about=4 * parameters, converts=True,
    )  # fmt: skip


TRAINED = (
    "nobody, as far as we know: the code of github.com/ziqihuangg/Collaborative-Diffusion writes it when it is trained on mask, "
    "text and sketch"
)


def _collaborative(name: str, file: str, purpose: str, parameters: int, *, source: str = CODIFF_FOLDER) -> Weight:
    """Return one of Collaborative Diffusion's files, which have no direct address."""
    return Weight(
        name=name, file=file, purpose=purpose, source=source, license="S-Lab License 1.0 (non-commercial)",
        about=4 * parameters, converts=True,
    )  # fmt: skip


DIFFUSION = (
    _adm("adm_64", "64x64_diffusion.pt", "ADM, ImageNet-64 by class", 295_904_454),
    _adm("adm_128", "128x128_diffusion.pt", "ADM, ImageNet-128 by class", 421_529_606),
    _adm("adm_256", "256x256_diffusion.pt", "ADM, ImageNet-256 by class", 553_838_086),
    _adm(
        "adm_256_uncond", "256x256_diffusion_uncond.pt", "ADM, ImageNet-256 without classes", 552_814_086,
        sha256="a37c32fffd316cd494cf3f35b339936debdc1576dad13fe57c42399a5dbc78b1", size=2_211_383_297,
    ),
    _adm("adm_512", "512x512_diffusion.pt", "ADM, ImageNet-512 by class", 558_997_638),
    _adm("adm_upsampler_256", "64_256_upsampler.pt", "ADM, from 64 to 256 pixels by class", 311_795_910),
    _adm("adm_classifier_64", "64x64_classifier.pt", "classifier guidance of ADM, 64 pixels", 65_438_568),
    _adm("adm_classifier_128", "128x128_classifier.pt", "classifier guidance of ADM, 128 pixels", 42_568_040),
    _adm("adm_classifier_256", "256x256_classifier.pt", "classifier guidance of ADM, 256 pixels", 54_096_360),
    _adm("adm_classifier_512", "512x512_classifier.pt", "classifier guidance of ADM, 512 pixels", 54_448_360),
    _glide("glide", "base.pt", "GLIDE, text to 64 pixels", 385_030_726),
    _glide("glide_upsampler", "upsample.pt", "GLIDE, text and 64 pixels to 256", 398_361_286),
    _unite_and_conquer(
        "unite_and_conquer_face", "model_latest.pt", "Unite and Conquer: face map, hair map and text to face",
        330_924_267, link="st88q851w8mkexk",
    ),
    _unite_and_conquer(
        "unite_and_conquer_sketch", "model_sketch.pt", "Unite and Conquer: sketch to face", 311_027_910,
        link="5wzq7wvi20pcj5b",
    ),
    *(
        weight
        for size, codiff, vae in ((256, 1_075_643_265, 55_312_063), (512, 1_103_971_201, 83_639_999))
        for weight in (
            _collaborative(
                f"collaborative_{size}", f"{size}_codiff_mask_text.ckpt",
                f"Collaborative Diffusion, {size} pixels: autoencoder, both experts, dynamic diffusers", codiff,
            ),
            _collaborative(
                f"collaborative_{size}_with_sketch", f"{size}_codiff_mask_text_sketch.ckpt",
                f"Collaborative Diffusion, {size} pixels: the same with a third expert, of sketches", codiff + 417_416_260,
                source=TRAINED,
            ),
            _collaborative(
                f"collaborative_{size}_mask", f"{size}_mask.ckpt",
                f"Collaborative Diffusion, {size} pixels: mask expert alone, with the autoencoder", 404_279_939 + vae,
            ),
            _collaborative(
                f"collaborative_{size}_text", f"{size}_text.ckpt",
                f"Collaborative Diffusion, {size} pixels: text expert alone, with the autoencoder", 589_778_621 + vae,
            ),
            _collaborative(
                f"collaborative_{size}_vae", f"{size}_vae.ckpt",
                f"Collaborative Diffusion, {size} pixels: autoencoder alone, with its discriminator", vae + 17_500_000,
            ),
        )
    ),
)  # fmt: skip
