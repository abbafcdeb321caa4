"""Rows, metrics and claims that Tables 1, 2 and 4 of Unite and Conquer share."""

from collections.abc import Mapping
from dataclasses import replace

from experiments.protocols.catalogue import column
from experiments.recipes import baselines, tedigan
from experiments.recipes.baselines import LABELS_TO_FACE
from experiments.recipes.beside_fid import BESIDE_FID, COPIES, KID, also_on_kid, enough_images, explained, protocols
from experiments.recipes.evaluators import face_parser
from experiments.recipes.profiles import with_steps
from experiments.recipes.settings.baselines import of as budgets
from experiments.recipes.settings.unite_and_conquer import of
from experiments.recipes.unite_and_conquer import (
    both_conditions_twice,
    face,
    face_expert,
    face_models,
    guided,
    hair_expert,
    unite,
    united,
)  # fmt: skip
from experiments.runs import SampleRun, seeded
from experiments.spec import Claim, Metric, Profile, Row, Table
from lightning_mmdiff.baselines.adversarial import Generate
from lightning_mmdiff.methods.composable import Compose
from lightning_mmdiff.methods.config import MethodConfig
from lightning_mmdiff.methods.single import RealImages
from lightning_mmdiff.released.catalogue import Released

HAIR, FACE, AVERAGE = "hair expert alone", "face expert alone", "average (Composable)"
BOTH, TEDIGAN, OURS = "one model, both conditions", "TediGAN", "OURS"
FAIR, HURRIED = "Fair comparison (not in the paper)", "OURS, in the processor time of one baseline"
SHARED = "united, one shared model"
UNPUBLISHED = "nobody published this model, so there is no checkpoint to sample from"
IS_SHARED = "with the published checkpoint, ours is this row: one network serves both maps"
SOURCES = {"UC1": "Sec. 4.3", "UC2": "Sec. 4.3", "UC3": "Sec. 4.3", "UC4": "Sec. 5"}
"""Claim -> where the paper makes it; the others are ours."""


PUBLISHED = {
    "mIoU": "mIoU-LaPa", "F1": "F1-LaPa", "Hair": "Hair-LaPa", "Face": "Skin-LaPa", "Both": "HairAndSkin-LaPa",
    **protocols("FID", kernel="KID", copies="Copies-Inception"),
}  # fmt: skip
STAND_INS = {
    "FID": "FD-EffNetLite0", "LPIPS": "PD-EffNetLite0", "mIoU": "mIoU-MiniParser", "F1": "F1-MiniParser",
    "Hair": "Hair-MiniParser", "Face": "FaceParts-MiniParser", "Both": "HairAndFaceParts-MiniParser",
    **protocols("FD-EffNetLite0", kernel="KID-EffNetLite0", copies="Copies-EffNetLite0"),
}  # fmt: skip


def metrics(profile: Profile, *columns: str) -> tuple[Metric, ...]:
    """Return the paper's columns, each under the protocol that ``profile`` can measure."""
    settings = of(profile)
    named = PUBLISHED if settings.published_metrics else STAND_INS
    found = [column(name, named.get(name)) for name in columns]
    return enough_images(explained(found, EXPLANATIONS) if settings.released else found, settings.samples)


def text_metric(profile: Profile) -> Metric:
    """Return the metric that tells whether the samples show what their caption says."""
    return column("Text", "Attributes-FaceClassifier" if of(profile).published_metrics else "Attributes-MiniJudge")


def single_and_united_rows(profile: Profile, seed: int, dataset: str) -> tuple[Row, ...]:
    """Return experts alone, their average, one model with both conditions, ours; then the fair rows and the ceiling."""
    models, released = face_models(profile, seed), of(profile).released
    hair, skin, both, maps = models.hair, models.face, models.both, ("hair", face(profile))
    alone = "Same experts, not united"

    def row(label: str, name: str, method: MethodConfig, *, group: str = FAIR) -> Row:
        return Row(group=group, label=label, sample=united(profile, name, dataset, method))

    def twice(label: str, name: str, weight: float) -> Row:
        if released:
            return Row(group=FAIR, label=label, why=UNPUBLISHED)
        return row(label, name, unite(guided(both_conditions_twice(profile, seed), *maps, weight=weight)))

    shared = unite(guided(both, "hair"), guided(both, maps[1]))
    two = (guided(hair, "hair"), guided(skin, maps[1]))
    return (
        row(HAIR, "hair-alone", unite(two[0]), group=alone),
        row(FACE, "face-alone", unite(two[1]), group=alone),
        row(AVERAGE, "average", Compose(experts=two), group=alone),
        row(BOTH, "both", unite(guided(both, *maps)), group=alone),
        row(f"{HAIR}, guidance 2", "hair-alone-guided", unite(guided(hair, "hair", weight=2))),
        row(f"{FACE}, guidance 2", "face-alone-guided", unite(guided(skin, maps[1], weight=2))),
        row(f"{BOTH}, guidance 2", "both-guided", unite(guided(both, *maps, weight=2))),
        twice(f"{BOTH}, twice the training", "both-twice", 1.0),
        twice(f"{BOTH}, twice the training, guidance 2", "both-twice-guided", 2.0),
        Row(group=FAIR, label=SHARED, why=IS_SHARED) if released else row(SHARED, "united-shared", shared),
        row("real images", "real", RealImages(), group="Ceiling"),
    )


