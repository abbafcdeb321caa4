"""The lecture's table: equal budgets, the right model for each label, numbers that are measured."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from datamodules.digits import Digits
from datamodules.mini.image_layouts import write_digits
from experiments import conditioning
from experiments.core import costs
from experiments.figures import galleries
from experiments.protocols import costs as measured_costs
from experiments.protocols.catalogue import by_name
from experiments.protocols.samples import Samples
from experiments.recipes import conditioning as recipes
from experiments.recipes.settings import lecture as settings
from experiments.runs import SampleRun
from lightning_mmdiff.methods.label_sampling import SampleByLabel
from lightning_mmdiff.models.denoiser import DenoiserConfig
from lightning_mmdiff.models.noisy_classifier import NoisyClassifier

PROFILES = ("smoke", "mini", "paper")


def samples(profile, seed: int = 0) -> dict[str, SampleRun]:
    """The measured rows by label."""
    return {row.label: row.sample for row in conditioning.table(profile, seed).rows if row.sample}


def of_budget(profile, budget: int) -> dict[str, SampleRun]:
    """The rows of one budget by their method."""
    end = f", {budget} steps"
    return {label.removesuffix(end): run for label, run in samples(profile).items() if label.endswith(end)}


OTHERS = (conditioning.GAN, conditioning.GAN_FILM, conditioning.VAE, conditioning.VAE_FILM)
FULL = settings.MINI.budgets[0]


@pytest.mark.parametrize("profile", PROFILES)
def test_rows_of_a_group_have_the_same_budget(profile) -> None:
    trainings = set()
    for budget in settings.of(profile).budgets:
        rows = of_budget(profile, budget)
        others = {label: rows.pop(label) for label in OTHERS if label in rows}
        assert (len(rows), len(others)) == (7, 4 if budget == settings.of(profile).budgets[0] else 0)
        assert {(m.trainer.max_steps, m.batch_size) for run in others.values() for m in run.needs} <= {
            (budget, settings.of(profile).batch_size)
        }
        for label, run in rows.items():
            models = run.needs
            steps = sum(m.trainer.max_steps for m in models)
            assert (steps, {m.batch_size for m in models}) == (budget, {settings.of(profile).batch_size}), label
            for trained in models:
                model = trained.model
                assert isinstance(model, DenoiserConfig)
                assert model.optimizer.decay_steps == trained.trainer.max_steps
                assert model.optimizer.warmup_steps <= trained.trainer.max_steps / 4
                rest = (model.prediction, model.min_snr, model.schedule, model.optimizer.lr, trained.trainer.ema_decay)
                trainings.add(rest)
    assert len(trainings) == 1
    measured = [r for r in samples(profile).values() if not r.method.is_real]
    assert len({(r.data, r.num_images) for r in measured}) == 1
    assert len({r.sampler for r in measured if r.sampler}) == 1


@pytest.mark.parametrize("profile", PROFILES)
def test_parameters_are_about_equal_but_for_ten_full_models(profile) -> None:
    rows = of_budget(profile, settings.of(profile).budgets[0])
    count = {label: measured_costs.trained_parameters(run.needs) for label, run in rows.items()}
    none = count.pop(conditioning.NONE)
    assert all(count.pop(label) < none for label in OTHERS)
    assert count.pop(conditioning.TEN) == 10 * none
    assert all(none <= c <= 1.15 * none for c in count.values()), count


def test_model_u_has_seen_digit_u_alone() -> None:
    for label in (conditioning.TEN, conditioning.TEN_SMALL):
        run = of_budget("mini", FULL)[label]
        assert isinstance(run.method, SampleByLabel)
        assert [model.data[0].only_class for model in run.needs] == list(range(10))
        assert all(model.data[0].conditions == () for model in run.needs)
        assert costs.evaluations(run) == costs.evaluations(
            of_budget("mini", FULL)[conditioning.NONE]
        )  # one call an image


def test_seeds_change_training_and_sampling_alone() -> None:
    first, second = samples("mini", 0), samples("mini", 1)
    for label, run in first.items():
        other = second[label]
        for mine, theirs in zip(run.needs, other.needs, strict=True):
            assert replace(theirs, name=mine.name, seed=0) == mine
        assert replace(other, name=run.name, seed=0, method=run.method) == run
    assert first["real images"] == second["real images"]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Digits:
    root = tmp_path_factory.mktemp("data") / "digits"
    write_digits(root)
    module = Digits(root=root, image_size=8, batch_size=8, conditions=("label",))
    module.prepare_data()
    module.setup()
    return module


def evaluation(folder: Path, data: Digits, images: np.ndarray) -> Samples:
    """Of a run that has sampled ``images``, by an evaluator that was never trained."""
    run = replace(of_budget("mini", FULL)[conditioning.FILMED], num_images=len(images), shard_size=len(images))
    (folder / "samples").mkdir()
    np.save(folder / "samples" / "00000.npy", images)
    evaluator = recipes.evaluator("smoke")
    return Samples(folder, run, {evaluator.name: NoisyClassifier(evaluator.model).eval()}, data)


def test_the_test_digits_themselves_have_distance_zero_and_the_judges_own_accuracy(tmp_path, data) -> None:
    images = data.test.batch(range(297))
    found = evaluation(tmp_path, data, images["image"].numpy())
    assert by_name("FD-DigitClassifier").measure(found).value == pytest.approx(0, abs=1e-6)
    evaluator = found.evaluators["digit-classifier-8"]
    logits = evaluator(images["image"].float() / 127.5 - 1, torch.zeros(297))
    right = logits.argmax(dim=1) == images["conditions"]["label"]
    assert by_name("Label-DigitClassifier").measure(found).value == pytest.approx(right.double().mean().item())


def test_other_pictures_are_farther_away(tmp_path, data) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (297, 3, 8, 8), np.uint8)
    digits = data.train.batch(range(297))["image"].numpy()
    distances = []
    for name, images in (("noise", noise), ("digits", digits)):
        (tmp_path / name).mkdir()
        distances.append(by_name("FD-DigitClassifier").measure(evaluation(tmp_path / name, data, images)).value)
    assert distances[0] > 10 * distances[1] > 0


def test_a_sheet_shows_the_digits_in_order(tmp_path, data) -> None:
    found = evaluation(tmp_path, data, data.test.batch(range(50))["image"].numpy())
    numbers = galleries.shown(found)
    labels = data.test.batch(range(297))["conditions"]["label"].tolist()
    assert [labels[i] for i in numbers] == list(range(10))
    assert numbers == [labels.index(digit) for digit in range(10)]
    strip = next(iter(galleries.condition_strips(found)))
    assert galleries.captions(found) == tuple(map(str, range(10)))
    assert np.array_equal(strip.pictures.transpose(0, 3, 1, 2), found.images[numbers].numpy())


def test_time_is_what_was_recorded_and_real_images_cost_nothing(tmp_path) -> None:
    run, real = of_budget("mini", FULL)[conditioning.FILMED], samples("mini")["real images"]
    generated, originals = (Samples(tmp_path, r, {}, None) for r in (run, real))  # type: ignore[arg-type]
    milliseconds, parameters = by_name("MillisecondsPerImage"), by_name("MillionParameters")
    with pytest.raises(FileNotFoundError, match="no record of how long sampling took"):
        milliseconds.measure(generated)
    (tmp_path / "provenance.json").write_text(json.dumps({"stage": {"sample": {"seconds": 29.7}}}))
    result = milliseconds.measure(generated)
    assert (result.value, result.n) == (pytest.approx(100), 297)
    assert parameters.measure(generated).value == pytest.approx(1.524107)
    assert [p.measure(originals).value for p in (parameters, milliseconds)] == [0, 0]
