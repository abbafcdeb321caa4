"""MT-Diffusion: without aggregation it is DDPM exactly; what is known is kept, what is missing is estimated, nothing leaks."""

from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tiny import randomized, tiny_denoiser
from torch import Tensor

from lightning_mmdiff import images, seeding
from lightning_mmdiff.methods.mt_diffusion.aggregation import aggregate
from lightning_mmdiff.methods.mt_diffusion.modalities import Embedding, Label, MaskedImage, PairedImage
from lightning_mmdiff.methods.mt_diffusion.modality import Modality
from lightning_mmdiff.methods.mt_diffusion.model import GIVEN, MTDiffusion, MTDiffusionConfig
from lightning_mmdiff.models.denoiser import Denoiser
from lightning_mmdiff.networks.conditions import NULL_CLASS, ConditionConfig
from lightning_mmdiff.networks.presets import mini_classifier
from lightning_mmdiff.networks.unet import UNetConfig
from lightning_mmdiff.optimization import OptimizerConfig
from lightning_mmdiff.runtime import checkpoints
from lightning_mmdiff.schedules import Sampler

FEW = Sampler(name="ddim", num_steps=4)


def model(
    *modalities: Modality, seed: int = 0, embedder: Any = None, keep_known: bool = False, sampler=FEW, **options
) -> MTDiffusion:
    """A model of a few thousand random parameters for images of 8 pixels, in evaluation mode."""
    learned = options.get("learned_variance", False)
    labels = [m for m in modalities if isinstance(m, Label) and m.encoder == "network"]
    vectors = [m for m in modalities if isinstance(m, Embedding) and m.encoder == "network"]
    config = MTDiffusionConfig(
        network=UNetConfig(
            in_channels=3 * (1 + sum(m.concatenate for m in modalities)), out_channels=6 if learned else 3, channels=8,
            channel_mult=(1, 2), num_res_blocks=1, attention_levels=(), num_heads=1, norm_groups=4,
            num_classes=labels[0].num_classes if labels else None, embedding_dim=vectors[0].dim if vectors else None,
        ),
        image_size=8, modalities=modalities, optimizer=OptimizerConfig(lr=1e-3), **options,
    )  # fmt: skip
    module = MTDiffusion(config, seed=seed, embedder=embedder, keep_known=keep_known, sampler=sampler)
    return randomized(module, seed).eval()


def batch(size: int = 4) -> dict[str, Any]:
    g = torch.Generator().manual_seed(1)
    picture = lambda channels=3: torch.randint(0, 256, (size, channels, 8, 8), generator=g, dtype=torch.uint8)  # noqa: E731
    image, mask = picture(), torch.where(picture(1) > 128, 255, 0).to(torch.uint8)
    return {
        "index": torch.arange(size),
        "image": image,
        "conditions": {
            "masked_image": image * (mask > 0), "mask": mask, "photo": picture(),
            "label": torch.arange(size) % 3, "caption": [f"{'x' * i} face" for i in range(size)],
        },
    }  # fmt: skip


def given(*names: str, size: int = 4) -> dict[str, Any]:
    """The batch of a sampling run that knows these conditions."""
    return {"index": torch.arange(size), "conditions": {n: batch(size)["conditions"][n] for n in names}}


class Embedder(torch.nn.Module):
    """Stands for CLIP: the image's mean color, and the length of the text."""

    def embed_images(self, image: Tensor) -> Tensor:
        return images.to_float(image).mean((2, 3))

    def embed_text(self, text: list[str]) -> Tensor:
        return torch.tensor([[len(t) / 10, 0.0, 1.0] for t in text])


def step(k: int = 0) -> torch.Generator:
    return seeding.step_generator(0, k)


def as_denoiser(module: MTDiffusion, **options) -> Any:
    """The plain diffusion model with the same weights."""
    num_classes = options.pop("num_classes", None)
    denoiser = tiny_denoiser(spatial=(), schedule="cosine", **options)
    if num_classes is not None:
        config = replace(denoiser.config.network, num_classes=num_classes)
        label = ConditionConfig(label=("label", num_classes))
        denoiser = Denoiser(replace(denoiser.config, network=config, conditions=label)).eval()
    denoiser.network.load_state_dict(module.network.unet.state_dict())
    denoiser.sampler, denoiser.sampling_seed = module.sampler, module.sampling_seed
    return denoiser


