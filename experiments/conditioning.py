"""Ways to condition: lecture "Multimodal Models and Conditional Generation" (Bereyhi 2025) -- digits given their label.

python -m experiments.conditioning --profile mini
"""

from dataclasses import replace

from experiments.engine.cli import main
from experiments.recipes.conditioning import (
    CROSS_ATTENTION,
    FILM,
    drawn,
    evaluator,
    gan,
    generated,
    metrics,
    of_each_label,
    unconditional,
    vae,
    with_label,
)
from experiments.recipes.settings.lecture import of
from experiments.runs import TrainRun
from experiments.spec import Claim, Profile, Row, Table
from lightning_mmdiff.baselines.adversarial import Generate

TEN, EMBEDDING, FILMED, ATTENTION = "label sampling, ten models", "label embedding", "FiLM", "cross-attention"
NONE, TEN_SMALL, FIRST = "no condition", "label sampling, ten small models", "FiLM after the first layer only"
GAN, GAN_FILM, VAE, VAE_FILM = (f"{kind}, {layers}" for kind in ("GAN", "VAE") for layers in (EMBEDDING, FILMED))
ACCURACY, KID = "Label-DigitClassifier", "KID-EffNetLite0"
LECTURE = (TEN, EMBEDDING, FILMED, ATTENTION)
CLAIMS = (
    *(("lecture", f"{row} follows the label", ACCURACY, row, NONE) for row in LECTURE),
    *(("lecture", f"{row} beats ten models", metric, row, TEN) for row in LECTURE[1:] for metric in (ACCURACY, KID)),
    *(("lecture", "the label should show up in every layer", metric, FILMED, FIRST) for metric in (ACCURACY, KID)),
    *(("fair", f"{row} beats ten models, at equal parameters", KID, row, TEN_SMALL) for row in LECTURE[1:]),
)
"""Kind, text, column, row claimed to be better, row claimed to be worse: at each budget."""
OTHER_CLAIMS = (
    *(("lecture", f"{row} follows the label", ACCURACY, row, NONE) for row in (GAN, GAN_FILM, VAE, VAE_FILM)),
    *(
        ("lecture", f"{kind}: the label should show up in every layer", metric, film, embedding)
        for kind, film, embedding in (("GAN", GAN_FILM, GAN), ("VAE", VAE_FILM, VAE))
        for metric in (ACCURACY, KID)
    ),
)
"""The same, at the first budget only."""
SOURCES = {"lecture": "Chapter 7"}
"""Kind -> where the lecture makes the claim; the others are ours."""
NOTES = (
    "Equal budget: the rows of a group have as many optimizer steps of as many images each. Each of label sampling's ten models "
    "has a tenth of them, on a tenth of the digits, so that all models see an image equally often. Learning rates fall to zero "
    "within each training.",
    "A model that has seen one digit alone has nothing to confuse it with: where label sampling's accuracy is low, what it draws "
    "is no digit. Its distances say more than its accuracy.",
    "Ten models have ten times the parameters; the small ones are a third as wide, together about as many as one model.",
    "The U-Net applies the features of the timestep by adaptive norm in every block. Label embedding adds the class to them, "
    "so here it reaches every layer too. FiLM and cross-attention are further layers after each residual block, FiLM with one "
    "vector a class, cross-attention with four: over a single one attention has nothing to choose.",
    "GAN and VAE have as many steps of as many images, each of a GAN's two networks; they are smaller, and make an image "
    "in one call. Label embedding is a part of their input: of the noise, or of the pixels that the other network reads. FiLM "
    "acts after every convolution.",
    "The ceiling compares training digits with the test digits; its accuracy is that of the evaluator on the test digits.",
)


def table(profile: Profile, seed: int) -> Table:
    """Return the table: one row per method and budget, then real digits."""

    def rows(budget: int) -> tuple[Row, ...]:
        once = replace(FILM, every_block=False)
        models: dict[str, tuple[str, tuple[TrainRun, ...]]] = {
            TEN: ("label-sampling", of_each_label(profile, seed, budget)),
            EMBEDDING: ("label-embedding", (with_label(profile, seed, budget, "label-embedding", None),)),
            FILMED: ("film", (with_label(profile, seed, budget, "film", FILM),)),
            ATTENTION: ("cross-attention", (with_label(profile, seed, budget, "cross-attention", CROSS_ATTENTION),)),
            NONE: ("unconditional", (unconditional(profile, seed, budget),)),
            TEN_SMALL: ("label-sampling-small", of_each_label(profile, seed, budget, small=True)),
            FIRST: ("film-first", (with_label(profile, seed, budget, "film-first", once),)),
        }
        return tuple(
            Row(
                group=f"{'Lecture' if text in LECTURE else 'Not in the lecture'}, {budget} steps",
                label=label_of(text, budget),
                sample=generated(profile, f"digits-{name}-{budget}-generated", seed, *runs),
            )
            for text, (name, runs) in models.items()
        )

    budgets = of(profile).budgets
    real = Row(group="Ceiling", label="real images", sample=generated(profile, "digits-real", 0))
    return Table(
        name="conditioning",
        title="Ways to condition on a label, digits",
        paper="Multimodal Models and Conditional Generation (Bereyhi, lecture of 2025)",
        metrics=metrics(),
        rows=(*(row for budget in budgets for row in rows(budget)), *others(profile, seed, budgets[0]), real),
        claims=tuple(
            Claim(
                id=kind, text=f"{text}, {budget} steps", metric=metric, better=label_of(better, budget),
                worse=label_of(worse, budget), source=SOURCES.get(kind, ""),
            )
            for budget in budgets
            for kind, text, metric, better, worse in (*CLAIMS, *(OTHER_CLAIMS if budget == budgets[0] else ()))
        ),
        notes=NOTES,
        evaluators=(evaluator(profile),),
    )  # fmt: skip


def others(profile: Profile, seed: int, budget: int) -> tuple[Row, ...]:
    """Return the rows of models that are no diffusion models."""
    models: dict[str, tuple[str, TrainRun]] = {
        GAN: ("gan-embedding", gan(profile, seed, budget, "embedding")),
        GAN_FILM: ("gan-film", gan(profile, seed, budget, "film")),
        VAE: ("vae-embedding", vae(profile, seed, budget, "embedding")),
        VAE_FILM: ("vae-film", vae(profile, seed, budget, "film")),
    }
    return tuple(
        Row(
            group=f"Lecture, other models, {budget} steps",
            label=label_of(text, budget),
            sample=drawn(profile, f"digits-{name}-{budget}-generated", seed, Generate(model=run)),
        )
        for text, (name, run) in models.items()
    )


def label_of(text: str, budget: int) -> str:
    """Return the label of a row."""
    return f"{text}, {budget} steps"


if __name__ == "__main__":
    main(table)
