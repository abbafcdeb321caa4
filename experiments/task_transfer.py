"""Task transfer: the experiment that MT-Diffusion's authors could not finish (ICLR 2024, App. E.5) -- five tasks at once.

python -m experiments.task_transfer --profile mini
"""

from experiments.engine.cli import main
from experiments.recipes.beside_fid import COVERAGE, KID
from experiments.recipes.columns import columns, copies_of_objects, object_evaluator
from experiments.recipes.mt_diffusion import adm, several_tasks
from experiments.recipes.mt_shared import generated_or_real, images, sampled
from experiments.runs import TrainRun
from experiments.spec import Claim, Profile, Row, Table

ALONE, ALL = "image alone", "all five"
TASKS = ("masked_image", "caption", "random_caption", "label")
NAMES = {
    "masked_image": "image + masked image", "caption": "image + caption", "random_caption": "image + random caption",
    "label": "image + label",
}  # fmt: skip
CLAIMS = (
    *(
        Claim(id="E.5", text=f"{name} generates better images than {ALONE}", metric=KID, better=name, worse=ALONE)
        for name in NAMES.values()
    ),
    Claim(id="E.5", text="five tasks at once help each other", metric=KID, better=ALL, worse=ALONE),
    Claim(
        id="MT11", text="the more similar task transfers more", metric=KID,
        better=NAMES["masked_image"], worse=NAMES["label"], source="App. E.5",
    ),
    Claim(
        id="ours", text="a caption of the image is a better task than one of another image", metric=KID,
        better=NAMES["caption"], worse=NAMES["random_caption"],
    ),
)  # fmt: skip
NOTES = (
    "All models have the same U-Net, steps and seed. Images are generated from noise with every modality missing (Algorithm 1).",
    "Captions enter as embeddings of a small image-text model (at paper FaRL); a random caption is that of the next image of the "
    "batch, a task that says nothing about its own image.",
    "Encoders are learned apart from the U-Net here (a table of classes, a projection of vectors), so that five fit one network.",
)


def table(profile: Profile, seed: int) -> Table:
    """Return the table: quality of the generated images by tasks learned together."""
    nothing = images(profile, 64)

    def row(label: str, run: TrainRun) -> Row:
        sample = sampled(profile, f"{run.name.split('-seed')[0]}-generated", generated_or_real(run), nothing)
        return Row(group="Tasks learned together", label=label, sample=sample)

    real = sampled(profile, "objects-real", generated_or_real(None), images(profile, 64, "label"))
    return Table(
        name="task_transfer",
        title="Tasks learned together",
        paper="MT-Diffusion (ICLR 2024), App. E.5, never measured there",
        metrics=columns(profile, "FID", "IS", "Precision", "Recall", KID, COVERAGE, *copies_of_objects(profile)),
        rows=(
            row(ALONE, adm(profile, seed, label=False)),
            *(row(NAMES[task], several_tasks(profile, seed, task)) for task in TASKS),
            row(ALL, several_tasks(profile, seed, *TASKS)),
            Row(group="Ceiling", label="real images", sample=real),
        ),
        claims=CLAIMS,
        notes=NOTES,
        evaluators=object_evaluator(profile),
    )


if __name__ == "__main__":
    main(table)