# Reduction to DDPM.


@pytest.mark.parametrize("prediction", ["eps", "v", "z0"])
def test_one_task_alone_is_ddpm_exactly(prediction: str) -> None:
    module = model(MaskedImage(), tasks=("image",), prediction=prediction)
    denoiser = as_denoiser(module, prediction=prediction)
    plain = {**batch(), "conditions": {}}
    assert torch.equal(module.loss(batch(), step()), denoiser.loss(plain, step()))
    assert torch.equal(module.predict_step(given("masked_image", "mask")), denoiser.predict_step(plain))


@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "unipc", "dpm-solver++", "spaced-ddpm"])
def test_without_weights_or_encodings_the_samples_are_those_of_ddpm(sampler: str) -> None:
    few = Sampler(name=sampler, num_steps=4)  # type: ignore[arg-type]
    no_weights = model(MaskedImage(), aggregation="none", sampler=few)
    expected = as_denoiser(no_weights).predict_step(given())
    assert torch.equal(no_weights.predict_step(given("masked_image", "mask")), expected)  # w = 0
    assert torch.equal(no_weights.predict_step(given()), expected)  # w = 0, E estimated
    no_encoding = model(MaskedImage(), sampler=few)
    hidden = given("masked_image", "mask")
    hidden["conditions"] = {k: torch.zeros_like(v) for k, v in hidden["conditions"].items()}
    assert torch.equal(no_encoding.predict_step(hidden), expected)  # E = 0: a complete mask
    assert not torch.equal(no_encoding.predict_step(given("masked_image", "mask")), expected)  # and else not


def test_without_weights_the_loss_is_that_of_ddpm_and_the_heads() -> None:
    module = model(MaskedImage(), aggregation="none", min_snr=5.0)
    denoiser = as_denoiser(module)
    denoiser.config = replace(denoiser.config, min_snr=5.0)
    plain = denoiser.loss({**batch(), "conditions": {}}, step())
    silent = model(MaskedImage(weight=0.0), aggregation="none", min_snr=5.0)
    torch.testing.assert_close(silent.loss(batch(), step()), plain, atol=0, rtol=0)
    assert module.loss(batch(), step()) > plain


def test_hybrid_loss_does_not_see_the_encodings() -> None:
    """The bound of the shifted posterior: E cancels, so a network that ignores z_t gives the same loss with any E."""
    with_e, without = (model(MaskedImage(weight=0.0), aggregation=a, learned_variance=True) for a in ("paper", "none"))
    for module in (with_e, without):
        for p in module.network.unet.down.parameters():
            p.data.zero_()
    torch.testing.assert_close(with_e.loss(batch(), step()), without.loss(batch(), step()), atol=1e-5, rtol=1e-5)


# Equation 6.


def test_loss_is_equation_6() -> None:
    module = model(MaskedImage(concatenate=True), Label(num_classes=3, encoder="table", weight=0.5))
    data, g = batch(), step()
    loss = module.loss(data, g)
    g = step()
    z0 = images.to_float(data["image"])
    t, eps = torch.randint(1000, (4,), generator=g), torch.randn(z0.shape, generator=g)
    masked = images.to_float(data["conditions"]["masked_image"]) * (data["conditions"]["mask"] / 255)
    table = module.network.encoders["label"].linear.weight.T[data["conditions"]["label"]].view(4, 3, 8, 8)
    shift = module.shifts[0][t].float().view(-1, 1, 1, 1)
    alpha_bar = module.schedule.alpha_bar[t].float().view(-1, 1, 1, 1)
    z = alpha_bar.sqrt() * z0 + shift * masked + shift * table + (1 - alpha_bar).sqrt() * eps  # Eq. 4
    output, hidden, middle = module.network.unet.forward_with_features(torch.cat([z, masked], 1), t)
    copied = module.network.heads["masked_image"]
    picture = copied.conv(torch.nn.functional.silu(copied.norm(hidden)))
    logits = module.network.heads["label"].linear(middle.mean((2, 3)))
    expected = (output - eps).square().mean() + 0.1 * (picture - masked).square().mean()
    expected = expected + 0.5 * torch.nn.functional.cross_entropy(logits, data["conditions"]["label"])
    torch.testing.assert_close(loss, expected)


