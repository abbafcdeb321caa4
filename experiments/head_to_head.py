"""Head to head, a table that no paper has: the same experts, data, seeds and metrics for every way to combine them.

python -m experiments.head_to_head --profile mini
"""

from collections.abc import Sequence
from dataclasses import replace

from experiments.engine.cli import main
from experiments.protocols.catalogue import column
from experiments.recipes.beside_fid import COPIES, KID
from experiments.recipes.collaborative import FID_ALL, MASK, MIOU, TEXT, metrics
from experiments.recipes.combinations import (
    across_spaces,
    bare,
    collaborators,
    compared,
    experts,
    joint,
    multi_task,
    reliability,
    soup_experts,
    weak_experts,
)
from experiments.recipes.evaluators import attribute_evaluator, face_parser
from experiments.recipes.settings import collaborative
from experiments.recipes.ways_to_combine import (
    ACROSS,
    AND,
    AUTOGUIDED,
    COSTS,
    ETA_0,
    ETA_1,
    LANGEVIN,
    NOTE,
    OWN,
    claims_on,
    grouped,
    spread,
    stepped,
    ways,
)
from experiments.runs import SampleRun
from experiments.spec import Agreement, Claim, Profile, Row, Table, our_claims
from experiments.table9 import judged
from lightning_mmdiff.methods.collaborative.generation import Collaborate
from lightning_mmdiff.methods.collaborative.influence import InfluenceConfig
from lightning_mmdiff.methods.combining.autoguidance import UniteAutoguided
from lightning_mmdiff.methods.combining.soup import Soup
from lightning_mmdiff.methods.combining.spaces_sampling import UniteAcrossSpaces
from lightning_mmdiff.methods.composable import Compose
from lightning_mmdiff.methods.config import ExpertUse
from lightning_mmdiff.methods.single import Denoise, RealImages
from lightning_mmdiff.methods.unite_and_conquer import Unite

AVERAGE, CONSTANT, OVER_TIME = "average (Composable)", "constant reliability, fitted", "reliability over time, fitted"
DIFFUSERS, JOINT, MULTI_TASK = "dynamic diffusers", "one joint model", "MT-Diffusion"
SOUP = "weight soup"
PLAIN, GUIDED = "No guidance", "Guidance 2"
NOTES = (
    "Without guidance, uniting (Eq. 10 with w = 1/2) is the plain average; with w = 1 and a = 1/2 it is the average at guidance "
    "2. So Composable is the average without guidance, Eq. 10 that with guidance 2, and fitted reliability is another row.",
    "Fitted: w_i and a_j minimize the denoising loss of the frozen experts on validation images, their sum w fixed by the "
    "group. Validation images are the last of the training images, as many as test images; of the models here only the "
    "autoencoder, and those of mini that embed and judge, are trained on them. So the experts are not those of Table 9.",
    "The joint model and MT-Diffusion train as many steps as both experts and the dynamic diffusers together; the soup's base "
    "and its two experts together as many as both experts. A weak copy is trained for a quarter of its expert's steps.",
    "Both: a pixel and an attribute drawn at random are both right. At paper the text is judged by CLIP, which gives no share.",
    "MT-Diffusion reads the mask as a picture and has both in z_t; it is trained without a null condition, so not guided.",
    NOTE,
)


def guided(label: str) -> str:
    """Return the label of the same method's row at guidance 2."""
    return f"{label}, guidance 2"


