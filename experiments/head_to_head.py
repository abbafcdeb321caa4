"""Head to head, a table that no paper has: the same experts, data, seeds and metrics for every way to combine them.

python -m experiments.head_to_head --profile mini
"""

from dataclasses import replace

from experiments.engine.cli import main
from experiments.protocols.catalogue import column
from experiments.recipes.beside_fid import COPIES, KID
from experiments.recipes.collaborative import FID_ALL, MASK, MIOU, TEXT, collaborated, metrics
from experiments.recipes.combinations import across_spaces, collaborators, experts, joint, multi_task, reliability
from experiments.recipes.evaluators import attribute_evaluator, face_parser
from experiments.recipes.ways_to_combine import CLAIMS, ETA_0, NOTE, OWN, ways
from experiments.runs import SampleRun
from experiments.spec import Claim, Profile, Row, Table
from experiments.table9 import ceiling, judged
from lightning_mmdiff.methods.collaborative.generation import Collaborate
from lightning_mmdiff.methods.collaborative.influence import InfluenceConfig
from lightning_mmdiff.methods.composable import Compose
from lightning_mmdiff.methods.config import ExpertUse
from lightning_mmdiff.methods.single import Denoise
from lightning_mmdiff.methods.unite_and_conquer import Unite

AVERAGE, CONSTANT, OVER_TIME = "average (Composable)", "constant reliability, fitted", "reliability over time, fitted"
DIFFUSERS, JOINT, MULTI_TASK = "dynamic diffusers", "one joint model", "MT-Diffusion"
UNITED = "average (Unite and Conquer, w = 1, a = 1/2)"
PLAIN, GUIDED = "No guidance", "Guidance 2"
COSTS = (
    column("Calls", "NetworkCalls"),
    column("GFLOPs", "GigaFlops"),
    column("ms", "MillisecondsPerImage"),
    column("Trained (M)", "MillionParameters-Combination"),
)
NOTES = (
    "Without guidance, uniting (Eq. 10 with w = 1/2) is the plain average; with w = 1 and a = 1/2 it is the average at guidance "
    "2. So Unite and Conquer with constant reliability and Composable are one row each, and its fitted reliability is another.",
    "Fitted: w_i and a_j minimize the denoising loss of the frozen experts on validation images, their sum w fixed by the "
    "group. Validation images are the last of the training images, as many as test images; of the models here only the "
    "autoencoder, and those of mini that embed and judge, are trained on them. So the experts are not those of Table 9.",
    "The joint model and MT-Diffusion train as many steps as both experts and the dynamic diffusers together.",
    "MT-Diffusion reads the mask as a picture and has both in z_t; it is trained without a null condition, so not guided.",
    NOTE,
)


def guided(label: str) -> str:
    """Return the label of the same method's row at guidance 2."""
    return f"{label}, guidance 2"


def rows(profile: Profile, seed: int) -> tuple[Row, ...]:
    """Return one row per way to combine: without guidance, with it, and the ways that need no training."""
    uses, dynamic = experts(profile, seed), collaborators(profile, seed)
    both, multi = joint(profile, seed), multi_task(profile, seed)
    fits = {
        (label, weight): reliability(profile, seed, over_time=over_time, total_weight=weight)
        for label, over_time in ((CONSTANT, False), (OVER_TIME, True))
        for weight in (1.0, 2.0)
    }

    def fitted(label: str, weight: float) -> SampleRun:
        name = fits[label, weight].name.split("-seed")[0]
        return collaborated(profile, f"{name}-faces", Denoise(model=fits[label, weight]))

    multi_sample = collaborated(profile, "mt-mask-text-faces", Denoise(model=multi))
    pictures = replace(multi_sample.data, conditions=("mask_picture", *multi_sample.data.conditions))
    dynamic_guided = Collaborate(model=dynamic, influence=InfluenceConfig(guidance=2.0))
    joint_guided = ExpertUse(run=both, conditions=("mask", "text"), weight=2.0)
    plain = {
        AVERAGE: collaborated(profile, "composable-reduced", Compose(experts=uses)),
        CONSTANT: fitted(CONSTANT, 1.0),
        OVER_TIME: fitted(OVER_TIME, 1.0),
        DIFFUSERS: collaborated(profile, "collaborative-reduced", Collaborate(model=dynamic)),
        JOINT: collaborated(profile, "joint-faces", Denoise(model=both)),
        MULTI_TASK: replace(multi_sample, data=pictures),
    }
    strong = {
        UNITED: collaborated(profile, "united-mask-text", Unite(experts=uses)),
        guided(CONSTANT): fitted(CONSTANT, 2.0),
        guided(OVER_TIME): fitted(OVER_TIME, 2.0),
        guided(DIFFUSERS): collaborated(profile, "collaborative-guided", dynamic_guided),
        guided(JOINT): collaborated(profile, "joint-guided-faces", Unite(experts=(joint_guided,))),
    }
    return (
        *(Row(group=PLAIN, label=label, sample=sample) for label, sample in plain.items()),
        *(Row(group=GUIDED, label=label, sample=sample) for label, sample in strong.items()),
        *ways(profile, uses, across_spaces(profile, seed), collaborated, "mask-text"),
        ceiling(profile),
    )


def claims(profile: Profile) -> tuple[Claim, ...]:
    """Return claims on each step from constant to spatial influence, and on separate experts against a joint model."""
    pairs = (
        ("fitting the reliability beats the average", CONSTANT, AVERAGE),
        ("reliability over time beats a constant one", OVER_TIME, CONSTANT),
        ("dynamic diffusers beat reliability over time", DIFFUSERS, OVER_TIME),
        ("one joint model beats dynamic diffusers at equal training", JOINT, DIFFUSERS),
        ("dynamic diffusers beat the average at guidance 2 (Unite and Conquer)", DIFFUSERS, UNITED),
        ("dynamic diffusers beat the average, both at guidance 2", guided(DIFFUSERS), UNITED),
        ("reliability over time beats the average, both at guidance 2", guided(OVER_TIME), UNITED),
        ("one joint model beats dynamic diffusers, both at guidance 2", guided(JOINT), guided(DIFFUSERS)),
        ("one joint model beats MT-Diffusion", JOINT, MULTI_TASK),
        *CLAIMS,
        ("one joint model beats own latents", JOINT, OWN),
        ("dynamic diffusers beat Eq. 10", DIFFUSERS, ETA_0),
    )
    return tuple(
        Claim(id="ours", text=text, metric=column, better=better, worse=worse)
        for text, better, worse in pairs
        for column in judged(profile)
    )


def table(profile: Profile, seed: int) -> Table:
    """Return the table: quality, consistency and cost of every way to combine the two experts."""
    return Table(
        name="head_to_head",
        title="Mask and text: every way to combine two experts",
        paper="in no paper",
        metrics=(*metrics(profile, FID_ALL, TEXT, MASK, MIOU, KID, COPIES), *COSTS),
        rows=rows(profile, seed),
        claims=claims(profile),
        notes=NOTES,
        evaluators=(*face_parser(profile), *attribute_evaluator(profile)),
    )


if __name__ == "__main__":
    main(table)