ALL = (
    MaskedImage(),
    PairedImage(),
    Label(num_classes=3),
    Embedding(name="caption", dim=3, source="text"),
    Embedding(name="random_caption", dim=3, source="text", condition="caption", shuffled=True),
)


def test_the_loss_trains_the_shared_network_and_every_head() -> None:
    module = model(*ALL, Label(name="coarse", num_classes=3, encoder="table"), embedder=Embedder())
    data = batch()
    data["conditions"]["coarse"] = data["conditions"]["label"]
    module.loss(data, step()).backward()
    without = [n for n, p in module.network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    embedding = [n for n in without if "label" in n or "embedding" in n]  # only E(y) uses them, without a gradient
    assert without == embedding
    assert not any("heads" in n or "encoders" in n for n in without)


def test_each_head_alone_reaches_the_shared_network() -> None:
    for modality in ALL:
        module = model(modality, tasks=(modality.name,), embedder=Embedder())
        module.loss(batch(), step()).backward()
        assert module.network.unet.down[0][0].weight.grad.abs().sum() > 0, modality.name
        assert module.network.unet.out_conv.weight.grad is None, modality.name  # the image's loss is off


def test_no_gradient_flows_through_the_network_as_encoder() -> None:
    module = model(Label(num_classes=3))
    x = torch.eye(3)
    assert not module.network.encode_data(module.modalities[0], x).requires_grad
    assert (
        model(Label(num_classes=3, encoder="table")).network.encode_data(module.modalities[0], x).requires_grad is True
    )


# What is hidden, what leaks.


def test_hidden_encodings() -> None:
    label = Label(num_classes=3, encoder="table")
    hidden, none = model(replace(label, hide_fraction=1.0)), model(label, aggregation="none")
    torch.testing.assert_close(
        hidden.loss(batch(), step()), none.loss(batch(), step())
    )  # E never enters, heads still learn
    some = model(replace(label, hide_fraction=0.5))
    data = some.read(batch(64)["conditions"])
    encodings = some.network.encode(data, 64, some._keep(64, step()))
    shares = (encodings.abs().sum((1, 2, 3, 4)) == 0).float().mean()
    assert 0.3 < float(shares) < 0.7


def test_one_task_alone_never_reads_the_encoding() -> None:
    """Fine-tuning the classifier alone (the rows *): with E(y) in z_t it would learn to read E(y)."""
    label = Label(num_classes=3, encoder="table")
    alone = model(label, MaskedImage(), tasks=("label",), aggregation="mean_reverting")
    plain = model(label, MaskedImage(), tasks=("label",), aggregation="none")
    assert torch.equal(alone.loss(batch(), step()), plain.loss(batch(), step()))
    both = model(label, MaskedImage(), tasks=("image", "label"), aggregation="mean_reverting")
    assert both.config.aggregated == ("label",)
    assert both.loss(batch(), step()) != model(label, MaskedImage(), tasks=("image", "label"), aggregation="none").loss(
        batch(), step()
    )


def test_head_is_judged_without_the_label_in_z() -> None:
    module = model(Label(num_classes=3, encoder="table"), aggregation="mean_reverting")
    data = batch()
    alone = module.predictions(data["image"], 700, step())["label"]
    told = module.predictions(data["image"], 700, step(), {"label": data["conditions"]["label"]})["label"]
    lied = module.predictions(data["image"], 700, step(), {"label": (data["conditions"]["label"] + 1) % 3})["label"]
    assert alone.shape == (4, 3)
    assert not torch.allclose(told, lied)
    again = module.predictions(data["image"], 700, step(), {})["label"]
    assert torch.equal(alone, again)


def test_unknown_labels_of_some_rows() -> None:
    module = model(Label(num_classes=3, encoder="table"))
    conditions = {"label": torch.tensor([0, -1, 2, -1])}
    encodings = module.encode_conditions(conditions)[GIVEN].encodings
    assert (encodings.abs().sum((1, 2, 3, 4)) > 0).tolist() == [True, False, True, False]
    output, estimates = module.predict(torch.randn(4, 3, 8, 8), torch.tensor(500), conditions)
    filled = output[:, 3:].abs().sum((1, 2, 3)) > 0
    assert filled.all()  # unknown rows get the estimate
    torch.testing.assert_close(output[[0, 2], 3:], encodings[[0, 2], 0])  # known rows keep theirs


def test_the_network_is_told_the_class_only_where_asked() -> None:
    """label_dropout is class-conditional ADM; a Label modality alone never puts the class into the network's input."""
    label = Label(num_classes=3)
    untold, told = model(label, tasks=("image",)), model(label, tasks=("image",), label_dropout=0.0)
    denoiser = as_denoiser(told, num_classes=3)
    plain = {**batch(), "conditions": {"label": batch()["conditions"]["label"]}}
    never = {**plain, "conditions": {"label": torch.full((4,), NULL_CLASS)}}
    assert torch.equal(told.predict_step(plain), denoiser.predict_step(plain))
    assert torch.equal(untold.predict_step(plain), denoiser.predict_step(never))
    assert not torch.equal(told.predict_step(plain), untold.predict_step(plain))
    always_dropped = model(label, tasks=("image",), label_dropout=1.0)
    assert always_dropped.loss(batch(), step()) == untold.loss(batch(), step()) != told.loss(batch(), step())
    assert not untold.network.unet.label.weight.requires_grad
    assert told.network.unet.label.weight.requires_grad
    with pytest.raises(ValueError, match="label_dropout is 0.1 and the network has None classes"):
        model(MaskedImage(), label_dropout=0.1)


def test_classifier_on_the_output() -> None:
    classifier = mini_classifier(3, image_size=8)
    module = model(Label(num_classes=3, head="output", classifier=classifier))
    module.loss(batch(), step()).backward()
    assert module.network.unet.out_conv.weight.grad.abs().sum() > 0
    assert module.predictions(batch()["image"], 0, step())["label"].shape == (4, 3)
    with pytest.raises(ValueError, match=r"must read \[3, 8, 8\], but it reads \[3, 16, 16\]"):
        model(Label(num_classes=3, head="output", classifier=replace(classifier, image_size=16)))


def test_what_no_loss_trains_is_frozen() -> None:
    """Distributed training would wait for gradients that never come."""
    module = model(MaskedImage(), Label(num_classes=3, encoder="table"), tasks=("image", "masked_image"))
    module.loss(batch(), step()).backward()
    assert [n for n, p in module.named_parameters() if p.requires_grad and p.grad is None] == []
    frozen = {n.rsplit(".", 1)[0] for n, p in module.named_parameters() if not p.requires_grad}
    assert frozen == {"network.encoders.label.linear", "network.heads.label.linear"}


# Sampling.


def test_missing_modalities_are_estimated_in_the_step_that_uses_them() -> None:
    module = model(MaskedImage(), Label(num_classes=3, encoder="table"))
    z, t = torch.randn(4, 3, 8, 8), torch.tensor(600)
    output, estimates = module.predict(z, t, {})
    assert set(estimates) == {"masked_image", "label"}
    torch.testing.assert_close(estimates["label"].sum(1), torch.ones(4))
    expected = torch.stack(
        [estimates["masked_image"], module.network.encoders["label"](estimates["label"], module.network.unet)], 1
    )
    torch.testing.assert_close(output[:, 3:], expected.flatten(1, 2))
    everything = given("masked_image", "mask", "label")["conditions"]
    assert not module.predict(z, t, everything)[1]
    assert set(module.predict(z, t, {"label": everything["label"]})[1]) == {"masked_image"}


def test_an_estimate_is_never_an_input_of_the_network() -> None:
    """-X with a missing modality: X = 0 and E = 0, as under a complete mask in training."""
    module = model(MaskedImage(concatenate=True))
    seen: list[Tensor] = []
    run = module.network.run
    module.network.run = lambda x, *rest: seen.append(x) or run(x, *rest)
    missing, estimates = module.generate(given())
    assert all((x[:, 3:] == 0).all() for x in seen)
    assert estimates["masked_image"].shape == (4, 3, 8, 8)  # the head still says what it is
    complete = given("masked_image", "mask")
    complete["conditions"] = {k: torch.zeros_like(v) for k, v in complete["conditions"].items()}
    assert torch.equal(module.predict_step(complete), missing)


@pytest.mark.parametrize("prediction", ["eps", "z0"])
def test_generate_gives_the_images_of_predict_step(prediction: str) -> None:
    module = model(*ALL, embedder=Embedder(), prediction=prediction)
    batches = given("photo", "caption")
    image, estimates = module.generate(batches)
    assert image.dtype == torch.uint8
    assert torch.equal(image, module.predict_step(batches))
    assert set(estimates) == {"masked_image", "label"}


@pytest.mark.parametrize("split", [1, 3])
def test_image_depends_on_its_number_not_on_the_batch(split: int) -> None:
    module = model(MaskedImage(), Label(num_classes=3), sampler=Sampler(name="ddim", num_steps=4, eta=1.0))
    whole = given("masked_image", "mask")
    part = {"index": whole["index"][split:], "conditions": {k: v[split:] for k, v in whole["conditions"].items()}}
    difference = (module.predict_step(whole)[split:].int() - module.predict_step(part).int()).abs()
    assert difference.max() <= 1


@pytest.mark.parametrize("sampler", ["ddim", "spaced-ddpm"])
@pytest.mark.parametrize("concatenate", [False, True])
def test_visible_pixels_are_kept(sampler: str, concatenate: bool) -> None:
    few = Sampler(name=sampler, num_steps=4)  # type: ignore[arg-type]
    options: dict[str, Any] = {"sampler": few, "prediction": "z0"}
    data = batch()
    visible = (data["conditions"]["mask"] > 0).expand(-1, 3, -1, -1)
    kept = model(MaskedImage(concatenate=concatenate), keep_known=True, **options)
    image = kept.predict_step(given("masked_image", "mask"))
    assert (image.int() - data["image"].int())[visible].abs().max() <= 1
    raw = model(MaskedImage(concatenate=concatenate), **options).predict_step(given("masked_image", "mask"))
    assert (raw.int() - data["image"].int())[visible].abs().float().mean() > 10
    assert not torch.equal(image[~visible], raw[~visible])  # what is kept also changes the holes


def test_a_picture_known_in_part() -> None:
    module = model(PairedImage())
    conditions = given("photo")["conditions"]
    part = torch.zeros(4, 1, 8, 8, dtype=torch.uint8)
    part[..., :4] = 255
    output, estimates = module.predict(torch.randn(4, 3, 8, 8), torch.tensor(300), {**conditions, "photo_known": part})
    photo = images.to_float(conditions["photo"])
    torch.testing.assert_close(output[:, 3:, :, :4], photo[..., :4])
    torch.testing.assert_close(output[:, 3:, :, 4:], estimates["photo"][..., 4:])


@pytest.mark.parametrize("name", ["paper", "mean_reverting"])
def test_schedules_that_remember_the_modality_start_from_it(name: str) -> None:
    module = model(MaskedImage(), aggregation=name)
    known = given("masked_image", "mask")
    generators = lambda: [seeding.image_generator(0, i) for i in range(4)]  # noqa: E731
    noise = torch.stack([torch.randn(3, 8, 8, generator=g) for g in generators()])
    encodings = module.encode_conditions(known["conditions"])[GIVEN].encodings
    start = module.initial_latents(known, generators())
    torch.testing.assert_close(start, noise + aggregate(module.shifts, encodings, 999))
    with pytest.raises(ValueError, match=f"masked_image is missing, and with aggregation '{name}'.*collapse"):
        module.predict_step(given())
    assert model(MaskedImage(), PairedImage(aggregation="none"), aggregation=name).predict_step(known).shape == (
        4,
        3,
        8,
        8,
    )


def test_modalities_may_differ_in_aggregation() -> None:
    module = model(MaskedImage(aggregation="mean_reverting"), PairedImage(aggregation="none"))
    assert float(module.shifts[0][999]) == pytest.approx(1, abs=1e-3)
    assert not module.shifts[1].any()


def test_the_ordinary_noisy_image_inside_z() -> None:
    """What classifier guidance asks about: z_t without the encodings that the step used."""
    module = model(MaskedImage(), PairedImage(), prediction="z0")
    z, t, conditions = torch.randn(4, 3, 8, 8), torch.tensor(500), given("photo")["conditions"]
    output, estimates = module.predict(z, t, conditions)
    encodings = torch.stack([estimates["masked_image"], images.to_float(conditions["photo"])], 1)
    torch.testing.assert_close(module.without_shift(z, t, output), z - aggregate(module.shifts, encodings, 500))


def test_learned_variance_reaches_the_scheduler() -> None:
    learned = Sampler(name="spaced-ddpm", num_steps=4, variance="learned_range")
    module = model(MaskedImage(), learned_variance=True, sampler=learned)
    assert module.predict(torch.randn(4, 3, 8, 8), torch.tensor(500), {})[0].shape == (4, 9, 8, 8)
    assert module.predict_step(given()).shape == (4, 3, 8, 8)


# Five tasks, embeddings, latents, files.


def test_five_tasks_at_once() -> None:
    modalities = (
        MaskedImage(),
        Label(num_classes=3, encoder="table"),
        Embedding(name="caption", dim=3, source="text", encoder="projection"),
        Embedding(name="random", dim=3, source="text", condition="caption", shuffled=True, encoder="projection"),
    )
    module = model(*modalities, embedder=Embedder())
    loss = module.loss(batch(), step())
    assert torch.isfinite(loss)
    assert module.loss(batch(), step()) == loss
    assert module.loss(batch(), step(1)) != loss
    image, estimates = module.generate(given("label"))
    assert image.shape == (4, 3, 8, 8)
    assert set(estimates) == {"masked_image", "caption", "random"}
    data = module.read(batch()["conditions"])
    assert torch.equal(data["random"].x, data["caption"].x[[3, 0, 1, 2]])  # another image's caption


def test_embedding_of_the_image_in_training_and_of_the_text_at_sampling() -> None:
    module = model(Embedding(name="caption", dim=3), embedder=Embedder())
    data = batch()
    trained = module.read(data["conditions"] | {"caption": Embedder().embed_images(data["image"])}, data["image"])
    unnamed = module.read({}, data["image"])
    torch.testing.assert_close(trained["caption"].x, unnamed["caption"].x)
    sampled = module.read({"caption": data["conditions"]["caption"]})
    torch.testing.assert_close(sampled["caption"].x, Embedder().embed_text(data["conditions"]["caption"]))
    assert module.read({}) == {}


class HalvingAutoencoder(torch.nn.Module):
    """Stands for a VAE: means over 2x2 pixels, and a fourth channel."""

    class config:  # noqa: N801
        image_size, latent_shape = 8, (4, 4, 4)

    def encode(self, image: Tensor, noise: Tensor) -> Tensor:
        small = torch.nn.functional.avg_pool2d(image, 2)
        return torch.cat([small, small.mean(1, keepdim=True)], 1) + noise

    def decode(self, latent: Tensor) -> Tensor:
        return torch.nn.functional.interpolate(latent[:, :3], scale_factor=2)


def test_latents() -> None:
    network = UNetConfig(
        in_channels=8, out_channels=4, channels=8, channel_mult=(1, 2), num_res_blocks=1, attention_levels=(),
        num_heads=1, norm_groups=4,
    )  # fmt: skip
    config = MTDiffusionConfig(
        network=network, image_size=8, modalities=(PairedImage(concatenate=True),), optimizer=OptimizerConfig(lr=1e-3)
    )
    module = randomized(MTDiffusion(config, autoencoder=HalvingAutoencoder(), sampler=replace(FEW, clip=False))).eval()
    assert torch.isfinite(module.loss(batch(), step()))
    assert module.predict_step(given("photo")).shape == (4, 3, 8, 8)
    with pytest.raises(ValueError, match="needs pixels"):
        module.predict_step(
            {
                "index": torch.arange(4),
                "conditions": {**given("photo")["conditions"], "photo_known": batch()["image"][:, :1]},
            }
        )


def test_frozen_helpers_are_in_no_file(tmp_path) -> None:
    module = model(Embedding(dim=3), embedder=torch.nn.Linear(2, 2))
    checkpoints.save_weights(module, tmp_path / "w.safetensors", {})
    checkpoints.load_weights(module, tmp_path / "w.safetensors")
    checkpoint = {"state_dict": module.state_dict()}
    module.on_save_checkpoint(checkpoint)
    assert not any(k.startswith("embedder") for k in checkpoint["state_dict"])
    module.on_load_checkpoint(checkpoint)
    module.load_state_dict(checkpoint["state_dict"], strict=True)


# Errors.


@pytest.mark.parametrize(
    ("modalities", "options", "message"),
    [
        ((MaskedImage(), MaskedImage()), {}, "distinct names"),
        ((MaskedImage(name="image"),), {}, "distinct names"),
        ((MaskedImage(),), {"tasks": ("label",)}, r"tasks are \('label',\); expected one or more of"),
        ((MaskedImage(),), {"tasks": ()}, "tasks are"),
        ((MaskedImage(),), {"learned_variance": True, "prediction": "z0"}, "learned_variance needs"),
        ((MaskedImage(),), {"min_snr": 0.0}, "min_snr=0.0; expected a number above 0"),
    ],
)
def test_configs_that_make_no_sense(modalities, options, message) -> None:
    with pytest.raises(ValueError, match=message):
        model(*modalities, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"renew_every": 0}, "renew_every=0 .* expected at least 1 step"),
        ({"renew_every": 8, "encoder": "table"}, "renew_every=8 and encoder='table'"),
        ({"head": "output"}, "head='output' and classifier=None"),
        ({"classifier": mini_classifier(3)}, "head='middle' and classifier=.*: \"output\" alone takes one"),
        ({"head": "output", "classifier": mini_classifier(4)}, "3 classes, its classifier 4: make them equal"),
    ],
)
def test_labels_that_make_no_sense(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Label(num_classes=3, **options)


def test_images_that_the_network_cannot_halve_are_refused() -> None:
    config = model(MaskedImage()).config
    with pytest.raises(ValueError, match="image_size 9 must be a multiple of 2"):
        replace(config, image_size=9)
    odd = replace(config.network, out_channels=7)
    with pytest.raises(ValueError, match="even number of channels; got 7"):
        replace(config, network=odd, learned_variance=True)


def test_networks_that_cannot_carry_the_modalities() -> None:
    config = model(MaskedImage(concatenate=True)).config
    with pytest.raises(ValueError, match=r"in_channels is 6; expected 3.*\[\]"):
        replace(config, modalities=(MaskedImage(),))
    with pytest.raises(ValueError, match="label has 3 classes .* encoder='table'"):
        replace(config, modalities=(MaskedImage(concatenate=True), Label(num_classes=3)))
    with pytest.raises(ValueError, match="caption has dim 3 .* encoder='projection'"):
        replace(config, modalities=(MaskedImage(concatenate=True), Embedding(name="caption", dim=3)))


def test_batches_that_lack_something() -> None:
    module = model(MaskedImage(), Label(num_classes=3, encoder="table"))
    for missing, message in (("label", r"learns \['label'\], but the batch has"), ("mask", 'without its "mask"')):
        data = batch()
        del data["conditions"][missing]
        with pytest.raises(ValueError, match=message):
            module.loss(data, step())
    with pytest.raises(ValueError, match="labels run from 7 to 7"):
        module.predict_step({"index": torch.arange(2), "conditions": {"label": torch.tensor([7, 7])}})
    with pytest.raises(ValueError, match="pass embedder="):
        model(Embedding(name="caption", dim=3, source="text")).loss(batch(), step())
    with pytest.raises(ValueError, match=r"\[4, 2\]; expected \[B, 3\]"):
        model(Embedding(dim=3)).read({"embedding": torch.zeros(4, 2)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"image": torch.zeros(4, 3, 16, 16, dtype=torch.uint8)},
            r"images are \[4, 3, 16, 16\]; this model has 8 pixels",
        ),
        (
            {"masked_image": torch.zeros(4, 3, 16, 16, dtype=torch.uint8)},
            r'"mask" is .* \[4, 1, 8, 8\]; expected .*16, 16',
        ),
        (
            {"mask": torch.zeros(4, 3, 8, 8, dtype=torch.uint8)},
            r'"mask" is .* \[4, 3, 8, 8\]; expected torch.uint8 \[4, 1, 8, 8\]',
        ),
        ({"mask": torch.ones(4, 1, 8, 8)}, r'"mask" is torch.float32'),
        (
            {"photo": torch.zeros(4, 3, 4, 4, dtype=torch.uint8)},
            r"photo becomes \[4, 3, 4, 4\]; .* need \[4, 3, 8, 8\]",
        ),
        ({"label": torch.tensor([0, 1])}, r"label becomes \[2, 3, 8, 8\]; .* need \[4, 3, 8, 8\]"),
        ({"label": torch.tensor([0, 1, 2, 3])}, "labels run from 0 to 3; the network has 3 classes"),
        ({"label": torch.zeros(4)}, r"labels are torch.float32 \[4\]; expected torch.int64"),
        ({"caption": torch.full((4, 3), torch.nan)}, "caption has vectors that are not finite"),
    ],
)
def test_batches_of_another_shape_type_or_range(change, message: str) -> None:
    caption = Embedding(name="caption", dim=3, encoder="projection")
    module = model(MaskedImage(), PairedImage(), Label(num_classes=3, encoder="table"), caption, embedder=Embedder())
    data = batch()
    data["image"] = change.get("image", data["image"])
    data["conditions"] |= {name: value for name, value in change.items() if name != "image"}
    with pytest.raises(ValueError, match=message):
        module.loss(data, step())
    if "image" not in change:  # the same at sampling
        with pytest.raises(ValueError, match=message):
            module.predict_step({"index": data["index"], "conditions": {**data["conditions"]}})


