"""Fine-tuning curve: MT-Diffusion (Chen et al., ICLR 2024), Fig. 6 -- the classifier of joint training against one trained alone.

python -m experiments.finetuning_curve --profile mini
"""

from collections.abc import Sequence
from dataclasses import replace

from experiments.engine.cli import main
from experiments.recipes.columns import columns
from experiments.recipes.mt_diffusion import image_label, tuned
from experiments.recipes.mt_shared import images, sampled
from experiments.recipes.settings.mt_diffusion import of
from experiments.runs import TrainRun, seeded
from experiments.spec import Claim, Profile, Row, Table
from lightning_mmdiff.methods.mt_diffusion.network import MTDiffusionConfig
from lightning_mmdiff.methods.single import Classify
from reports.galleries import Figure, Line

JOINT, ALONE = "MT-Diffusion-E", "classification alone"
FIGURE = "MT-Diffusion (ICLR 2024), Fig. 6"
NOTES = (
    "Both rows have the same network and as many optimizer steps before the fine-tuning: joint training on images and labels, "
    "or classification alone from the start. The paper's baseline is ADM's released classifier instead.",
    "Judged on clean test images (t = 0), without the class's encoding in z_t: with it the head would read the answer.",
)


def classification_alone(profile: Profile, seed: int) -> TrainRun:
    """Return the network of MT-Diffusion-E, trained only to classify."""
    run = image_label(profile, seed, head="output")
    assert isinstance(run.model, MTDiffusionConfig)
    return replace(run, name=seeded("classification-alone", seed), model=replace(run.model, tasks=("label",)))


def curve(profile: Profile, run: TrainRun, name: str) -> list[TrainRun]:
    """Return ``run``, then the same run after each further number of steps on classification."""
    runs = [run]
    steps = of(profile).curve
    for before, after in zip(steps, steps[1:]):
        runs.append(tuned(profile, runs[-1], f"{name}-{after}", tasks=("label",), steps=after - before, constant=True))
    return runs


def label_of(name: str, steps: int) -> str:
    """Return the label of a row."""
    return f"{name}, {steps} steps"


def table(profile: Profile, seed: int) -> Table:
    """Return the table: top-1 and top-5 accuracy over fine-tuning steps."""
    data, steps = images(profile, 64, "label"), of(profile).curve
    curves = {
        JOINT: curve(profile, image_label(profile, seed, head="output"), "mt-e-classifier"),
        ALONE: curve(profile, classification_alone(profile, seed), "classification-alone"),
    }

    def row(name: str, count: int, run: TrainRun) -> Row:
        sample = sampled(profile, f"{run.name.split('-seed')[0]}-judged", Classify(model=run), data, num_images=50_000)
        return Row(group=name, label=label_of(name, count), sample=sample)

    texts = (
        (steps[0], "joint training beats classification alone"),
        (steps[-1], "... and stays ahead after fine-tuning"),
    )
    return Table(
        name="finetuning_curve",
        title="Classification over fine-tuning steps",
        paper=FIGURE,
        metrics=tuple(replace(metric, source=FIGURE) for metric in columns(profile, "Top1", "Top5")),
        rows=tuple(row(name, count, run) for name, runs in curves.items() for count, run in zip(steps, runs)),
        claims=tuple(
            Claim(
                id="MT8",
                text=text,
                metric="Top1",
                better=label_of(JOINT, count),
                worse=label_of(ALONE, count),
                source="Sec. 4.2",
            )
            for count, text in texts
        ),
        notes=NOTES,
        figures=(_figure(tuple(curves), steps),),
    )


def _figure(names: Sequence[str], steps: Sequence[int]) -> Figure:
    """Return the paper's figure: both models in one panel."""
    lines = (Line(label=name, points=tuple((float(n), label_of(name, n)) for n in steps)) for name in names)
    caption = "Shaded: the 95% intervals."
    return Figure(title="Accuracy over fine-tuning", caption=caption, x="fine-tuning steps", lines=tuple(lines))


if __name__ == "__main__":
    main(table)
