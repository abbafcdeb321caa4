"""Runs whose parts do not fit together are refused before anything is trained."""

from dataclasses import replace

import pytest
import small_runs

from experiments.recipes.collaborative import mask_token_expert
from experiments.runs import SampleRun, TrainerConfig, TrainRun
from experiments.spec import plan
from lightning_mmdiff.methods.classifier_guidance import GuideByClassifier
from lightning_mmdiff.methods.collaborative.editing import EditTogether
from lightning_mmdiff.methods.collaborative.imagic import ImagicConfig
from lightning_mmdiff.methods.config import ExpertUse
from lightning_mmdiff.methods.sdedit import EditWithSDEdit
from lightning_mmdiff.methods.single import RealImages
from lightning_mmdiff.methods.unite_and_conquer import Unite
from lightning_mmdiff.schedules import Sampler

EXPERT = small_runs.expert(steps=4)
SAMPLES = small_runs.samples(EXPERT)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TrainerConfig(max_steps=-1, checkpoint_every=1), "max_steps=-1; expected at least 0"),
        (lambda: TrainerConfig(max_steps=1, checkpoint_every=0), "checkpoint_every=0; expected at least 1"),
        (lambda: replace(EXPERT.trainer, devices=0), "devices=0; expected at least 1"),
        (lambda: replace(EXPERT.trainer, ema_decay=1.0), r"ema_decay=1.0; expected a number in \[0, 1\)"),
        (lambda: replace(EXPERT.trainer, gradient_clip_val=0.0), "gradient_clip_val=0.0; expected a number above 0"),
        (lambda: replace(EXPERT, batch_size=0), "batch_size=0; expected at least 1"),
        (lambda: ExpertUse(run=EXPERT, conditions=("hair",), weight=0.0), "weight=0.0; expected a number above 0"),
        (
            lambda: EditTogether(model=EXPERT, name="e", imagic=ImagicConfig(), alpha=0.5, modality=-1),
            "modality=-1; expected at least 0",
        ),
        (lambda: replace(SAMPLES, num_images=0), "num_images=0; expected at least 1"),
        (lambda: replace(SAMPLES, shard_size=0), "shard_size=0; expected at least 1"),
        (lambda: EditWithSDEdit(model=EXPERT, start=1.5), r"start=1.5; expected a number in \[0, 1\]"),
        (
            lambda: GuideByClassifier(method=SAMPLES.method, classifier=EXPERT, scale=-1.0),
            "scale=-1.0; expected at least 0",
        ),
        (lambda: replace(SAMPLES, sampler=None), "Unite needs a sampler"),
        (lambda: replace(SAMPLES, method=RealImages()), "RealImages takes no sampler"),
        (lambda: replace(EXPERT, experts=(EXPERT,)), "DenoiserConfig takes embedder; experts is given"),
        (lambda: replace(mask_token_expert("smoke", 0), autoencoder=None), "takes autoencoder; autoencoder is missing"),
    ],
)
def test_numbers_out_of_range_are_refused(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_sampler_of_latents_does_not_clip() -> None:
    """Fault A9: only the constructor of the model looked at it, and samplers were assigned afterwards."""
    use = ExpertUse(run=mask_token_expert("smoke", 0), conditions=("mask_tokens",))
    free = Sampler(name="ddim", num_steps=2, clip=False)
    latent = replace(SAMPLES, method=Unite(experts=(use,)), sampler=free)
    with pytest.raises(ValueError, match="samples latents, which are not in .* its sampler needs clip=False"):
        replace(latent, sampler=replace(free, clip=True))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": ()}, "max_steps=4, 0 data sets, .* expected at least one step and one data set"),
        ({"trainer": replace(EXPERT.trainer, max_steps=0)}, "max_steps=0, 1 data sets"),
        (
            {"regime": "fine_tuning"},
            "regime='fine_tuning' and switch_step=None; fine-tuning and a switch_step need each other",
        ),
        ({"switch_step": 2}, "regime='combined' and switch_step=2; fine-tuning and a switch_step need each other"),
        ({"regime": "fine_tuning", "switch_step": 2}, "1 data sets, .*switch_step=2; expected two"),
        (
            {"regime": "fine_tuning", "switch_step": 4, "data": (small_runs.HAIR,) * 2},
            "expected two data sets, and a switch before the last step",
        ),
        ({"regime": "mixed", "data": (small_runs.HAIR, small_runs.SKIN)}, "each needs the same conditions"),
        ({"regime": "mixed", "batch_size": 5, "data": (small_runs.HAIR,) * 2}, "the same share of the 5 images"),
        ({"data": (replace(small_runs.HAIR, image_size=32),)}, r"a model of 16 pixels; its data have \[32\]"),
        (
            {"data": (small_runs.SKIN,)},
            r"conditioned on \['hair'\], but its data give \['skin'\]: it would learn without",
        ),
    ],
)
def test_a_training_whose_data_do_not_fit_is_refused_in_the_plan(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plan([small_runs.table_of(small_runs.samples(replace(EXPERT, **change)))])


def test_data_sets_that_take_turns_may_have_a_condition_each() -> None:
    both = small_runs.expert(steps=4, data=(small_runs.HAIR, small_runs.SKIN))
    tuned = replace(both, regime="fine_tuning", switch_step=3)
    for run in (both, tuned):
        assert plan([small_runs.table_of(small_runs.samples(run))])[0] == run


def test_a_learned_variance_is_sampled_of_models_that_learn_it() -> None:
    sampler = Sampler(name="spaced-ddpm", num_steps=4, variance="learned_range")
    with pytest.raises(ValueError, match="its models need learned_variance=True"):
        plan([small_runs.table_of(replace(SAMPLES, sampler=sampler))])


def test_tokens_of_a_latent_expert_need_their_source() -> None:
    run = mask_token_expert("smoke", 0)
    without: TrainRun = replace(run, data=tuple(replace(d, conditions=("caption",), label_size=None) for d in run.data))
    use = ExpertUse(run=without, conditions=("mask_tokens",))
    sample: SampleRun = replace(
        SAMPLES, method=Unite(experts=(use,)), sampler=Sampler(name="ddim", num_steps=2, clip=False)
    )
    with pytest.raises(ValueError, match=r"conditioned on \['mask'\], but its data give \['caption'\]"):
        plan([small_runs.table_of(sample)])


def test_tokens_of_a_mask_are_trained_on_masks_of_their_size() -> None:
    """Fault A5: masks reduced to the image's size first gave tokens other pixels than the released ones."""
    run = mask_token_expert("paper", 0)
    assert [part.size_of("mask") for part in run.data] == [32]
    twice = replace(run, data=tuple(replace(part, label_size=None) for part in run.data))
    with pytest.raises(ValueError, match=r"reads mask at 32 pixels; its data give \[256\]: set their label_size to 32"):
        twice.check()