def test_weights_shares_and_kept_pixels_that_make_no_sense() -> None:
    for options in ({"weight": -0.1}, {"hide_fraction": 1.5}):
        with pytest.raises(ValueError, match="masked_image has weight .* expected a weight of at least 0"):
            MaskedImage(**options)
    with pytest.raises(ValueError, match=r"keep_known keeps .* the batch knows \['photo'\]: give \"masked_image\""):
        model(MaskedImage(), PairedImage(), keep_known=True).predict_step(given("photo"))


def test_a_loss_that_is_not_finite_stops_the_training() -> None:
    module = model(MaskedImage())
    module.network.unet.out_norm.weight.data.fill_(torch.nan)
    with pytest.raises(ValueError, match="The loss is nan at step 0"):
        module.training_step(batch(), 0)


@pytest.mark.parametrize(
    ("aggregation", "precision", "refused"),
    [
        ("paper", "16-mixed", True),
        ("paper", "bf16-mixed", True),
        ("paper", "32-true", False),
        ("consistent", "16-mixed", False),
        ("mean_reverting", "bf16-mixed", False),
    ],
)
def test_the_printed_weights_are_refused_in_16_bit(
    aggregation: str, precision: str, refused: bool, monkeypatch
) -> None:
    module = model(MaskedImage(), aggregation=aggregation)
    monkeypatch.setattr(MTDiffusion, "trainer", SimpleNamespace(precision=precision))
    with pytest.raises(ValueError, match="further apart than the noise") if refused else nullcontext():
        module.on_fit_start()


@pytest.mark.parametrize(
    ("modalities", "calls"),
    [
        ((Label(num_classes=3, encoder="table"),), 1),
        ((Label(num_classes=3),), 2),
        ((Label(num_classes=3), Embedding(name="caption", dim=3, source="text")), 3),
    ],
)
def test_declared_calls_are_made(modalities, calls) -> None:
    """The U-Net as encoder is asked again in every step about what is estimated."""
    module, rows = model(*modalities), []
    module.network.unet.out_conv.register_forward_pre_hook(lambda _, inputs: rows.append(len(inputs[0])))
    module.predict_step({"index": torch.arange(2), "conditions": {}})
    assert module.config.calls_per_step == calls
    assert module.config.frozen_calls == calls - 1
    assert sum(rows) == 2 * FEW.num_steps * calls
