"""Classifier guidance in a world with closed forms: classes are Gaussians, and noise and classifier are exact."""

import dataclasses

import pytest
import torch
from tiny import denoise, tiny_denoiser

from lightning_mmdiff import images, seeding
from lightning_mmdiff.methods.classifier_guidance import (
    ClassifierGuided,
    GuideByClassifier,
    guide,
    log_likelihood_gradient,
)
from lightning_mmdiff.methods.mt_diffusion.modalities import MaskedImage
from lightning_mmdiff.methods.mt_diffusion.model import MTDiffusion, MTDiffusionConfig
from lightning_mmdiff.methods.single import Denoise
from lightning_mmdiff.models.noisy_classifier import NoisyClassifier, NoisyClassifierConfig
from lightning_mmdiff.networks.classifier import ClassifierConfig
from lightning_mmdiff.networks.unet import UNetConfig
from lightning_mmdiff.optimization import OptimizerConfig
from lightning_mmdiff.released.catalogue import Released
from lightning_mmdiff.sampling import SamplingModule
from lightning_mmdiff.schedules import Sampler, cosine, linear

MEANS, VARIANCE = torch.tensor([-0.8, 0.3, 0.9], dtype=torch.float64), 0.2
"""Mean of each of three equally frequent classes, and their common variance; one pixel."""


class ExactNoise(SamplingModule):
    """eps(z_t) of the mixture of all classes; of the label's class where ``given``."""

    given = False
    raw_variance = 0

    def predict_noise(self, z, t, conditions):
        alpha, sigma = self.schedule.coefficients(t, z)
        distance = z - alpha * MEANS.to(z).view(1, 3, 1, 1)  # [B, 3, 1, 1]
        total = alpha**2 * VARIANCE + sigma**2
        weight = (-0.5 * distance**2 / total).softmax(dim=1)
        if self.given:
            weight = torch.nn.functional.one_hot(conditions["label"], 3).to(z).view(-1, 3, 1, 1)
        eps = sigma / total * (weight * distance).sum(1, keepdim=True)
        return torch.cat([eps, *[torch.full_like(eps, 0.3)] * self.raw_variance], dim=1)


class ExactClassifier(torch.nn.Module):
    """Logits of p(y | z_t), [B, 3]."""

    def __init__(self, schedule):
        super().__init__()
        self.schedule = schedule

    def forward(self, z, t):
        alpha, sigma = self.schedule.coefficients(t, z)
        distance = z.flatten(1) - alpha * MEANS.to(z)
        return -0.5 * distance**2 / (alpha**2 * VARIANCE + sigma**2)


class Silent(torch.nn.Module):
    def forward(self, z, t):
        raise AssertionError("the classifier was called")


def network(num_classes: int, image_size: int, in_channels: int) -> ClassifierConfig:
    return ClassifierConfig(
        num_classes=num_classes, image_size=image_size, in_channels=in_channels, channels=8, channel_mult=(1,),
        num_res_blocks=1, attention_levels=(), head_channels=8, norm_groups=4,
    )  # fmt: skip


def classifier(config: ClassifierConfig, **options) -> NoisyClassifier:
    torch.manual_seed(0)
    optimizer = OptimizerConfig(lr=1e-3)
    return NoisyClassifier(NoisyClassifierConfig(network=config, optimizer=optimizer, **options))


def exact_classifier(schedule: str = "linear") -> NoisyClassifier:
    module = classifier(network(3, 1, 1), schedule=schedule)
    module.network = ExactClassifier(module.schedule)
    return module


def exact_model(sampler: Sampler, **attributes) -> ExactNoise:
    model = ExactNoise(sampler=sampler, schedule=linear(), shape=(1, 1, 1))
    for name, value in attributes.items():
        setattr(model, name, value)
    return model


