"""Entries of a report's pictures that compare all rows: quality over cost, agreement of experts and own latents over time."""

from collections.abc import Iterator

from experiments.core.workspace import Workspace
from experiments.figures import agreement, own_noise, quality
from experiments.spec import Table, trainings
from lightning_mmdiff.runtime.run_folder import RunFolder
from reports.results import load_table
from reports.table_folder import TableFolder


def comparisons(workspace: Workspace, table: Table, folder: TableFolder) -> Iterator[dict[str, str]]:
    """Draw what a table has of them, and yield title, caption and file; agreement waits until the experts are trained.

    Args:
        workspace: locations of data and runs.
        table: the table of the first seed.
        folder: its folder, with ``table.json``.
    """
    measured = load_table(folder.table)
    if quality.can_draw(measured):
        quality.draw(measured, folder.path / "quality-over-calls.png")
        caption = (
            "Bars: 95% intervals. Dotted: real images. In the legend: network evaluations per image; rows that cost about the "
            "same stand side by side."
        )
        yield {"title": "Quality over calls per image", "caption": caption, "file": "quality-over-calls.png"}
    wanted = table.agreement
    if wanted is None or not all(RunFolder(workspace.runs / run.name).is_trained for run in trainings(wanted)):
        return
    if not all((folder.path / f"{name}.csv").exists() for name in ("agreement", "own-latents")):
        data = workspace.open(wanted.united.data)
        data.setup()
        agreement.draw(agreement.over_time(wanted, workspace.runs, data), folder.path / "agreement.png")
        own_noise.draw(own_noise.over_time(wanted.united, workspace.runs, data), folder.path / "own-latents.png")
    caption = (
        f"The first {agreement.NUM_IMAGES} test images with noise, each under its own conditions; u is the mean of the "
        "unconditional predictions, D the number of values of an image. Means over images; the numbers are in agreement.csv."
    )
    yield {"title": "Agreement of the experts over time", "caption": caption, "file": "agreement.png"}
    caption = (
        f"The first {own_noise.NUM_IMAGES} test images sampled: the distance of each term's latent from the shared clean image, "
        "in units of the noise that its network was trained on. Numbers are in own-latents.csv."
    )
    yield {"title": "Noise in own latents over time", "caption": caption, "file": "own-latents.png"}
