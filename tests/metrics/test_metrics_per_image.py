"""Scores of single images: accuracy, masks, text, identity."""

import json

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import top_k_accuracy_score
from torchmetrics.classification import MulticlassAccuracy
from transformers import CLIPImageProcessor, CLIPModel

from lightning_mmdiff.metrics.celebamask_parser import CelebAMaskParser, load_celebamask_parser
from lightning_mmdiff.metrics.classification import accuracy_result, top_k_hits
from lightning_mmdiff.metrics.clip_score import load_clip, text_result, text_similarity
from lightning_mmdiff.metrics.identity import EffNetIdentity, SFace, identity_result, identity_similarity
from lightning_mmdiff.metrics.mask_accuracy import mask_accuracy
from lightning_mmdiff.metrics.networks import EffNetLite0
from lightning_mmdiff.models.contrastive import ContrastiveConfig, ContrastiveModel
from lightning_mmdiff.networks.clip_input import CLIP_MEAN, CLIP_STD
from lightning_mmdiff.networks.farl import ClipSize, clip_model


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def noise(n, size, seed=0):
    return torch.randint(0, 256, (n, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


# Classification


@pytest.mark.parametrize("k", [1, 3, 5])
def test_top_k_equals_scikit_learn(rng, k):
    logits, labels = rng.standard_normal((200, 10)), rng.integers(0, 10, 200)
    expected = top_k_accuracy_score(labels, logits, k=k)
    result = accuracy_result("Top1", logits, labels, k=k)
    assert result.value == pytest.approx(expected)
    assert result.n == 200
    theirs = MulticlassAccuracy(10, top_k=k, average="micro")(torch.from_numpy(logits), torch.from_numpy(labels))
    assert result.value == pytest.approx(float(theirs))


def test_a_classifier_without_an_opinion_is_right_by_chance_only():
    labels = np.arange(10)
    assert top_k_hits(np.zeros((10, 10)), labels, 1).tolist() == [True] + [False] * 9
    assert top_k_hits(np.zeros((10, 10)), labels, 5).sum() == 5
    assert top_k_hits(np.zeros((10, 10)), labels, 10).all()


def test_classification_errors():
    with pytest.raises(ValueError, match=r"classes 0\.\.2"):
        top_k_hits(np.zeros((2, 3)), np.array([0, 3]))
    with pytest.raises(ValueError, match=r"\[2, 3\], \[3\]"):
        top_k_hits(np.zeros((2, 3)), np.zeros(3, int))
    with pytest.raises(ValueError, match="Top-5 accuracy of 3 classes"):
        top_k_hits(np.zeros((2, 3)), np.zeros(2, int), 5)
    with pytest.raises(ValueError, match="1 of 2 images have NaN"):
        top_k_hits(np.array([[np.nan, 1], [0, 1]]), np.zeros(2, int))


# Masks


def test_mask_accuracy_equals_torchmetrics(rng):
    target = rng.integers(0, 19, (5, 16, 16)).astype(np.uint8)
    prediction = np.where(rng.random(target.shape) < 0.7, target, rng.integers(0, 19, target.shape)).astype(np.uint8)
    each = mask_accuracy(prediction, target)
    micro = MulticlassAccuracy(19, average="micro")(
        torch.from_numpy(prediction).long(), torch.from_numpy(target).long()
    )
    assert each.mean() == pytest.approx(float(micro), rel=1e-6)
    np.testing.assert_allclose(each, (prediction == target).mean(axis=(1, 2)))


def test_masks_are_compared_at_the_size_asked_for():
    target = np.zeros((1, 8, 8), np.uint8)
    target[0, :4] = 3
    target[0, ::2] = 5
    coarse = target[:, 1::2, 1::2]  # what nearest-neighbor resizing to 4 x 4 keeps
    assert mask_accuracy(coarse, target, size=(4, 4)) == 1
    assert mask_accuracy(coarse, target) == 0.5  # the rows of class 5 are lost
    ignored = np.where(target == 5, 255, target)
    assert mask_accuracy(coarse, ignored) == 1


def test_the_parser_has_the_published_shape():
    parser = CelebAMaskParser()
    assert len(parser.state_dict()) == 136
    assert round(sum(p.numel() for p in parser.parameters()) / 1e6, 3) == 1.944
    assert not parser.training


def test_the_parser_reads_its_file_and_resizes_by_the_nearest_pixel(tmp_path, monkeypatch):
    assert CelebAMaskParser.image_size == 512
    monkeypatch.setattr(CelebAMaskParser, "image_size", 64)
    torch.manual_seed(0)
    parser = CelebAMaskParser()
    for module in parser.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)  # so that the answer varies
    torch.save({f"module.{name}": value for name, value in parser.state_dict().items()}, tmp_path / "parser.pth")
    loaded = load_celebamask_parser(tmp_path / "parser.pth")
    images = noise(2, 16)
    with torch.no_grad():
        large = F.interpolate(images.float(), scale_factor=4, mode="nearest") / 127.5 - 1
        expected = parser(large).argmax(dim=1)
    parsed = loaded.parse(images)
    assert parsed.dtype == torch.uint8
    assert (parsed == expected).all()
    assert len(parsed.unique()) > 1
    torch.save({"conv.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match="not the parser of CelebAMask-HQ"):
        load_celebamask_parser(tmp_path / "other.pth")


def test_a_u_net_pixel_depends_on_its_neighborhood_and_on_skips():
    """Zero the deepest path: what is left must still depend on the image, by the skips."""
    parser = CelebAMaskParser()
    for module in (parser.up_concat1, parser.up_concat2, parser.up_concat3, parser.up_concat4):
        torch.nn.init.zeros_(module.up.weight)
        torch.nn.init.zeros_(module.up.bias)
    x = torch.zeros(1, 3, 64, 64)
    y = x.clone()
    y[..., 0, 0] = 1
    with torch.no_grad():
        changed = (parser(x) != parser(y)).any(dim=1)[0]
    assert changed[:5, :5].any()
    assert not changed[5:].any()  # only the finest skip is left: 4 convolutions of 3 x 3


# Text


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory):
    """A tiny random CLIP in Hugging Face's format with a tokenizer of letters."""
    folder = tmp_path_factory.mktemp("clip")
    torch.manual_seed(0)
    size = ClipSize(
        image_size=32, patch_size=8, vision_width=48, vision_layers=2, vision_heads=4, text_width=32, text_layers=2,
        text_heads=2, context_length=10, vocabulary_size=54, embedding_dim=24, end_token=53,
    )  # fmt: skip
    clip_model(size).save_pretrained(folder)
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    entries = [*letters, *(letter + "</w>" for letter in letters)][:52] + ["<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({entry: i for i, entry in enumerate(entries)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return folder


def test_text_similarity_equals_transformers(clip_folder):
    """Their processor and their logits per image, on images that need no resizing."""
    images, captions = noise(40, 32), ["a", "b c", "hat", "h a t"] * 10  # more than one batch
    evaluator = load_clip(clip_folder)
    processor = CLIPImageProcessor(
        do_resize=False, do_center_crop=False, image_mean=list(CLIP_MEAN), image_std=list(CLIP_STD)
    )
    pixels = processor(images=list(images.permute(0, 2, 3, 1).numpy()), return_tensors="pt")["pixel_values"]
    theirs = CLIPModel.from_pretrained(clip_folder).eval()
    with torch.no_grad():
        out = theirs(pixel_values=pixels, input_ids=evaluator.tokenize(captions))
        expected = (out.logits_per_image / theirs.logit_scale.exp()).diagonal().numpy()
    cosines = text_similarity(evaluator, images, captions)
    np.testing.assert_allclose(cosines, expected, atol=1e-5)
    assert text_result("CLIPScore", cosines).value == pytest.approx(100 * expected.mean(), abs=1e-3)
    assert text_result("CLIPCosine", cosines, scale=1).value == pytest.approx(expected.mean(), abs=1e-5)


def test_text_score_is_not_clamped_and_pairs_in_order():
    class Opposite:
        def embed_images(self, image):
            return F.normalize(image.float().mean(dim=(2, 3)) - 128, dim=1)

        def embed_text(self, captions):
            return torch.eye(3)[[int(caption) for caption in captions]]

    images = torch.full((3, 3, 4, 4), 128, dtype=torch.uint8)
    images[0, 0], images[1, 1], images[2, 0] = 0, 255, 255  # against its caption, with it, of another one
    cosines = text_similarity(Opposite(), images, ["0", "1", "1"])
    np.testing.assert_allclose(cosines, [-1, 1, 0], atol=1e-7)
    assert text_result("CLIPScore", np.array([-0.5, -0.3])).value == pytest.approx(-40)


def test_the_small_model_is_a_judge_too():
    model = ContrastiveModel(
        ContrastiveConfig(vocabulary=("hat", "red"), embedding_dim=16, image_channels=(8, 16, 16), text_width=32)
    )
    images = noise(3, 16)
    expected = (model.embed_images(images) * model.embed_text(["red", "hat", "red hat"])).sum(dim=1).numpy()
    np.testing.assert_allclose(text_similarity(model, images, ["red", "hat", "red hat"]), expected, rtol=1e-5)
    with pytest.raises(ValueError, match="3 images and 2 captions"):
        text_similarity(model, images, ["red", "hat"])


def test_clip_missing_says_where_it_was_looked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("MMDIFF_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    with pytest.raises(FileNotFoundError, match="clip-vit-base-patch32 is missing"):
        load_clip()


# Identity


def test_identity_of_the_same_picture_is_1_and_of_others_is_less():
    network = EffNetLite0()
    evaluator = EffNetIdentity(network)
    images = torch.cat([noise(1, 32), torch.zeros(1, 3, 32, 32, dtype=torch.uint8)])
    same, failed = identity_similarity(evaluator, images, images)
    np.testing.assert_allclose(same, 1, atol=1e-6)
    assert failed == 0
    crossed, _ = identity_similarity(evaluator, images, images.flip(0))
    with torch.inference_mode():
        x = network(images).double()
    expected = float(x[0] @ x[1] / x[0].norm() / x[1].norm())
    np.testing.assert_allclose(crossed, expected, rtol=1e-5)
    assert expected < 0.95


def test_an_image_without_a_face_scores_0_and_is_counted():
    class BrightFaces:
        def embed(self, images):
            found = images.float().mean(dim=(1, 2, 3)) > 100
            return found[:, None] * F.normalize(images.float().mean(dim=(2, 3)), dim=1)

    images = torch.full((4, 3, 8, 8), 200, dtype=torch.uint8)
    originals = images.clone()
    images[1], originals[1:3] = 0, 0
    result = identity_result("Identity-SFace", BrightFaces(), images, originals)
    assert result.value == pytest.approx(2 / 4)
    assert result.to_json()["images_without_face"] == 2


def varint(number):
    """Protocol-buffer integer."""
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def field(number, value):
    """Protocol-buffer field: an integer, or bytes with their length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def mean_color_onnx():
    """An ONNX file in the place of SFace: [1, 3, 112, 112] to the mean of each channel, [1, 3, 1, 1]."""

    def tensor(name, shape):
        dims = b"".join(field(1, field(1, size)) for size in shape)
        return field(1, name) + field(2, field(1, field(1, 1) + field(2, dims)))

    node = field(1, b"x") + field(2, b"y") + field(3, b"pool") + field(4, b"GlobalAveragePool")
    graph = field(1, node) + field(2, b"g") + field(11, tensor(b"x", (1, 3, 112, 112)))
    graph += field(12, tensor(b"y", (1, 3, 1, 1)))
    return field(1, 7) + field(7, graph) + field(8, field(1, b"") + field(2, 13))


def test_sface_aligns_the_most_certain_face_and_keeps_rgb(tmp_path, monkeypatch):
    """OpenCV's alignment and network, a detector that reports two faces: one red (certain), one green."""

    class Detector:
        def setInputSize(self, size):  # noqa: N802
            assert size == (160, 120)  # width first

        def detect(self, picture):
            if not picture.any():
                return 0, None
            landmarks = np.array([[38, 52], [74, 52], [56, 72], [41, 92], [71, 92]], np.float32) * 0.4  # at 112 pixels
            faces = [[0, 0, 45, 45, *(landmarks + (dx, 20)).ravel(), score] for dx, score in ((10, 0.7), (100, 0.9))]
            return 1, np.array(faces, np.float32)

    monkeypatch.setattr(cv2.FaceDetectorYN, "create", lambda *args: Detector())
    monkeypatch.setattr(SFace, "dimension", 3)
    (tmp_path / "sface.onnx").write_bytes(mean_color_onnx())
    evaluator = SFace(detector=tmp_path / "yunet.onnx", recognizer=tmp_path / "sface.onnx")
    image = torch.zeros(1, 3, 120, 160, dtype=torch.uint8)
    image[:, 1, :, :80] = 200  # green
    image[:, 0, :, 80:] = 200  # red
    vectors = evaluator.embed(torch.cat([image, torch.zeros_like(image)]))
    np.testing.assert_allclose(vectors[0].numpy(), [1, 0, 0], atol=1e-5)
    assert (vectors[1] == 0).all()


def test_sface_files_are_checked(tmp_path, monkeypatch):
    monkeypatch.setenv("MMDIFF_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    with pytest.raises(FileNotFoundError, match="face_detection_yunet_2023mar.onnx"):
        SFace()
    for name in ("yunet.onnx", "sface.onnx"):
        (tmp_path / name).write_bytes(b"half a download")
    with pytest.raises(ValueError, match="not a readable ONNX file"):
        SFace(detector=tmp_path / "yunet.onnx", recognizer=tmp_path / "sface.onnx")