def sample(module: SamplingModule, labels: torch.Tensor) -> torch.Tensor:
    """z_0 in float64, [B]; the noise of the samplers is the same in each call."""
    z = torch.randn(len(labels), 1, 1, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    z = (z - z.mean()) / z.std()  # so that the only error is the solver's
    batch = {"index": torch.arange(len(labels)), "conditions": {"label": labels}}
    generators = [torch.Generator().manual_seed(0)]  # one for all: diffusers takes either
    with torch.inference_mode():
        return denoise(
            lambda z, t: module.predict_noise(z, t, batch["conditions"]), module.scheduler(batch), z,
            module.sampler.num_steps, generators,
        ).flatten()  # fmt: skip


DDIM = Sampler(name="ddim", num_steps=200, clip=False)
ANCESTRAL = Sampler(name="spaced-ddpm", num_steps=300, clip=False)


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_unit_scale_recovers_mean_and_variance_of_the_class(label, schedule):
    """Also with a classifier of another noise schedule: it is asked at the same signal-to-noise ratio."""
    labels = torch.full((1000,), label)
    guided = sample(ClassifierGuided(exact_model(DDIM), exact_classifier(schedule), scale=1.0), labels)
    assert guided.mean().item() == pytest.approx(MEANS[label].item(), abs=0.01)
    assert guided.var().item() == pytest.approx(VARIANCE, rel=0.05)  # DDIM in 200 steps


def test_guided_noise_is_that_of_the_class():
    guided = ClassifierGuided(exact_model(DDIM), exact_classifier(), scale=1.0)
    exact = exact_model(DDIM, given=True)
    conditions = {"label": torch.tensor([0, 1, 2, 1])}
    z = torch.randn(4, 1, 1, 1, dtype=torch.float64)
    for t in (0, 350, 999):
        t = torch.tensor(t)
        torch.testing.assert_close(guided.predict_noise(z, t, conditions), exact.predict_noise(z, t, conditions))


@pytest.mark.parametrize("variance", ["fixed_small", "fixed_large", "learned_range"])
def test_moving_the_mean_recovers_the_class(variance):
    sampler = dataclasses.replace(ANCESTRAL, variance=variance)
    model = exact_model(sampler, raw_variance=int(variance == "learned_range"))
    guided = sample(ClassifierGuided(model, exact_classifier(), scale=1.0, form="mean"), torch.full((2000,), 2))
    assert guided.mean().item() == pytest.approx(MEANS[2].item(), abs=0.04)
    assert guided.var().item() == pytest.approx(VARIANCE, rel=0.1)


@pytest.mark.parametrize("variance", ["fixed_small", "fixed_large", "learned_range"])
def test_the_mean_moves_by_the_variance_times_the_gradient(variance):
    sampler = dataclasses.replace(ANCESTRAL, num_steps=10, variance=variance)
    model = exact_model(sampler, raw_variance=int(variance == "learned_range"))
    labels = torch.tensor([0, 2])
    batch = {"index": torch.arange(2), "conditions": {"label": labels}}
    guided = ClassifierGuided(model, exact_classifier(), scale=3.0, form="mean")
    z = torch.randn(2, 1, 1, 1, dtype=torch.float64)
    plain, moved = model.scheduler(batch), guided.scheduler(batch)
    for scheduler in (plain, moved):
        scheduler.set_timesteps(10)
    t, s = moved.timesteps[4], moved.timesteps[5]
    output = guided.predict_noise(z, t, batch["conditions"])
    ours, theirs = (x.step(output, t, z, [torch.Generator().manual_seed(i) for i in range(2)]) for x in (moved, plain))
    alpha_bar, previous = linear().alpha_bar[t], linear().alpha_bar[s]
    beta = 1 - alpha_bar / previous
    beta_tilde = beta * (1 - previous) / (1 - alpha_bar)
    between = beta**0.65 * beta_tilde**0.35  # raw 0.3: fraction (0.3 + 1) / 2 of the logarithms
    expected = {"fixed_small": beta_tilde, "fixed_large": beta, "learned_range": between}[variance]
    shift = 3 * expected * guided.gradient(z, t, output, labels)
    torch.testing.assert_close(ours.prev_sample - theirs.prev_sample, shift, atol=1e-9, rtol=1e-6)


class TwoPoints(ExactNoise):
    """Pixels of -1 and 1, equally often; z_0 is overestimated by a fifth, so that clipping it matters."""

    def predict_noise(self, z, t, conditions):
        alpha, sigma = self.schedule.coefficients(t, z)
        return (z - alpha * 1.2 * (alpha * z / sigma**2).tanh()) / sigma


class TwoPointsClassifier(ExactClassifier):
    """Class 2 has 1 with probability .8, class 0 with .2, class 1 with .5."""

    def forward(self, z, t):
        alpha, sigma = self.schedule.coefficients(t, z)
        one = (2 * alpha * z / sigma**2).sigmoid().flatten(1)
        return (0.2 + 0.3 * torch.arange(3).to(z) * one + (0.6 - 0.3 * torch.arange(3).to(z)) * (1 - one)).log()


@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize("scale", [1.0, 4.0, 10.0])
def test_guided_ddim_is_that_of_adms_code(scale, clip):
    """ADM clips z_0, recomputes eps, adds the gradient and steps without clipping again; written down by hand."""
    model = TwoPoints(sampler=Sampler(name="ddim", num_steps=25, clip=clip), schedule=linear(), shape=(1, 1, 1))
    guide_by = classifier(network(3, 1, 1), schedule="linear")
    guide_by.network = TwoPointsClassifier(guide_by.schedule)
    guided, labels = ClassifierGuided(model, guide_by, scale=scale), torch.full((200,), 2)
    z = torch.randn(len(labels), 1, 1, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    z = (z - z.mean()) / z.std()
    scheduler = model.scheduler({})
    scheduler.set_timesteps(25)
    timesteps = scheduler.timesteps.tolist()
    for t, s in zip(timesteps, [*timesteps[1:], None]):
        alpha, sigma = linear().alpha[t], linear().sigma[t]
        alpha_s, sigma_s = (
            (torch.tensor(1.0), torch.tensor(0.0)) if s is None else (linear().alpha[s], linear().sigma[s])
        )
        z0 = (z - sigma * model.predict_noise(z, torch.tensor(t), {})) / alpha
        eps = (z - alpha * (z0.clamp(-1, 1) if clip else z0)) / sigma
        eps = eps - scale * sigma * log_likelihood_gradient(lambda x: guide_by.network(x, torch.tensor(t)), z, labels)  # noqa: B023
        z = alpha_s * (z - sigma * eps) / alpha + sigma_s * eps
    torch.testing.assert_close(sample(guided, labels), z.flatten(), atol=1e-5, rtol=0)  # diffusers' tables are float32
    assert model.sampler.clip == guided.sampler.clip == clip


class Biased(ExactClassifier):
    """Exact but for a slope of the second class's logit, as a trained network has everywhere."""

    def forward(self, z, t):
        return super().forward(z, t) + z.flatten(1) * torch.tensor([0.0, 0.01, 0.0]).to(z)


@pytest.mark.parametrize("clip", [True, False])
def test_a_classifiers_error_where_there_is_no_signal_does_not_reach_the_sample(clip):
    """A cosine schedule begins at alpha = 5e-5, where a guided z_0 is off by 1 / alpha times the error."""
    sampler = Sampler(name="ddim", num_steps=25, clip=clip)
    exact, biased = exact_classifier("cosine"), exact_classifier("cosine")
    biased.network = Biased(biased.schedule)
    labels = torch.full((200,), 1)
    plain, off = (
        sample(ClassifierGuided(exact_model(sampler, schedule=cosine()), guide_by, scale=1.0), labels)
        for guide_by in (exact, biased)
    )
    assert (off - plain).abs().max() < 0.05
    assert off.mean().item() == pytest.approx(MEANS[1].item(), abs=0.05)


def test_the_form_is_that_of_adms_two_samplers():
    denoiser, evaluator = Released("stable_diffusion_2"), Released("clip_h")  # names; any two
    trained = {denoiser: tiny_denoiser(spatial=()), evaluator: classifier(network(2, 8, 3))}
    config = GuideByClassifier(method=Denoise(model=denoiser), classifier=evaluator)
    for name, form in (("ddim", "score"), ("unipc", "score"), ("spaced-ddpm", "mean")):
        assert config.build(trained.__getitem__, sampler=Sampler(name=name, num_steps=3), seed=0).form == form


def test_the_classifier_does_not_see_what_a_method_mixes_into_z():
    class Mixed(ExactNoise):
        """z_t is shifted by 3 (MT-Diffusion shifts it by its encodings)."""

        def predict_noise(self, z, t, conditions):
            return super().predict_noise(z - 3, t, conditions)

        def without_shift(self, z, t, output):
            return z - 3

    mixed = Mixed(sampler=DDIM, schedule=linear(), shape=(1, 1, 1))
    plain, z, t = exact_model(DDIM), torch.randn(2, 1, 1, 1), torch.tensor(500)
    ours, theirs = (ClassifierGuided(m, exact_classifier(), scale=2.0) for m in (mixed, plain))
    conditions = {"label": torch.tensor([0, 1])}
    torch.testing.assert_close(ours.predict_noise(z + 3, t, conditions), theirs.predict_noise(z, t, conditions))


def test_of_mt_diffusion_the_classifier_sees_the_image_without_its_encodings():
    config = MTDiffusionConfig(
        network=UNetConfig(
            in_channels=3, out_channels=3, channels=8, channel_mult=(1,), num_res_blocks=1, attention_levels=(),
            num_heads=1, norm_groups=4,
        ),
        image_size=8, modalities=(MaskedImage(concatenate=False),), optimizer=OptimizerConfig(lr=1e-3),
    )  # fmt: skip
    model = MTDiffusion(config).eval()
    conditions = {
        "masked_image": torch.full((2, 3, 8, 8), 200, dtype=torch.uint8),
        "mask": torch.full((2, 1, 8, 8), 255, dtype=torch.uint8),
    }
    y, t = torch.randn(2, 3, 8, 8), torch.tensor(600)
    z = y + model.shifts[0, 600].float() * images.to_float(conditions["masked_image"])
    assert (z - y).abs().min() > 0.05
    torch.testing.assert_close(model.without_shift(z, t, model.predict_noise(z, t, conditions)), y)


def test_learned_variance_is_left_alone():
    model = exact_model(dataclasses.replace(ANCESTRAL, variance="learned_range"), raw_variance=1)
    guided = ClassifierGuided(model, exact_classifier(), scale=2.0)
    z, t, conditions = torch.randn(2, 1, 1, 1), torch.tensor(500), {"label": torch.tensor([0, 1])}
    plain, ours = model.predict_noise(z, t, conditions), guided.predict_noise(z, t, conditions)
    assert torch.equal(plain[:, 1:], ours[:, 1:])
    sigma = linear().sigma[500].float()
    expected = guide(plain[:, :1], guided.gradient(z, t, plain, conditions["label"]), sigma, 2.0)
    torch.testing.assert_close(ours[:, :1], expected)
    assert (ours[:, :1] - plain[:, :1]).abs().min() > 1e-3


@pytest.mark.parametrize(
    ("sampler", "form"),
    [(Sampler(name="ddim", num_steps=3), "score"), (Sampler(name="spaced-ddpm", num_steps=3), "mean")],
)
def test_scale_zero_is_the_model_and_never_calls_the_classifier(sampler, form):
    model = tiny_denoiser(spatial=())
    model.sampler = sampler
    evaluator = classifier(network(2, 8, 3))
    evaluator.network = Silent()
    batch = {"index": torch.arange(3), "conditions": {"label": torch.tensor([0, 1, 0])}}
    assert torch.equal(
        ClassifierGuided(model, evaluator, scale=0.0, form=form).predict_step(batch), model.predict_step(batch)
    )
    with pytest.raises(AssertionError, match="was called"):
        ClassifierGuided(model, evaluator, scale=1.0, form=form).predict_step(batch)


@pytest.mark.parametrize("form", ["score", "mean"])
def test_an_image_does_not_depend_on_its_batch_also_in_inference_mode(form):
    model = tiny_denoiser(spatial=())
    model.sampler = Sampler(name="spaced-ddpm", num_steps=4)
    guided = ClassifierGuided(model, classifier(network(2, 8, 3)), scale=5.0, form=form)
    with torch.inference_mode():  # as Trainer.predict: the batch is made there too
        index, labels = torch.arange(4), torch.tensor([0, 1, 1, 0])
        whole = guided.predict_step({"index": index, "conditions": {"label": labels}})
        part = guided.predict_step({"index": index[1:], "conditions": {"label": labels[1:]}})
    assert (whole[1:].int() - part.int()).abs().max() <= 1
    plain = model.predict_step({"index": index})
    assert (plain.int() - whole.int()).abs().max() > 1


def test_the_gradient_is_by_the_image_of_its_row():
    evaluator = classifier(network(3, 8, 3))
    z = torch.randn(2, 3, 8, 8, generator=seeding.generator("z"))
    gradient = log_likelihood_gradient(lambda x: evaluator(x, torch.tensor(9)), z, torch.tensor([2, 0]))
    step = 1e-2 * torch.randn(2, 3, 8, 8, generator=seeding.generator("step"))

    def log_likelihood(x):
        return evaluator(x, torch.tensor(9)).log_softmax(1)[torch.arange(2), torch.tensor([2, 0])]

    with torch.no_grad():
        difference = (log_likelihood(z + step) - log_likelihood(z - step)) / 2
    torch.testing.assert_close((gradient * step).sum(dim=(1, 2, 3)), difference, atol=1e-5, rtol=1e-2)
    assert all(p.grad is None for p in evaluator.parameters())


def test_errors():
    model = tiny_denoiser(spatial=())
    evaluator = classifier(network(2, 8, 3))
    for change, message in (
        ({"scale": -1.0}, "scale must be 0 or more"),
        ({"classifier": classifier(network(2, 4, 3))}, "reads 3 x 4 x 4, but the model samples 3 x 8 x 8"),
        ({"classifier": classifier(network(2, 8, 3), noised=False)}, "noised=True"),
        ({"form": "mean"}, "needs the sampler spaced-ddpm, got ddim"),
    ):
        with pytest.raises(ValueError, match=message):
            ClassifierGuided(model, **{"classifier": evaluator, "scale": 1.0, **change})
    guided = ClassifierGuided(model, evaluator, scale=1.0)
    with pytest.raises(ValueError, match="needs the condition 'label'"):
        guided.predict_step({"index": torch.arange(2)})
    with pytest.raises(ValueError, match="from 0 to 2; the network has 2 classes"):
        guided.predict_step({"index": torch.arange(2), "conditions": {"label": torch.tensor([0, 2])}})
