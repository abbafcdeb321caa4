"""Table 11: Collaborative Diffusion (Huang et al., CVPR 2023), Table A3 -- hyperparameters of the dynamic diffusers.

python -m experiments.table11 --profile paper
"""

from experiments.engine.cli import main
from experiments.protocols.catalogue import column
from experiments.recipes.collaborative import condition_names, counted, diffusers
from experiments.spec import Profile, Row, Table

PUBLISHED = {
    "Latent side": 64, "Latent channels": 3, "Parameters (M)": 13.1, "Diffusion steps": 1000, "Channels": 32,
    "Attention, coarsest": 8, "Attention, finest": 2, "Batch size": 32, "Iterations": 187_000,
    "Learning rate per image (1e-6)": 2,
}  # fmt: skip
"""Column (the name of its protocol) -> value of both branches."""
NOTES = (
    "The paper's learning rate of 2e-6 is that of one image: the released code multiplies it by the 32 images of a step.",
    "The paper's AdaLN (Eq. 9) is not in the released networks, whose timestep is added; only that gives 13.1M parameters.",
)


def table(profile: Profile, seed: int) -> Table:
    """Return the table: one row per branch, with every number read off the configuration that trains."""
    published = {name: float(value) for name, value in PUBLISHED.items()}
    branches = {"Dynamic diffuser for the text branch": "text", "Dynamic diffuser for the mask branch": "mask"}
    return Table(
        name="table11",
        title="Hyperparameters of the dynamic diffusers",
        paper="Collaborative Diffusion (CVPR 2023), Table A3",
        metrics=tuple(column(name) for name in PUBLISHED),
        rows=tuple(
            Row(
                label=label,
                published=published,
                sample=counted(
                    profile, f"diffuser-{branch}", diffusers(profile, seed), condition_names(profile, branch)
                ),
            )
            for label, branch in branches.items()
        ),
        notes=NOTES,
    )


if __name__ == "__main__":
    main(table)