def ours(profile: Profile, seed: int, dataset: str) -> SampleRun:
    """Return the sample run of the paper's last row: hair and face experts united, w = 1, a = 1/N (Sec. 4.1)."""
    models = face_models(profile, seed)
    return united(profile, "ours", dataset, unite(guided(models.hair, "hair"), guided(models.face, face(profile))))


def inade_of_its_authors(profile: Profile, dataset: str) -> Row:
    """Return the row of INADE's own weights, which read the whole mask and were trained on pairs of CelebAMask-HQ."""
    sample = united(profile, "inade-published", dataset, Generate(model=Released("inade_celeba")))
    data = replace(sample.data, conditions=(*sample.data.conditions, "mask"))
    label = "INADE, its authors' weights on the whole mask"
    return Row(group="Other published weights", label=label, sample=replace(sample, data=data))


def in_the_time_of_a_baseline(profile: Profile, seed: int, dataset: str) -> tuple[Row, ...]:
    """Return ours with experts trained for the processor time of one baseline, both together; no row if it is not known."""
    steps = budgets(profile).expert_steps
    if steps is None:
        return ()
    hair, skin = (
        replace(with_steps(run, steps), name=seeded(f"{name}-short", seed))
        for run, name in ((hair_expert(profile, seed), "hair-expert"), (face_expert(profile, seed), "face-expert"))
    )
    method = unite(guided(hair, "hair"), guided(skin, face(profile)))
    return (Row(group=FAIR, label=HURRIED, sample=united(profile, "ours-short", dataset, method)),)


def claims(*columns: str) -> tuple[Claim, ...]:
    """Return UC4, that ours beats one condition alone and the single model given both, and the same against the fair rows."""
    one, both = "ours beats one condition alone", "ours beats the single model given both conditions"
    against = (
        ("UC4", f"{one} (hair)", HAIR),
        ("UC4", f"{one} (face)", FACE),
        ("UC4", both, BOTH),
        ("fair", f"{both}, at equal guidance", f"{BOTH}, guidance 2"),
        ("fair", f"{both}, at equal training", f"{BOTH}, twice the training"),
        ("fair", f"{both}, at equal guidance and training", f"{BOTH}, twice the training, guidance 2"),
        ("fair", f"{one}, at equal guidance (hair)", f"{HAIR}, guidance 2"),
        ("fair", f"{one}, at equal guidance (face)", f"{FACE}, guidance 2"),
        ("ours", "ours beats the plain average of the experts", AVERAGE),
    )
    return tuple(
        Claim(id=i, text=text, metric=c, better=OURS, worse=row, source=SOURCES.get(i, ""))
        for i, text, row in against
        for c in columns
    )


def baseline_claims() -> tuple[Claim, ...]:
    """Return UC1 and UC2, that ours beats every baseline of combined training, and UC3, that fine-tuning is worse."""
    ours = tuple(
        Claim(
            id=i, text=f"ours beats {label} (combined)", metric=metric, better=OURS, worse=f"Combined/{label}",
            source=SOURCES[i],
        )
        for i, metric in (("UC1", "FID"), ("UC2", "mIoU"), ("UC2", "F1"))
        for label in (*LABELS_TO_FACE, TEDIGAN)
    )  # fmt: skip
    regimes = tuple(
        Claim(
            id="UC3", text=f"{label}: combined training beats fine-tuning", metric="FID", better=f"Combined/{label}",
            worse=f"Fine-tuning/{label}", source=SOURCES["UC3"],
        )
        for label in LABELS_TO_FACE
    )  # fmt: skip
    return tuple(also_on_kid(ours + regimes))


