"""Table 11: Collaborative Diffusion (Huang et al., CVPR 2023), Table A3 -- hyperparameters of the dynamic diffusers.

python -m experiments.table11 --profile paper
"""

from experiments.engine.cli import main
from experiments.recipes.collaborative import condition_names, counted, diffusers
from experiments.spec import Metric, Profile, Row, Table

COLUMNS = {
    "Latent side": (64, "Height and width of what is diffused."),
    "Latent channels": (3, "Its channels."),
    "Parameters (M)": (
        13.1,
        "Parameters of the dynamic diffuser of this branch, counted on the network.",
    ),
    "Diffusion steps": (1000, "T."),
    "Channels": (32, "Width of the first level."),
    "Attention, coarsest": (8, "Factor of the coarsest level with attention."),
    "Attention, finest": (2, "Factor of the finest level with attention."),
    "Batch size": (32, "Images per optimizer step, over all GPUs."),
    "Iterations": (187_000, "Optimizer steps."),
    "Learning rate per image (1e-6)": (2, "Learning rate over the images of a step."),
}
"""Column, which is its own protocol -> published value, description."""
NOTES = (
    "The paper's learning rate of 2e-6 is that of one image: the released code multiplies it by the 32 images of a step.",
    "The paper's AdaLN (Eq. 9) is not in the released networks, whose timestep is added; only that gives 13.1M parameters.",
)


def table(profile: Profile, seed: int) -> Table:
    """One row a branch; every number is read off the configuration that trains."""
    published = {column: float(value) for column, (value, _) in COLUMNS.items()}
    branches = {"Dynamic diffuser for the text branch": "text", "Dynamic diffuser for the mask branch": "mask"}
    return Table(
        name="table11",
        title="Hyperparameters of the dynamic diffusers",
        paper="Collaborative Diffusion (CVPR 2023), Table A3",
        metrics=tuple(
            Metric(column=column, protocol=column, better="lower", description=description)
            for column, (_, description) in COLUMNS.items()
        ),
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
