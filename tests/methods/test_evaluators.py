import sys
from types import SimpleNamespace

import lightning
import numpy as np
import pytest
import torch

from lightning_mmdiff import images, seeding
from lightning_mmdiff.metrics.lapa_parser import FACE, HAIR, LapaParser, best_faces, merge_lapa
from lightning_mmdiff.models.evaluators import (
    AttributeClassifier,
    AttributeClassifierConfig,
    Degradation,
    FaceParser,
    FaceParserConfig,
    degrade,
)
from lightning_mmdiff.optimization import OptimizerConfig

PALETTE = np.array([(20, 20, 20), (220, 60, 60), (60, 220, 60), (60, 60, 220)])
PARSER = FaceParserConfig(num_classes=4, channels=(16, 24), optimizer=OptimizerConfig(lr=3e-3))
CLASSIFIER = AttributeClassifierConfig(attributes=(31, 5), channels=(8, 16, 16), optimizer=OptimizerConfig(lr=3e-3))


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """Small tensors: threads only wait for each other, above all on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def painted(size, seed, pixels=16):
    """Images of colored rectangles; the class of a pixel is its color."""
    rng = np.random.default_rng(seed)
    label_map = np.zeros((size, pixels, pixels), np.uint8)
    for row in label_map:
        for _ in range(3):
            top, left = rng.integers(0, pixels - 4, 2)
            row[top : top + rng.integers(2, 8), left : left + rng.integers(2, 8)] = rng.integers(4)
    image = PALETTE[label_map].transpose(0, 3, 1, 2).astype(np.uint8)
    return {"image": torch.from_numpy(image), "label_map": torch.from_numpy(label_map)}


def attributed(size, seed):
    """Attribute 31 is a bright left half, attribute 5 a blue right half; the 38 others are random."""
    rng = np.random.default_rng(seed)
    attributes = rng.integers(0, 2, (size, 40)).astype(np.int8)
    image = rng.integers(0, 80, (size, 3, 16, 16)).astype(np.uint8)
    image[:, :, :, :8] += (120 * attributes[:, 31]).astype(np.uint8)[:, None, None, None]
    image[:, 2, :, 8:] += (120 * attributes[:, 5]).astype(np.uint8)[:, None, None]
    return {"image": torch.from_numpy(image), "conditions": {"attributes": torch.from_numpy(attributes)}}


def train(model, batches):
    optimizer = model.configure_optimizers()["optimizer"]
    losses = []
    for step, batch in enumerate(batches):
        optimizer.zero_grad()
        loss = model.loss(batch, seeding.step_generator(model.seed, step))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_the_parser_learns_that_color_is_class():
    model = FaceParser(PARSER)
    losses = train(model, (painted(16, seed) for seed in range(60)))
    held_out = painted(32, seed=1000)
    parsed = model.parse(held_out["image"])
    assert parsed.dtype == torch.uint8
    assert parsed.shape == (32, 16, 16)
    assert np.mean(losses[-5:]) < losses[0] / 3
    assert (parsed == held_out["label_map"]).float().mean() > 0.9


def test_the_parser_takes_any_size_divisible_by_8_and_names_another():
    model = FaceParser(PARSER)
    assert model.parse(painted(1, 0, pixels=40)["image"]).shape == (1, 40, 40)
    with pytest.raises(ValueError, match=r"\(20, 20\).*multiples of 8"):
        model.parse(painted(1, 0, pixels=20)["image"])


@torch.no_grad()
def test_rows_are_independent():
    data = painted(5, 0)
    parser, classifier = FaceParser(PARSER), AttributeClassifier(CLASSIFIER)
    x = images.to_float(data["image"])
    together = parser.network(x)
    for row in range(5):
        torch.testing.assert_close(parser.network(x[row : row + 1])[0], together[row], atol=1e-5, rtol=0)
        torch.testing.assert_close(
            classifier.predict(data["image"][row : row + 1])[0],
            classifier.predict(data["image"])[row],
            atol=1e-6,
            rtol=0,
        )


def test_the_classifier_reads_its_attributes_in_its_order():
    model = AttributeClassifier(CLASSIFIER)
    losses = train(model, (attributed(32, seed) for seed in range(60)))
    held_out = attributed(100, seed=1000)
    attributes = held_out["conditions"]["attributes"]
    torch.testing.assert_close(model.target(attributes), attributes[:, [31, 5]].float())
    assert np.mean(losses[-5:]) < losses[0] / 2
    agreement = (model.predict(held_out["image"]) > 0.5) == (attributes[:, [31, 5]] > 0)
    assert (agreement.float().mean(dim=0) > 0.9).all()


def test_degradation_is_bounded_per_image_and_can_be_nothing():
    x = torch.zeros(500, 3, 8, 8)
    nothing = Degradation(noise=0, brightness=0, color=0, contrast=0)
    assert torch.equal(degrade(x, nothing, seeding.generator("x")), x)
    noisy = degrade(x, Degradation(brightness=0, color=0, contrast=0, noise=0.2), seeding.generator("x"))
    sigma = noisy.std(dim=(1, 2, 3))
    assert 0.17 < sigma.max() < 0.23
    assert sigma.mean() == pytest.approx(0.1, abs=0.01)
    tinted = degrade(x, Degradation(noise=0), seeding.generator("x"))
    assert tinted.abs().max() <= 0.25
    assert tinted.mean(dim=(1, 2, 3)).std() > 0.05


class Steps(torch.utils.data.Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        return {key: value[0] for key, value in painted(1, seed=index).items()}


def fit(num_steps, seed, folder):
    model = FaceParser(PARSER, seed=seed)
    trainer = lightning.Trainer(
        max_steps=num_steps,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    trainer.fit(model, torch.utils.data.DataLoader(Steps(), batch_size=2))
    return model.state_dict()


def test_a_training_step_is_a_function_of_seed_and_step(tmp_path):
    first = fit(3, 0, tmp_path)
    torch.rand(7)  # the global generator must not matter
    second, other = fit(3, 0, tmp_path), fit(3, 1, tmp_path)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)
    model, data = FaceParser(PARSER), painted(4, 0)
    losses = [model.loss(data, seeding.step_generator(0, step)).item() for step in (5, 5, 6)]
    assert losses[0] == losses[1] != losses[2]


def test_a_loss_that_is_not_finite_stops_the_training():
    model = FaceParser(PARSER)
    model.network.head.bias.data.fill_(float("nan"))
    with pytest.raises(ValueError, match="The loss is nan at step 0"):
        model.training_step(painted(2, 0), 0)


def test_lapa_classes_are_merged_by_probability():
    probabilities = torch.full((1, 11, 1, 3), 0.01)
    probabilities[0, FACE, 0, 0] = 0.9
    probabilities[0, HAIR, 0, 1] = 0.9
    probabilities[0, 6, 0, 2] = 0.9  # the nose is not face
    assert merge_lapa(probabilities).tolist() == [[[1, 2, 0]]]


def test_the_best_face_of_each_image_is_used_and_all_are_counted():
    image_ids, scores = torch.tensor([3, 0, 3, 1, 0, 3]), torch.tensor([0.85, 0.9, 0.99, 0.8, 0.95, 0.9])
    chosen, num_faces = best_faces(image_ids, scores, 5)
    assert chosen.tolist() == [4, 3, 2]
    assert num_faces.tolist() == [2, 1, 0, 3, 0]
    chosen, num_faces = best_faces(torch.Tensor(), torch.Tensor(), 2)
    assert chosen.tolist() == []
    assert num_faces.tolist() == [0, 0]


def fake_facer():
    """Finds a face in images whose red mean is above 100, hair where green is bright, face where blue is."""

    def detect(image):
        ids = (image[:, 0].float().mean(dim=(1, 2)) > 100).nonzero()[:, 0]
        return {"image_ids": ids, "scores": torch.ones(len(ids)), "points": torch.zeros(len(ids), 5, 2)}

    def parse(image, faces):
        chosen = image[faces["image_ids"]].float() / 255
        logits = torch.zeros(len(chosen), 11, *image.shape[-2:])
        logits[:, HAIR], logits[:, FACE] = 20 * chosen[:, 1], 20 * chosen[:, 2]
        return faces | {"seg": {"logits": logits}}

    return SimpleNamespace(face_detector=lambda *a, **k: detect, face_parser=lambda *a, **k: parse)


def test_the_lapa_parser_counts_images_without_a_face(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "facer", fake_facer())
    files = [tmp_path / name for name in ("detector.pth", "parser.pt")]
    for file in files:
        file.touch()
    parser = LapaParser(detector_weights=files[0], parser_weights=files[1])
    image = torch.zeros(3, 3, 4, 6, dtype=torch.uint8)
    image[1:, 0] = 200
    image[0, 1] = image[1, 1, :2] = 255
    image[2, 2, :, :3] = 255
    parsed = parser.parse(image)
    assert parsed.num_faces.tolist() == [0, 1, 1]
    assert parsed.label_map[0].unique().tolist() == [0]  # counted with an empty map, not dropped
    assert (parsed.label_map[1, :2] == 2).all()
    assert (parsed.label_map[1, 2:] == 0).all()
    assert (parsed.label_map[2, :, :3] == 1).all()
    assert parsed.soft_maps.shape == (3, 2, 4, 6)
    assert (parsed.soft_maps[2, 0, :, :3] == 255).all()
    assert parsed.soft_maps[0].max() == 0


def test_the_lapa_parser_says_what_is_missing(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "facer", None)
    with pytest.raises(ImportError, match="pip install pyfacer"):
        LapaParser(detector_weights=tmp_path / "a", parser_weights=tmp_path / "b")
    monkeypatch.setitem(sys.modules, "facer", fake_facer())
    with pytest.raises(FileNotFoundError, match=r"a is missing"):
        LapaParser(detector_weights=tmp_path / "a", parser_weights=tmp_path / "b")