NOTES = (
    "Uniting two experts with w = 1 and a = 1/2 is averaging their conditional predictions with classifier-free guidance of "
    "strength 2: e1 + e2 - (u1 + u2)/2 = 2 mean(e) - mean(u). The rows 'guidance 2' give the baselines the same.",
    "Ours trains two experts; the rows 'twice the training' give the single model as many optimizer steps as both together.",
    "The report says images seen, steps and processor time of every training. One row has ours in the processor time of one "
    "baseline: its two experts are trained for about as long together.",
    "Conditions of a test image are its own hair map and face map. No training image ever came with both.",
    "TediGAN is trained with pairs, as in the paper: its training images have both maps. Its generator is a StyleGAN2 of FFHQ "
    "at paper, else one of the rendered faces of both data sets, trained first. Its coarse layers follow the masks, the others a "
    "random face, as the encoder's authors mix them.",
    "SPADE, Pix2PixHD, INADE and TediGAN's encoder train on a perceptual loss: on VGG19 (TediGAN: AlexNet) at paper, else on the "
    "EfficientNet-Lite0 whose features FD, KID and PD are measured on too, which favors them in those columns.",
)

WEIGHTS_AND_SPLIT = ("published weights are not the average (PITFALLS 16)", "the split is not stated (18)")
EXPLANATIONS = {
    "FID": ("FID has several resizers, and the paper names none (PITFALLS 61)", *WEIGHTS_AND_SPLIT),
    "LPIPS": ("the trunk is not named, and the value depends on image size (PITFALLS 65)", *WEIGHTS_AND_SPLIT),
    "SSIM": ("window, border and range are not stated (PITFALLS 64)", *WEIGHTS_AND_SPLIT),
    **dict.fromkeys(
        ("mIoU", "F1"),
        (
            "the classes of the mean are not named (PITFALLS 66)", "images without a face count 0 here (67)",
            "the network saw soft maps of another parser (55)", *WEIGHTS_AND_SPLIT,
        ),
    ),
}  # fmt: skip
"""Column -> what in the protocol could explain a difference of a published checkpoint from the paper's number."""
RELEASED_NOTES = (
    "One published network serves hair map and face map; by its file's name it has last weights, not averaged ones "
    "(PITFALLS 16).",
    "It was trained on soft maps of the LaPa parser, in an order of hair and face that its code contradicts (PITFALLS 15, "
    "55); here the maps are CelebAMask-HQ's.",
    "The paper names neither the split nor LPIPS' trunk, FID's resizer or the classes of mIoU (PITFALLS 18, 61, 65, 66).",
)


def notes(profile: Profile) -> tuple[str, ...]:
    """Return what a reader of Tables 1, 2 and 4 must know."""
    return (*NOTES, *(RELEASED_NOTES if of(profile).released else budgets(profile).notes))


COLUMNS = ("FID", "LPIPS", "SSIM", "mIoU", "F1")
Published = Mapping[str, Mapping[str, tuple[float, ...]]]
"""Group -> row -> one value per column of ``COLUMNS``."""


def labels_to_face(profile: Profile, seed: int, *, name: str, dataset: str, title: str, published: Published) -> Table:
    """Return Table 1 or 2: rows as printed, then the same experts not united, then the fair rows.

    Args:
        profile: profile of the runs.
        seed: training seed.
        name: name of the table.
        dataset: data set of the test images.
        title: title of the table.
        published: printed values.
    """

    def row(group: str, label: str, values: tuple[float, ...]) -> Row:
        printed = dict(zip(COLUMNS, values))
        if of(profile).released and label != OURS:
            return Row(group=group, label=label, published=printed, why=UNPUBLISHED)
        if label in LABELS_TO_FACE:
            run = baselines.labels_to_face(profile, seed, label, group)
            sample = united(profile, run.name.split("-seed")[0], dataset, Generate(model=run))
        else:
            sample = {TEDIGAN: tedigan.maps_to_face, OURS: ours}[label](profile, seed, dataset)
        return Row(group=group, label=label, published=printed, sample=sample)

    *others, ceiling = single_and_united_rows(profile, seed, dataset)
    own = (inade_of_its_authors(profile, dataset),) if of(profile).released else ()
    printed = tuple(row(g, label, values) for g, rows in published.items() for label, values in rows.items())
    return Table(
        name=name,
        title=title,
        paper=f"Unite and Conquer (CVPR 2023), Table {name.removeprefix('table')}",
        metrics=metrics(profile, *COLUMNS, *BESIDE_FID, COPIES),
        rows=(*printed, *own, *others, *in_the_time_of_a_baseline(profile, seed, dataset), ceiling),
        claims=(*baseline_claims(), *claims("mIoU", KID, "FID")),
        notes=notes(profile),
        evaluators=face_parser(profile),
    )
