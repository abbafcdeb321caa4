"""The adversarial baselines of the papers' tables; their numbers are in ``settings/baselines.py``."""

from dataclasses import replace
from typing import Literal

from datamodules.config import DataConfig
from datamodules.regimes import Regime
from experiments.recipes.settings.baselines import AdversarialTraining, of
from experiments.recipes.unite_and_conquer import both_conditions
from experiments.runs import TrainRun, seeded
from experiments.spec import Profile

LABELS_TO_FACE = ("SPADE", "OASIS", "Pix2PixHD", "INADE")
"""Rows of Tables 1 and 2 of Unite and Conquer that are made from hard label maps."""
REGIMES: dict[str, Regime] = {"Fine-tuning": "fine_tuning", "Combined": "combined"}
"""The paper's name of each way to train on two data sets."""


def labels_to_face(profile: Profile, seed: int, baseline: str, group: str) -> TrainRun:
    """Return the training of a baseline on the two data sets, of which each lacks the other's map.

    Combined training takes turns; fine-tuning has the first data set, then the second, with the same number of steps.

    Args:
        profile: profile of the run.
        seed: training seed.
        baseline: one of ``LABELS_TO_FACE``.
        group: one of ``REGIMES``.
    """
    training: AdversarialTraining = getattr(of(profile), baseline.lower())
    name = f"{baseline.lower()}-{group.lower()}"
    run = _run(seed, name, training, both_conditions(profile, seed).data)
    regime = REGIMES[group]
    switch = run.trainer.max_steps // 2 if regime == "fine_tuning" else None
    return replace(run, regime=regime, switch_step=switch)


def picture_to_picture(
    profile: Profile, seed: int, baseline: Literal["pix2pix", "CycleGAN"], data: DataConfig
) -> TrainRun:
    """Return the training of a translation of the pictures in ``data``.

    Args:
        profile: profile of the run.
        seed: training seed.
        baseline: pix2pix, or CycleGAN, which ignores which pictures belong together.
        data: pictures and what they are made from.
    """
    training: AdversarialTraining = getattr(of(profile), baseline.lower())
    return _run(seed, f"{data.dataset}-{baseline.lower()}", training, (data,))


def _run(seed: int, name: str, training: AdversarialTraining, data: tuple[DataConfig, ...]) -> TrainRun:
    return TrainRun(
        name=seeded(name, seed), model=training.model, data=data, batch_size=training.batch_size,
        trainer=training.trainer, seed=seed,
    )  # fmt: skip
