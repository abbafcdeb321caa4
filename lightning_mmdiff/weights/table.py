"""Table of all released weight files, with their purposes, sources, licenses and checksums.

Each checksum is that of the published file, as several independent users of the file state it; a file for which none was
found has an empty one.
"""

from lightning_mmdiff.weights.baselines import BASELINES
from lightning_mmdiff.weights.diffusion import DIFFUSION
from lightning_mmdiff.weights.weight import FolderFile, Weight

CLIP_FILES = tuple(
    FolderFile(file=file, sha256=sha256, size=size)
    for file, sha256, size in (
        ("config.json", "b575ef3c36f2a057fa19e221650105052d61cc9c1a972ec15019c6261ec98770", 4_186),
        ("merges.txt", "f526393189112391ce6f9795d4695f704121ce452c3aad1f5335cc41337eba85", 524_657),
        ("preprocessor_config.json", "910e70b3956ac9879ebc90b22fb3bc8a75b6a0677814500101a4c072bd7857bd", 316),
        ("special_tokens_map.json", "f8c0d6c39aee3f8431078ef6646567b0aba7f2246e9c54b8b99d55c22b707cbf", 389),
        ("tokenizer.json", "b556ac8c99757ffb677208af34bc8c6721572114111a6e0aaf5fa69ff0b8d842", 2_224_041),
        ("tokenizer_config.json", "34b7336e4bee12e0a9730eaf5189f582ef3c3eea5027f65730e5717256755aad", 592),
        ("vocab.json", "5047b556ce86ccaf6aa22b3ffccfc52d391ea4accdab9c2f2407da5b742d4363", 862_328),
        ("pytorch_model.bin", "a63082132ba4f97a80bea76823f544493bffa8082296d62d71581a4feff1576f", 605_247_071),
    )
)
"""Files of the revision of 2024-02-29."""


def _adm_batch(size: int) -> Weight:
    """Return ADM's reference batch of ImageNet at ``size`` pixels, without which numbers are not comparable."""
    file = f"VIRTUAL_imagenet{size}_labeled.npz"
    return Weight(
        name=f"adm_imagenet{size}",
        file=file,
        purpose=f"optional: ADM's own reference of FID, sFID, precision, recall and coverage on ImageNet at {size} px",
        source="evaluations/README.md of github.com/openai/guided-diffusion",
        url=f"https://openaipublic.blob.core.windows.net/diffusion/jul-2021/ref_batches/imagenet/{size}/{file}",
        license="none stated; images of ImageNet",
    )


