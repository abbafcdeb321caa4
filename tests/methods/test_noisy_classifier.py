"""The classifier of noisy images: its loss is what it says, it learns, and bad labels are named."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from lightning_mmdiff import images, seeding
from lightning_mmdiff.models.evaluators import Degradation
from lightning_mmdiff.models.noisy_classifier import NoisyClassifier, NoisyClassifierConfig
from lightning_mmdiff.networks.classifier import ClassifierConfig
from lightning_mmdiff.optimization import OptimizerConfig
from lightning_mmdiff.schedules import cosine

NETWORK = ClassifierConfig(
    num_classes=3, image_size=8, channels=16, channel_mult=(1, 2), num_res_blocks=1, attention_levels=(1,),
    head_channels=16, norm_groups=4,
)  # fmt: skip


def classifier(**options) -> NoisyClassifier:
    optimizer = OptimizerConfig(lr=5e-3)
    return NoisyClassifier(NoisyClassifierConfig(network=NETWORK, optimizer=optimizer, **options))


def colored(size: int, seed: int) -> dict:
    """The class is the brightest channel."""
    rng = np.random.default_rng(seed)
    label = torch.from_numpy(rng.integers(0, 3, size))
    image = torch.from_numpy(rng.integers(0, 130, (size, 3, 8, 8)).astype(np.uint8))
    image[torch.arange(size), label] += 110
    return {"index": torch.arange(size), "image": image, "conditions": {"label": label}}


def test_loss_is_cross_entropy_on_noised_images():
    model, batch = classifier(), colored(4, 0)
    g = seeding.step_generator(0, 0)
    t = torch.randint(1000, (4,), generator=g)
    x, eps = images.to_float(batch["image"]), torch.randn(4, 3, 8, 8, generator=g)
    alpha, sigma = (table[t].float().view(-1, 1, 1, 1) for table in (cosine().alpha, cosine().sigma))
    logits = model.network(alpha * x + sigma * eps, t)
    expected = -logits.log_softmax(1)[torch.arange(4), batch["conditions"]["label"]].mean()
    torch.testing.assert_close(model.loss(batch, seeding.step_generator(0, 0)), expected)


def test_clean_images_have_no_noise_and_time_zero():
    model, batch = classifier(noised=False), colored(4, 0)
    expected = F.cross_entropy(
        model.network(images.to_float(batch["image"]), torch.zeros(4)), batch["conditions"]["label"]
    )
    for step in (0, 1):  # nothing is drawn
        torch.testing.assert_close(model.loss(batch, seeding.step_generator(0, step)), expected)


def test_a_judge_sees_damaged_images():
    model, batch = classifier(noised=False, degradation=Degradation(noise=1.0)), colored(4, 0)
    first, again, other = (model.loss(batch, seeding.step_generator(0, step)) for step in (0, 0, 1))
    assert first == again
    assert first != other
    with pytest.raises(ValueError, match="degradation damages clean images"):
        classifier(degradation=Degradation())


@pytest.mark.parametrize("noised", [False, True])
def test_it_learns(noised):
    model = classifier(noised=noised)
    optimizer = model.configure_optimizers()["optimizer"]
    for step in range(25):
        optimizer.zero_grad()
        model.loss(colored(16, step), seeding.step_generator(0, step)).backward()
        optimizer.step()
    held_out = colored(64, 1000)
    probability = model.eval().predict(held_out["image"])
    torch.testing.assert_close(probability.sum(1), torch.ones(64))
    assert (probability.argmax(1) == held_out["conditions"]["label"]).float().mean() > 0.9


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ({}, r"needs the condition 'label' .* has \[\]"),
        ({"label": torch.tensor([0, 3])}, "run from 0 to 3; the network has 3 classes: expected 0 to 2"),
        ({"label": torch.tensor([-1, 2])}, "run from -1 to 2"),
        ({"label": torch.tensor([0.0, 2.0])}, r"expected torch.int64 \[2\]"),
        ({"label": torch.tensor([0])}, r"\[1\]; expected torch.int64 \[2\]"),
    ],
)
def test_bad_labels_are_named(conditions, message):
    batch = {**colored(2, 0), "conditions": conditions}
    with pytest.raises(ValueError, match=message):
        classifier().loss(batch, seeding.step_generator(0, 0))
