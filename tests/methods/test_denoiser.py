"""One diffusion model: the loss is what it says, randomness depends on the step alone, rows do not depend on each other."""

import pytest
import torch
from tiny import randomized, tiny_config, tiny_denoiser

from lightning_mmdiff import images, seeding
from lightning_mmdiff.models.denoiser import Denoiser
from lightning_mmdiff.models.diffusion import Encoded
from lightning_mmdiff.runtime import checkpoints
from lightning_mmdiff.schedules import Sampler, cosine


def batch(size: int = 4) -> dict:
    g = torch.Generator().manual_seed(1)
    return {
        "index": torch.arange(size),
        "image": torch.randint(0, 256, (size, 3, 8, 8), generator=g, dtype=torch.uint8),
        "conditions": {"hair": torch.randint(0, 256, (size, 1, 8, 8), generator=g, dtype=torch.uint8)},
    }


class Embedder(torch.nn.Module):
    """Stands for CLIP: the image's mean color, and the length of the text."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))

    def embed_images(self, image: torch.Tensor) -> torch.Tensor:
        return self.scale * images.to_float(image).mean((2, 3))

    def embed_text(self, text: list[str]) -> torch.Tensor:
        return self.scale * torch.tensor([[len(t) / 10, 0.0, 0.0] for t in text])


@pytest.mark.parametrize("prediction", ["eps", "v"])
def test_loss_is_the_mean_squared_error_of_the_target(prediction: str) -> None:
    model = tiny_denoiser(prediction=prediction)
    loss = model.loss(batch(), seeding.step_generator(0, 0))
    g = seeding.step_generator(0, 0)
    z0 = images.to_float(batch()["image"])
    t = torch.randint(1000, (4,), generator=g)
    eps = torch.randn(z0.shape, generator=g)
    alpha, sigma = cosine().alpha[t].float().view(-1, 1, 1, 1), cosine().sigma[t].float().view(-1, 1, 1, 1)
    hair = images.to_float(batch()["conditions"]["hair"])
    output = model.network(torch.cat([alpha * z0 + sigma * eps, hair], 1), t)
    target = eps if prediction == "eps" else alpha * eps - sigma * z0
    torch.testing.assert_close(loss, (output - target).square().mean())


def test_v_and_eps_predict_the_same_noise_when_they_know_the_image() -> None:
    model = tiny_denoiser(prediction="v")
    z0, eps, t = torch.rand(2, 3, 8, 8) * 2 - 1, torch.randn(2, 3, 8, 8), torch.tensor([100, 900])
    z = model.schedule.add_noise(z0, eps, t)
    model.network.forward = lambda x, t, embedding: model.schedule.v_target(z0, eps, t)
    torch.testing.assert_close(model.predict_eps(z, t, Encoded()), eps, atol=1e-4, rtol=1e-4)


def test_min_snr_leaves_small_ratios_alone() -> None:
    plain, weighted = tiny_denoiser(), tiny_denoiser()
    weighted.config = type(weighted.config)(**{**vars(weighted.config), "min_snr": 1e12})
    g = lambda: seeding.step_generator(0, 3)  # noqa: E731
    torch.testing.assert_close(
        plain.loss(batch(), g()), weighted.loss(batch(), g())
    )  # gamma -> infinity is the simple loss
    weighted.config = type(weighted.config)(**{**vars(weighted.config), "min_snr": 1e-3})
    assert weighted.loss(batch(), g()) < plain.loss(batch(), g())


def test_hybrid_loss_trains_the_variance() -> None:
    model = tiny_denoiser(learned_variance=True)
    model.loss(batch(), seeding.step_generator(0, 0)).backward()
    assert model.network.out_conv.weight.grad[3:].abs().sum() > 0


def test_randomness_is_a_function_of_seed_and_step() -> None:
    model = tiny_denoiser(subsets=((("hair",), 0.5), ((), 0.5)))
    first, again, other = (model.loss(batch(), seeding.step_generator(0, step)) for step in (7, 7, 8))
    assert first == again
    assert first != other


def test_dropped_condition_is_the_null_condition() -> None:
    always, never = tiny_denoiser(subsets=((("hair",), 1.0),)), tiny_denoiser(subsets=(((), 1.0),))
    g = lambda: seeding.step_generator(0, 0)  # noqa: E731
    without = {**batch(), "conditions": {}}
    torch.testing.assert_close(never.loss(batch(), g()), never.loss(without, g()))
    assert always.loss(batch(), g()) != never.loss(batch(), g())


@pytest.mark.parametrize("split", [1, 3])
def test_image_depends_on_its_number_not_on_the_batch(split: int) -> None:
    model = tiny_denoiser()
    model.sampler = Sampler(name="ddim", num_steps=5, eta=1.0)  # noise at every step
    whole = model.predict_step(batch())
    part = batch()
    part = {"index": part["index"][split:], "conditions": {k: v[split:] for k, v in part["conditions"].items()}}
    difference = (whole[split:].int() - model.predict_step(part).int()).abs()
    assert difference.max() <= 1  # float tolerance: another batch size may round one gray level differently


def test_embedding_of_the_image_in_training_and_of_the_text_in_sampling() -> None:
    config = tiny_config(spatial=(), embedding=("text", 3))
    model = randomized(Denoiser(config, embedder=Embedder())).eval()
    image_embedding = model.embed(batch())["text"]
    torch.testing.assert_close(image_embedding, model.embedder.embed_images(batch()["image"]))
    encoded = model.encode_conditions({"caption": ["short", "a longer one"]})
    torch.testing.assert_close(encoded["text"], model.embedder.embed_text(["short", "a longer one"]))
    assert not any(p.requires_grad for p in model.embedder.parameters())


def test_rows_with_and_without_embedding_do_not_touch_each_other() -> None:
    """The released code skips the second norm if all embeddings of a batch are null; ours never looks at other rows."""
    model = randomized(Denoiser(tiny_config(spatial=(), embedding=("text", 3)), embedder=Embedder())).eval()
    z, t = torch.randn(2, 3, 8, 8), torch.tensor(500)
    embedding = torch.tensor([[0.0, 0.0, 0.0], [1.0, 2.0, 3.0]])
    with torch.no_grad():
        both = model.predict_noise(z, t, {"text": embedding})
        alone = model.predict_noise(z[:1], t, {"text": embedding[:1]})
    torch.testing.assert_close(both[:1], alone, atol=1e-5, rtol=1e-5)


def test_frozen_embedder_is_in_no_file(tmp_path) -> None:
    model = Denoiser(tiny_config(spatial=(), embedding=("text", 3)), embedder=Embedder())
    checkpoints.save_weights(model, tmp_path / "w.safetensors", {})
    checkpoint = {"state_dict": model.state_dict()}
    model.on_save_checkpoint(checkpoint)
    assert not any(k.startswith("embedder") for k in checkpoint["state_dict"])
    checkpoints.load_weights(model, tmp_path / "w.safetensors")


def test_checkpoint_of_another_architecture(tmp_path) -> None:
    checkpoints.save_weights(tiny_denoiser(), tmp_path / "w.safetensors", {})
    other = Denoiser(tiny_config(spatial=(("hair", 1),), embedding=("text", 3)), embedder=Embedder())
    with pytest.raises(ValueError, match=r"another architecture.*missing \(first: network"):
        checkpoints.load_weights(other, tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match="of another shape"):
        checkpoints.load_weights(tiny_denoiser(spatial=(("hair", 2),)), tmp_path / "w.safetensors")


def test_nan_loss_stops_with_a_sentence() -> None:
    model = tiny_denoiser()
    model.network.out_conv.bias.data.fill_(float("nan"))
    with pytest.raises(ValueError, match="The loss is nan at step 0"):
        model.training_step(batch(), 0)


def test_embedding_without_embedder() -> None:
    with pytest.raises(ValueError, match="pass embedder="):
        Denoiser(tiny_config(spatial=(), embedding=("text", 3))).loss(batch(), seeding.step_generator(0, 0))
