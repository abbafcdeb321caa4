"""Unite and Conquer's evaluator of masks in the paper profile: face and hair from pyfacer's RetinaFace and FaRL-LaPa parser.

The released notebook finds the face (RetinaFace, five landmarks), warps it, parses it into the 11 classes of LaPa, and
keeps two soft maps: class 1 (facial skin without eyes, brows, nose and lips) and class 10 (hair). Detection is part of
the protocol, since the warp follows the landmarks. This evaluator is therefore pyfacer itself (``pip install
pyfacer==0.0.5``) with two local files; parsing an aligned crop without detection would be another protocol and is not
offered.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightning_mmdiff import weights
from lightning_mmdiff.errors import MissingFileError

FACE, HAIR = 1, 10  # of LaPa's 11 classes
SCORE_THRESHOLD = 0.8  # pyfacer's default for RetinaFace


@dataclass(frozen=True, kw_only=True)
class ParsedFaces:
    """Output of the parser for a batch of images."""

    soft_maps: Tensor
    """Probabilities of face and hair in 0..255, uint8 [B, 2, H, W]: the paper's conditions; all 0 without a face."""
    label_map: Tensor
    """Classes, uint8 [B, H, W]: 0 elsewhere, 1 face, 2 hair; all 0 without a face."""
    num_faces: Tensor
    """Number of faces, int64 [B]. The notebook skips images with none or several; here they count, with their best face."""


def merge_lapa(probabilities: Tensor) -> Tensor:
    """Return the most probable of {elsewhere, face, hair}, uint8 [N, H, W], from LaPa's probabilities [N, 11, H, W].

    The paper does not say how its classes are merged; here the nine others add up to "elsewhere".
    """
    face, hair = probabilities[:, FACE], probabilities[:, HAIR]
    elsewhere = probabilities.sum(dim=1) - face - hair
    return torch.stack([elsewhere, face, hair], dim=1).argmax(dim=1).to(torch.uint8)


def best_faces(image_ids: Tensor, scores: Tensor, num_images: int) -> tuple[Tensor, Tensor]:
    """Choose the face with the highest score in each image.

    Args:
        image_ids: image of each face, [F].
        scores: confidence in each face, [F].
        num_images: B.

    Returns:
        Positions of the chosen faces, in the order of their images, int64 [at most B]; number of faces per image, int64 [B].
    """
    image_ids = image_ids.long()
    num_faces = torch.bincount(image_ids, minlength=num_images)
    by_score = scores.argsort(descending=True, stable=True)
    order = by_score[image_ids[by_score].argsort(stable=True)]  # by image, then by score
    first = num_faces.cumsum(0) - num_faces  # position of the best face of each image in ``order``
    return order[first[num_faces > 0]], num_faces


class LapaParser:
    """RetinaFace followed by the TorchScript parser ``farl/lapa/448``, both from local files."""

    def __init__(self, *, detector_weights: Path, parser_weights: Path, device: torch.device | None = None) -> None:
        """Load both networks.

        Args:
            detector_weights: ``mobilenet0.25_Final.pth``.
            parser_weights: ``face_parsing.farl.lapa.main_ema_136500_jit191.pt``.
            device: device of both networks; default CPU.
        """
        try:
            import facer
        except ImportError as error:
            raise ImportError(
                "Unite and Conquer's parser needs pyfacer, which is not installed: pip install pyfacer==0.0.5."
            ) from error
        for path in (detector_weights, parser_weights):
            if not path.is_file():
                raise MissingFileError(f"{path} is missing: get it from the releases of FacePerceiver/facer.")
        self.device = device or torch.device("cpu")
        benchmark = torch.backends.cudnn.benchmark
        self._detect = facer.face_detector(
            "retinaface/mobilenet", self.device, model_path=str(detector_weights), threshold=SCORE_THRESHOLD
        )
        torch.backends.cudnn.benchmark = benchmark  # the detector turns it on for the whole program
        self._parse = facer.face_parser("farl/lapa/448", self.device, model_path=str(parser_weights))

    @torch.no_grad()
    def parse(self, image: Tensor) -> ParsedFaces:
        """Parse images, uint8 [B, 3, H, W]; results are on the CPU."""
        size = (len(image), *image.shape[-2:])
        soft_maps = torch.zeros(size[0], 2, *size[1:], dtype=torch.uint8)
        label_map = torch.zeros(size, dtype=torch.uint8)
        image = image.to(self.device)
        faces: dict[str, Any] = self._detect(image)
        chosen, num_faces = best_faces(faces["image_ids"], faces["scores"], len(image))
        if len(chosen):
            faces = {name: value[chosen] for name, value in faces.items()}
            where = faces["image_ids"].long().cpu()
            probabilities = self._parse(image, faces)["seg"]["logits"].softmax(dim=1)  # [F, 11, H, W]
            soft_maps[where] = (255 * probabilities[:, [FACE, HAIR]]).round().to(torch.uint8).cpu()
            label_map[where] = merge_lapa(probabilities).cpu()
        return ParsedFaces(soft_maps=soft_maps, label_map=label_map, num_faces=num_faces.cpu())


def load_lapa_parser(device: torch.device | None = None) -> LapaParser:
    """Build the parser from the user's weights."""
    detector, parser = weights.require("face_detector"), weights.require("face_parser")
    return LapaParser(detector_weights=detector, parser_weights=parser, device=device)
