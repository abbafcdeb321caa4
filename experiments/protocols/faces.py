"""Do faces follow their conditions: the mask as a parser sees it, the text as an evaluator of attributes or CLIP reads it."""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datamodules.faces.classes import FACE_CLASSES
from lightning_mmdiff.errors import MissingFileError, UserError
from lightning_mmdiff.metrics import segmentation
from lightning_mmdiff.metrics.celebamask_parser import load_celebamask_parser
from lightning_mmdiff.metrics.clip_score import load_clip, text_result, text_similarity
from lightning_mmdiff.metrics.lapa_parser import load_lapa_parser
from lightning_mmdiff.metrics.mask_accuracy import mask_accuracy
from lightning_mmdiff.metrics.results import MetricResult, mean_result

GROUPS = {
    "hair": ("hair",),
    "skin": ("skin",),
    "nose": ("nose",),
    "eyes": ("l_eye", "r_eye"),
    "brows": ("l_brow", "r_brow"),
    "mouth": ("mouth", "u_lip", "l_lip"),
}
"""What the masks of 32-pixel faces are judged on: smaller parts are one or two pixels wide."""


class FaceScores:
    """Samples beside the label maps, attributes and captions of the test images whose conditions they were given."""

    def __init__(
        self,
        images: Tensor,
        parse: Callable[[Tensor], np.ndarray],
        test: Mapping[str, Any],
        evaluators: Any,
        device: str,
    ) -> None:
        """``images`` uint8 [N, 3, S, S]; ``parse`` gives their label maps; ``test`` is the batch of the test images."""
        self.images, self.parse, self.test, self.evaluators, self.device = images, parse, test, evaluators, device

    def measure(self, protocol: str) -> MetricResult:
        """Measure one protocol.

        Raises:
            MissingFileError: if it needs weights that are not on disk.
        """
        match protocol:
            case "mIoU-MiniParser":
                return mean_result(protocol, self._mini_scores.miou, better="higher")
            case "F1-MiniParser":
                return mean_result(protocol, self._mini_scores.f1, better="higher")
            case "MaskAccuracy-MiniParser":
                return mean_result(protocol, mask_accuracy(self._parsed, self._label_map), better="higher")
            case "MaskAccuracy":
                return mean_result(protocol, self._published_mask_accuracy(), better="higher")
            case "mIoU-LaPa" | "F1-LaPa":
                scores = self._lapa_scores
                values = scores.miou if protocol == "mIoU-LaPa" else scores.f1
                return mean_result(protocol, values, better="higher", images_without_face=scores.num_failed)
            case "Attributes-MiniJudge":
                return mean_result(protocol, self._attribute_accuracy(), better="higher")
            case "Attributes-FaceClassifier":
                raise MissingFileError(
                    "no paper publishes an attribute classifier, and none is trained at this profile."
                )
            case "CLIPScore":
                captions = self.test["conditions"]["caption"]
                return text_result(protocol, text_similarity(load_clip().to(self.device), self.images, captions))
        raise UserError(f"Unknown protocol of faces {protocol!r}.")

    @property
    def _label_map(self) -> np.ndarray:
        return self.test["label_map"].numpy()

    @cached_property
    def _parsed(self) -> np.ndarray:
        return self.parse(self.images)

    @cached_property
    def _mini_scores(self) -> segmentation.Scores:
        groups = [[FACE_CLASSES.index(c) for c in classes] for classes in GROUPS.values()]
        return segmentation.image_scores(self._parsed, self._label_map, len(FACE_CLASSES), groups=groups)

    @cached_property
    def _lapa_scores(self) -> segmentation.Scores:
        """Background, skin and hair by Unite and Conquer's parser; an image without a face scores 0 and is counted."""
        parser = load_lapa_parser(torch.device(self.device))
        parsed = [parser.parse(batch) for batch in self.images.split(16)]
        target = np.zeros(self._label_map.shape, np.uint8)
        for number, name in enumerate(("skin", "hair"), 1):
            target[self._label_map == FACE_CLASSES.index(name)] = number
        failed = torch.cat([p.num_faces for p in parsed]).numpy() == 0
        return segmentation.image_scores(torch.cat([p.label_map for p in parsed]).numpy(), target, 3, failed=failed)

    def _published_mask_accuracy(self) -> NDArray[np.float64]:
        """Per-pixel accuracy at 512 pixels by the parser of CelebAMask-HQ, [N]."""
        parser = load_celebamask_parser().to(self.device)
        parsed = np.concatenate([parser.parse(batch.to(self.device)).cpu().numpy() for batch in self.images.split(16)])
        return mask_accuracy(parsed, self._label_map, size=(512, 512))

    def _attribute_accuracy(self) -> NDArray[np.float64]:
        """Share of the judged attributes that are right, [N]."""
        evaluator = self.evaluators["attribute-judge"]
        predicted = torch.cat([evaluator.predict(batch) for batch in self.images.split(64)]) > 0.5
        truth = evaluator.target(self.test["conditions"]["attributes"]) > 0.5
        return (predicted == truth).double().mean(dim=1).numpy()
