import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lightning_mmdiff import seeding
from lightning_mmdiff.models.contrastive import ContrastiveConfig, ContrastiveModel, contrastive_loss, number_captions
from lightning_mmdiff.networks.image_text import UNKNOWN, build_vocabulary, words
from lightning_mmdiff.optimization import OptimizerConfig
from lightning_mmdiff.runtime.checkpoints import load_weights, save_weights

COLORS = {"red": (200, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 200), "white": (230, 230, 230)}
PLACES = ("left", "right")
VOCABULARY = build_vocabulary(f"a {color} square on the {place}" for color in COLORS for place in PLACES)
CONFIG = ContrastiveConfig(
    vocabulary=VOCABULARY,
    embedding_dim=16,
    image_channels=(8, 16, 16),
    text_width=32,
    text_layers=1,
    max_length=8,
    optimizer=OptimizerConfig(lr=3e-3),
)


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """Small tensors: threads only wait for each other, above all on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def batch(size, seed):
    """Squares of four colors in two places, on noise, with their captions."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 60, (size, 3, 16, 16), dtype=np.uint8)
    captions = []
    for row in image:
        (name, color), place = list(COLORS.items())[rng.integers(4)], rng.integers(2)
        row[:, 4:12, 8 * place : 8 * place + 8] = np.array(color)[:, None, None]
        captions.append(f"a {name} square on the {PLACES[place]}")
    return {"image": torch.from_numpy(image), "conditions": {"caption": captions}}


def plain_loss(image, text, scale, captions):
    """Mean over both directions of -log softmax, averaged over the pairs with the same caption; loops only."""
    total, size = 0.0, len(image)
    for a, b in ((image, text), (text, image)):
        for i in range(size):
            logits = np.array([scale * np.dot(a[i], b[j]) for j in range(size)])
            log_p = logits - np.log(np.exp(logits).sum())
            total -= np.mean([log_p[j] for j in range(size) if captions[j] == captions[i]]) / (2 * size)
    return total


@pytest.mark.parametrize("captions", [[0, 1, 2, 3, 4], [0, 1, 0, 2, 1], [0, 0, 0, 0, 0]])
def test_the_loss_equals_a_plain_reference(captions):
    rng = np.random.default_rng(0)
    image, text = (F.normalize(torch.from_numpy(rng.normal(size=(5, 6))), dim=1) for _ in range(2))
    ours = contrastive_loss(image, text, torch.tensor(7.0, dtype=torch.float64), torch.tensor(captions))
    assert ours.item() == pytest.approx(plain_loss(image.numpy(), text.numpy(), 7.0, captions), abs=1e-12)


def test_without_duplicates_the_loss_is_clips():
    image, text = F.normalize(torch.randn(6, 4), dim=1), F.normalize(torch.randn(6, 4), dim=1)
    logits, target = 5 * image @ text.T, torch.arange(6)
    clip = (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
    torch.testing.assert_close(contrastive_loss(image, text, torch.tensor(5.0), target), clip)


def test_captions_are_numbered_by_first_appearance():
    unique, numbers = number_captions(["b", "a", "b", "c"])
    assert unique == ["b", "a", "c"]
    assert numbers.tolist() == [0, 1, 0, 2]


def test_words_and_vocabulary():
    assert words("She's a Blond-haired woman, 30.") == ["she's", "a", "blond-haired", "woman", "30"]
    assert build_vocabulary(["b a a", "c b a"]) == ("a", "b", "c")
    assert build_vocabulary(["b a a", "c b a"], max_words=1) == ("a",)


def test_unknown_words_are_one_token_and_any_caption_has_an_embedding():
    model = ContrastiveModel(CONFIG)
    tokens = model.text_encoder.tokenize(["A zebra square", "red"])
    assert tokens.shape == (2, 3)
    assert tokens[0, 1] == UNKNOWN
    assert tokens[1].tolist()[1:] == [0, 0]
    torch.testing.assert_close(model.embed_text(["zebra"]), model.embed_text(["okapi"]))
    embedded = model.embed_text(["", "red " * 100, "!"])
    assert embedded.isfinite().all()
    torch.testing.assert_close(embedded.norm(dim=1), torch.ones(3))


def test_word_order_matters():
    model = ContrastiveModel(CONFIG)
    a, b = model.embed_text(["red on the left", "left on the red"])
    assert (a - b).abs().max() > 1e-3


def test_rows_are_independent():
    model = ContrastiveModel(CONFIG).eval()
    data = batch(6, seed=0)
    data["conditions"]["caption"][2] = "red"  # shorter than its neighbors: padding must not show
    for row in range(6):
        alone = model.embed_images(data["image"][row : row + 1])
        torch.testing.assert_close(model.embed_images(data["image"])[row : row + 1], alone, atol=1e-5, rtol=0)
        captions = data["conditions"]["caption"]
        alone = model.embed_text(captions[row : row + 1])
        torch.testing.assert_close(model.embed_text(captions)[row : row + 1], alone, atol=1e-5, rtol=0)


def train(num_steps, seed=0):
    model = ContrastiveModel(CONFIG, seed=seed)
    optimizer = model.configure_optimizers()["optimizer"]
    losses = []
    for step in range(num_steps):
        optimizer.zero_grad()
        loss = model.loss(batch(64, seed=step), seeding.step_generator(seed, step))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return model, losses


@pytest.fixture(scope="module")
def trained():
    return train(80)


def test_training_lowers_the_loss_and_finds_the_caption(trained):
    model, losses = trained
    captions = [f"a {color} square on the {place}" for color, place in itertools.product(COLORS, PLACES)]
    held_out = batch(100, seed=10_000)
    assert np.mean(losses[-10:]) < np.mean(losses[:5]) - 1
    best = (model.embed_images(held_out["image"]) @ model.embed_text(captions).T).argmax(dim=1)
    found = [captions[i] == caption for i, caption in zip(best, held_out["conditions"]["caption"])]
    assert np.mean(found) > 0.9  # chance is 1/8


def test_training_is_a_function_of_the_seed():
    assert train(3)[1] == train(3)[1]
    assert train(3)[1] != train(3, seed=1)[1]


def test_weights_carry_their_vocabulary(trained, tmp_path):
    model, _ = trained
    save_weights(model, tmp_path / "m.safetensors", {})
    again = ContrastiveModel(CONFIG, seed=5)
    load_weights(again, tmp_path / "m.safetensors")
    torch.testing.assert_close(again.embed_text(["a red square"]), model.embed_text(["a red square"]))
    swapped = (VOCABULARY[1], VOCABULARY[0], *VOCABULARY[2:])
    other = ContrastiveModel(ContrastiveConfig(**{**vars(CONFIG), "vocabulary": swapped}))
    with pytest.raises(ValueError, match="another vocabulary"):
        load_weights(other, tmp_path / "m.safetensors")


def test_a_lightning_checkpoint_loads_weights_only(trained, tmp_path):
    torch.save({"state_dict": trained[0].state_dict()}, tmp_path / "m.ckpt")
    state = torch.load(tmp_path / "m.ckpt", weights_only=True)["state_dict"]
    ContrastiveModel(CONFIG, seed=3).load_state_dict(state, strict=True)


def test_an_empty_vocabulary_is_an_error():
    with pytest.raises(ValueError, match="build_vocabulary"):
        ContrastiveConfig(vocabulary=())


def test_the_scale_is_clipped():
    model = ContrastiveModel(CONFIG)
    assert model.scale.item() == pytest.approx(1 / 0.07, rel=1e-5)
    model.log_scale.data.fill_(10.0)
    assert model.scale.item() == 100