WEIGHTS = (
    Weight(
        name="inception",
        file="inception-2015-12-05.pt",
        purpose="FID, sFID, KID, IS, precision and recall (Inception-v3 of 2015-12-05 as TorchScript, the network of clean-fid)",
        source="NVIDIA, as clean-fid does",
        url="https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/inception-2015-12-05.pt",
        license="NVIDIA Source Code License (non-commercial)",
        sha256="f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4",
        size=95_607_719,
    ),
    Weight(
        name="alexnet",
        file="alexnet-owt-7be5be79.pth",
        purpose="LPIPS with the alex trunk",
        source="torchvision",
        url="https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
        license="BSD-3-Clause",
        sha256="7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
        size=244_408_911,
    ),
    Weight(
        name="vgg16",
        file="vgg16-397923af.pth",
        purpose="LPIPS with the vgg trunk: perceptual loss of the autoencoder",
        source="torchvision",
        url="https://download.pytorch.org/models/vgg16-397923af.pth",
        license="BSD-3-Clause",
        sha256="397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
    ),
    Weight(
        name="vgg19",
        file="vgg19-dcbb9e9d.pth",
        purpose="perceptual loss of the SPADE, pix2pixHD and INADE baselines",
        source="torchvision",
        url="https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
        license="BSD-3-Clause",
        sha256="dcbb9e9d",
    ),
    Weight(
        name="farl",
        file="FaRL-Base-Patch16-LAIONFace20M-ep64.pth",
        purpose="image and text embedding of faces (Unite and Conquer, Supplement 7.3)",
        source="the releases of github.com/FacePerceiver/FaRL",
        url="https://github.com/FacePerceiver/FaRL/releases/download/pretrained_weights/"
        "FaRL-Base-Patch16-LAIONFace20M-ep64.pth",
        license="MIT",
    ),
    Weight(
        name="face_parser",
        file="face_parsing.farl.lapa.main_ema_136500_jit191.pt",
        purpose="mIoU and F1 of parsed faces (facer farl/lapa/448)",
        source="the releases of github.com/FacePerceiver/facer",
        url="https://github.com/FacePerceiver/facer/releases/download/models-v1/"
        "face_parsing.farl.lapa.main_ema_136500_jit191.pt",
        license="MIT",
    ),
    Weight(
        name="face_detector",
        file="mobilenet0.25_Final.pth",
        purpose="finds the face before it is parsed (facer retinaface/mobilenet)",
        source="the releases of github.com/elliottzheng/face-detection, as facer uses it",
        url="https://github.com/elliottzheng/face-detection/releases/download/0.0.1/mobilenet0.25_Final.pth",
        license="MIT",
        sha256="2979b33ffafda5d74b6948cd7a5b9a7a62f62b949cef24e95fd15d2883a65220",
        size=1_789_735,
    ),
    Weight(
        name="celebamask_parser",
        file="celebamask_hq_parser.pth",
        purpose="mask accuracy of Collaborative Diffusion (published as model.pth; rename it)",
        source="the face_parsing folder of github.com/switchablenorms/CelebAMask-HQ",
        license="non-commercial research",
    ),
    Weight(
        name="yunet",
        file="face_detection_yunet_2023mar.onnx",
        purpose="identity similarity of edits: finds the face",
        source="github.com/opencv/opencv_zoo, models/face_detection_yunet",
        url="https://media.githubusercontent.com/media/opencv/opencv_zoo/main/models/"
        "face_detection_yunet/face_detection_yunet_2023mar.onnx",
        license="MIT",
        sha256="8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
    ),
    Weight(
        name="sface",
        file="face_recognition_sface_2021dec.onnx",
        purpose="identity similarity of edits: embeds the face",
        source="github.com/opencv/opencv_zoo, models/face_recognition_sface",
        url="https://media.githubusercontent.com/media/opencv/opencv_zoo/main/models/"
        "face_recognition_sface/face_recognition_sface_2021dec.onnx",
        license="Apache-2.0",
        sha256="0ba9fbfa01b5270c96627c4ef784da859931e02f04419c829e83484087c34e79",
        size=38_696_353,
    ),
    Weight(
        name="bert_tokenizer",
        file="bert-base-uncased",
        purpose="word pieces of the text model of Collaborative Diffusion (a folder with vocab.txt; no network weights)",
        source="the Hugging Face model google-bert/bert-base-uncased",
        license="Apache-2.0",
        hub_id="google-bert/bert-base-uncased",
    ),
    Weight(
        name="gpt2_tokenizer",
        file="gpt2",
        purpose="tokens of the texts of GLIDE (a folder with vocab.json and merges.txt; no network weights)",
        source="the Hugging Face model openai-community/gpt2",
        license="MIT",
        hub_id="openai-community/gpt2",
    ),
    Weight(
        name="clip",
        file="clip-vit-base-patch32",
        purpose="CLIP score, text conditions, TediGAN's texts (CLIP ViT-B/32, a folder with config.json)",
        source="the Hugging Face model openai/clip-vit-base-patch32",
        license="MIT",
        url="https://huggingface.co/openai/clip-vit-base-patch32/resolve/3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268",
        hub_id="openai/clip-vit-base-patch32",
        members=CLIP_FILES,
    ),
    Weight(
        name="clip_h",
        file="CLIP-ViT-H-14-laion2B-s32B-b79K",
        purpose="image embeddings of MT-Diffusion's App. E.4 (CLIP ViT-H/14, a folder with config.json)",
        source="the Hugging Face model laion/CLIP-ViT-H-14-laion2B-s32B-b79K",
        license="MIT",
        hub_id="laion/CLIP-ViT-H-14-laion2B-s32B-b79K",
    ),
    Weight(
        name="stable_diffusion_2",
        file="stable-diffusion-2",
        purpose="U-Net and autoencoder of MT-Diffusion's App. E.1 and E.4 (a folder with unet/ and vae/, safetensors)",
        source="the Hugging Face model stabilityai/stable-diffusion-2, or a copy of it",
        license="CreativeML Open RAIL++-M",
        hub_id="stabilityai/stable-diffusion-2",
    ),
    Weight(
        name="niqe",
        file="niqe_pris_params.npz",
        purpose="NIQE: mean and covariance of the statistics of pristine photographs",
        source="basicsr/metrics of github.com/XPixelGroup/BasicSR",
        url="https://raw.githubusercontent.com/XPixelGroup/BasicSR/8d56e3a045f9fb3e1d8872f92ee4a4f07f886b0a/"
        "basicsr/metrics/niqe_pris_params.npz",
        license="Apache-2.0",
        sha256="2a7c182a68c9e7f1b2e2e5ec723279d6f65d912b6fcaf37eb2bf03d7367c4296",
        size=11_850,
    ),
    Weight(
        name="efficientnet_b7",
        file="tf_efficientnet_b7_ns-1dbc32de.pth",
        purpose="accuracy on ImageNet's classes (EfficientNet-B7, Noisy Student)",
        source="timm",
        url="https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-weights/"
        "tf_efficientnet_b7_ns-1dbc32de.pth",
        license="Apache-2.0",
        sha256="1dbc32de",
        about=4 * 66_347_960,
    ),
    *map(_adm_batch, (64, 128)),
    *BASELINES,
    *DIFFUSION,
)
