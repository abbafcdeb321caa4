"""Protocols of Table 3 by published networks: shares counted by hand, and which text is nearest."""

from types import SimpleNamespace

import pytest
import torch

from experiments.protocols import published_scenes
from experiments.protocols.catalogue import by_name
from experiments.protocols.samples import Samples
from lightning_mmdiff import weights


class Embedder:
    """Texts and images on the axes that their first letter or pixel names."""

    def embed_text(self, texts: list[str]) -> torch.Tensor:
        return torch.eye(26)[[ord(text[0]) - ord("a") for text in texts]]

    def embed_images(self, image: torch.Tensor) -> torch.Tensor:
        return torch.eye(26)[image[:, 0, 0, 0].long()]


class Classifier(torch.nn.Module):
    """Sees the class that an image's first green pixel names."""

    def __init__(self, path: object) -> None:
        super().__init__()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.one_hot(images[:, 1, 0, 0].long(), 1000).float()


@pytest.fixture
def samples(monkeypatch: pytest.MonkeyPatch) -> Samples:
    """Four images: scene right, class right, both right, neither (the other thing of a contradictory text)."""
    images = torch.zeros(4, 3, 4, 4, dtype=torch.uint8)
    images[:, 0, 0, 0] = torch.tensor([0, 0, 1, 1])
    images[:, 1, 0, 0] = torch.tensor([9, 7, 7, 5])
    conditions = {
        "label": torch.tensor([7] * 4), "other": torch.tensor([5] * 4), "scene": torch.tensor([0, 1, 1, 0]),
        "caption": ["a", "b", "b", "a"], "full_caption": ["a and", "b and", "b and", "a and"],
    }  # fmt: skip
    found = Samples.__new__(Samples)
    found._known = {}
    found.__dict__ |= {"images": images, "test": {"conditions": conditions}}
    monkeypatch.setattr(weights, "require", lambda name: name)
    monkeypatch.setattr(published_scenes, "load_clip", lambda: SimpleNamespace(to=lambda device: Embedder()))
    monkeypatch.setattr(published_scenes, "EfficientNetB7", Classifier)
    return found


def test_shares_and_cosines_are_those_counted_by_hand(samples: Samples) -> None:
    names = ("Accuracy-EffNetB7", "Other-EffNetB7", "Scene-CLIP", "Both-EffNetB7-CLIP", "CLIPCosine")
    assert [by_name(name).measure(samples).value for name in names] == [50.0, 0.25, 0.5, 0.25, 0.5]
    assert published_scenes.text_is_nearest(samples).tolist() == [True, False, True, False]
