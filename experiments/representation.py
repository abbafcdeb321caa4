"""Joint image-representation: MT-Diffusion (Chen et al., ICLR 2024), App. E.4 -- images generated with their CLIP embedding.

python -m experiments.representation --profile mini
"""

from experiments.engine.cli import main
from experiments.recipes.beside_fid import COPIES, COVERAGE, KID
from experiments.recipes.columns import columns
from experiments.recipes.evaluators import object_captions
from experiments.recipes.mt_diffusion import DEVIATIONS
from experiments.recipes.mt_latents import REPRESENTATION, image_embedding
from experiments.recipes.mt_shared import generated_or_real, sampled
from experiments.runs import TrainRun
from experiments.spec import Claim, Profile, Row, Table

IMAGE, EMBEDDING, JOINT = "image alone", "embedding alone", "MT-Diffusion"
PROJECTED, PLAIN = "MT-Diffusion, embedding encoded by a projection", "MT-Diffusion without aggregation"
CLAIMS = (
    Claim(
        id="E.4", text="joint training makes better images than the image alone",
        metric=KID, better=JOINT, worse=IMAGE, source="App. E.4",
    ),
    Claim(id="E.4", text="the joint model tells whose embedding is whose", metric="Retrieval", better=JOINT, worse=IMAGE),
    Claim(id="ours", text="joint training tells embeddings better than alone", metric="Cosine", better=JOINT, worse=EMBEDDING),
    Claim(id="ours", text="aggregation helps the images", metric=KID, better=JOINT, worse=PLAIN),
    Claim(id="ours", text="a projection is the better encoder for images", metric=KID, better=PROJECTED, worse=JOINT),
)  # fmt: skip
NOTES = (
    "The paper shows pictures only; it has no numbers for this experiment.",
    "Images are generated from noise, the embedding estimated on the way (Algorithm 1). Cosine and Retrieval are of clean test "
    "images, without their embedding in z_t: with it the head would read the answer.",
    "All rows have the same networks. A task that is not learned leaves its part as it starts: 'image alone' has a random head "
    "(its Cosine and Retrieval are chance), 'embedding alone' makes gray images.",
    DEVIATIONS[0],
    *REPRESENTATION,
)


def table(profile: Profile, seed: int) -> Table:
    """Return the table: images with and without the joint task, and the head's predictions for test images."""

    def row(label: str, run: TrainRun) -> Row:
        sample = sampled(
            profile, f"{run.name.split('-seed')[0]}-generated", generated_or_real(run), run.data[0], num_images=3000
        )
        return Row(group="MT-Diffusion" if run.name.startswith("joint") else "One task", label=label, sample=sample)

    embedder = object_captions(profile)
    both = image_embedding(profile, seed, "joint-embedding")
    real = sampled(profile, "embedding-real", generated_or_real(None), both.data[0], num_images=3000)
    return Table(
        name="representation",
        title="Images and their embeddings",
        paper="MT-Diffusion (ICLR 2024), App. E.4",
        metrics=columns(profile, "FID", "Precision", "Recall", "Cosine", "Retrieval", KID, COVERAGE, COPIES),
        rows=(
            row(IMAGE, image_embedding(profile, seed, "image-alone-embedding", tasks=("image",))),
            row(EMBEDDING, image_embedding(profile, seed, "embedding-alone", tasks=("embedding",))),
            row(JOINT, both),
            row(PROJECTED, image_embedding(profile, seed, "joint-embedding-projected", encoder="projection")),
            row(PLAIN, image_embedding(profile, seed, "joint-embedding-plain", aggregation="none")),
            Row(group="Ceiling", label="real images", sample=real),
        ),
        claims=CLAIMS,
        notes=NOTES,
        evaluators=(embedder,) if isinstance(embedder, TrainRun) else (),
    )


if __name__ == "__main__":
    main(table)