def rows(profile: Profile, seed: int) -> tuple[Row, ...]:
    """Return one row per way to combine: without guidance, with it, and the ways that need no training."""
    uses, dynamic = experts(profile, seed), collaborators(profile, seed)
    both, multi, stock = joint(profile, seed), multi_task(profile, seed), soup_experts(profile, seed)
    fits = {
        (label, weight): reliability(profile, seed, over_time=over_time, total_weight=weight)
        for label, over_time in ((CONSTANT, False), (OVER_TIME, True))
        for weight in (1.0, 2.0)
    }

    def fitted(label: str, weight: float) -> SampleRun:
        return compared(profile, f"{bare(fits[label, weight])}-faces", Denoise(model=fits[label, weight]))

    multi_sample = compared(profile, "mt-mask-text-faces", Denoise(model=multi))
    pictures = replace(multi_sample.data, conditions=("mask_picture", *multi_sample.data.conditions))
    dynamic_guided = Collaborate(model=dynamic, influence=InfluenceConfig(guidance=2.0))
    joint_guided = ExpertUse(run=both, conditions=("mask", "text"), weight=2.0)
    plain = {
        AVERAGE: compared(profile, "composable-reduced", Compose(experts=uses)),
        CONSTANT: fitted(CONSTANT, 1.0),
        OVER_TIME: fitted(OVER_TIME, 1.0),
        DIFFUSERS: compared(profile, "collaborative-reduced", Collaborate(model=dynamic)),
        JOINT: compared(profile, "joint-faces", Denoise(model=both)),
        MULTI_TASK: replace(multi_sample, data=pictures),
        SOUP: compared(profile, "soup-faces", Soup(experts=stock)),
    }
    strong = {
        guided(CONSTANT): fitted(CONSTANT, 2.0),
        guided(OVER_TIME): fitted(OVER_TIME, 2.0),
        guided(DIFFUSERS): compared(profile, "collaborative-guided", dynamic_guided),
        guided(JOINT): compared(profile, "joint-guided-faces", Unite(experts=(joint_guided,))),
        guided(SOUP): compared(profile, "soup-guided-faces", Soup(experts=stock, guidance=2.0)),
    }
    across = UniteAcrossSpaces(experts=across_spaces(profile, seed))
    autoguided = UniteAutoguided(experts=uses, weak=weak_experts(profile, seed))
    others = {
        ACROSS: stepped(compared(profile, "mask-text-own-latents-across", across), eta=0.0),
        AUTOGUIDED: stepped(compared(profile, "mask-text-autoguided", autoguided), eta=0.0),
    }
    return (
        *(Row(group=PLAIN, label=label, sample=sample) for label, sample in plain.items()),
        *(Row(group=GUIDED, label=label, sample=sample) for label, sample in strong.items()),
        *grouped({**ways(profile, uses, compared, "mask-text"), **others}),
        Row(group="Ceiling", label="real images", sample=compared(profile, "combined-real", RealImages())),
    )


def claims(profile: Profile, labels: Sequence[str]) -> tuple[Claim, ...]:
    """Return claims on each step from constant to spatial influence, on separate experts, and on ways without training."""
    united = ETA_1 if collaborative.of(profile).samples is None else ETA_0  # with the sampler of the trained ways
    pairs = (
        ("fitting the reliability beats the average", CONSTANT, AVERAGE),
        ("reliability over time beats a constant one", OVER_TIME, CONSTANT),
        ("dynamic diffusers beat reliability over time", DIFFUSERS, OVER_TIME),
        ("one joint model beats dynamic diffusers at equal training", JOINT, DIFFUSERS),
        ("dynamic diffusers beat Eq. 10 (Unite and Conquer)", DIFFUSERS, united),
        ("dynamic diffusers beat Eq. 10, both at guidance 2", guided(DIFFUSERS), united),
        ("reliability over time beats Eq. 10, both at guidance 2", guided(OVER_TIME), united),
        ("one joint model beats dynamic diffusers, both at guidance 2", guided(JOINT), guided(DIFFUSERS)),
        ("one joint model beats MT-Diffusion", JOINT, MULTI_TASK),
        ("one joint model beats own latents", JOINT, OWN),
        ("one joint model at guidance 2 beats Langevin corrections", guided(JOINT), LANGEVIN),
        ("averaging predictions beats averaging weights", AVERAGE, SOUP),
        ("averaging predictions beats averaging weights, both at guidance 2", united, guided(SOUP)),
        ("equal densities beat the average", AND, AVERAGE),
    )
    return (*our_claims(pairs, judged(profile)), *claims_on(labels, judged(profile)))


def agreement(profile: Profile, seed: int) -> Agreement:
    """Return the experts united, beside the joint model: at mini it is what their product should be."""
    united = compared(profile, "mask-text-eta-0", Unite(experts=experts(profile, seed)))
    return Agreement(
        united=stepped(united, eta=0.0), joint=ExpertUse(run=joint(profile, seed), conditions=("mask", "text"))
    )


def table(profile: Profile, seed: int) -> Table:
    """Return the table: quality, consistency and cost of every way to combine the two experts."""
    made, published = rows(profile, seed), collaborative.of(profile).published_metrics
    return Table(
        name="head_to_head",
        title="Mask and text: every way to combine two experts",
        paper="in no paper",
        metrics=(
            *metrics(profile, FID_ALL, TEXT, MASK, MIOU),
            *(() if published else (column("Both", "MaskAndText-MiniJudges"),)),
            *metrics(profile, KID, COPIES),
            spread(published),
            *COSTS,
        ),
        rows=made,
        claims=claims(profile, [row.label for row in made]),
        notes=NOTES,
        evaluators=(*face_parser(profile), *attribute_evaluator(profile)),
        agreement=agreement(profile, seed),
    )


if __name__ == "__main__":
    main(table)
