"""The demo of a minute: small experts of one condition each, which the repository ships, united under all conditions at once.

python -m mmdiff.demo

Rendered faces give a hair map, a map of face parts and a sketch. Each expert was trained on one of these alone; Unite and
Conquer (CVPR 2023, Eq. 10) samples faces that follow all three. ``python -m mmdiff.demo --train`` trains the experts again.
"""

import tempfile
import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import tyro
from torch import Tensor

from datamodules.config import DataConfig
from datamodules.mini.layouts import write_celebamask_hq
from experiments.core.workspace import Workspace, prepare_data
from experiments.engine import stages
from experiments.engine.endings import endings
from experiments.engine.work import Work
from experiments.figures import palette, sheets
from experiments.figures.galleries import Strip
from experiments.recipes.profiles import with_steps
from experiments.recipes.unite_and_conquer import expert
from experiments.runs import TrainRun
from lightning_mmdiff.configs import as_json
from lightning_mmdiff.loading import load
from lightning_mmdiff.methods.unite_and_conquer import Expert, UniteAndConquer
from lightning_mmdiff.models.denoiser import DenoiserConfig
from lightning_mmdiff.runtime import checkpoints
from lightning_mmdiff.runtime.files import atomic_path, write_json
from lightning_mmdiff.runtime.run_folder import RunFolder
from lightning_mmdiff.schedules import Sampler

SHIPPED = Path(__file__).parent / "experts"
CONDITIONS = {"hair": "hair map", "face_parts": "face parts", "sketch": "sketch"}
STEPS, CHANNELS, FACES = 1200, 16, 8
PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>lightning_mmdiff: united experts</title>
<style>:root{color-scheme:light dark} body{font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem}
img{max-width:100%;background:#fff;border-radius:6px}</style>
<h1>Three experts, one face</h1>
<p>Each expert is a diffusion model that was trained on one condition alone: a hair map, a map of face parts, a sketch.
<a href="https://arxiv.org/abs/2212.00793">Unite and Conquer</a> (Nair et al., CVPR 2023) adds up their predictions at every
step of sampling, without any further training, so that the samples follow all three.</p>
<p><img src="faces.png" alt="conditions, samples, where each condition counts"></p>
<p>An influence map shows how far a condition moves the prediction at a pixel, as a share of what all three do: dark is none,
bright is all. The faces are those of the first test images and of no choice. Go on with <code>mmdiff list</code>.</p>
</html>
"""


@dataclass(frozen=True, kw_only=True)
class DemoFlags:
    """Flags of the demo."""

    out: Path = Path("runs")
    """Root of all runs; the page is OUT/demo/index.html. With --train, root of the runs too."""
    train: bool = False
    """Train the experts (5 processor minutes) and put them in place of those that are shipped."""
    browser: bool = True
    """Open the page in a browser, if there is one."""


def runs() -> tuple[TrainRun, ...]:
    """Return the experts: as at mini, of two thirds of the channels, so that all fit in 5 MB, and of twice the steps."""
    return tuple(_run(name) for name in CONDITIONS)


def _run(condition: str) -> TrainRun:
    data = DataConfig(dataset="celebamask_hq", image_size=32, conditions=(condition,))
    run = expert("mini", 0, f"demo-{condition.replace('_', '-')}", (data,))
    model = run.model
    assert isinstance(model, DenoiserConfig)
    small = replace(model, network=replace(model.network, channels=CHANNELS))
    return with_steps(replace(run, model=small), STEPS)


class Watched(UniteAndConquer):
    """The united experts, which remember how far each condition moved the predicted noise."""

    def evaluate(self, *asked: Any) -> list[Tensor]:
        """Return the predicted noise as ever; add up |eps_i - eps_null,i| of each expert, [N, B, H, W]."""
        eps = super().evaluate(*asked)
        half = len(self.experts)
        moved = torch.stack([(eps[i] - eps[half + i]).abs().mean(1) for i in range(half)])
        self.moved = getattr(self, "moved", 0) + moved
        return eps


def train(out: Path) -> None:
    """Train the experts on the faces of the mini profile; store them in half precision in place of the shipped ones."""
    workspace, experts = Workspace.make("mini", out, None), runs()
    prepare_data(workspace, experts)
    work = Work(workspace, experts, ())
    for run in work.candidates():
        with work.doing(run) as mine:
            if mine and isinstance(run, TrainRun):
                stages.train(workspace, run)
    for run in experts:  # half precision: all within 5 MB
        weights = checkpoints.load_tensors(RunFolder(workspace.runs / run.name).weights)
        folder = RunFolder(SHIPPED / run.name)
        checkpoints.save_tensors({name: value.half() for name, value in weights.items()}, folder.weights)
        write_json(folder.config, as_json(run))


def faces(count: int, folder: Path) -> dict[str, Tensor]:
    """Render test faces below ``folder``; return them as "image", and their conditions, uint8 [count, C, 32, 32]."""
    write_celebamask_hq(folder, count=12 * count, image_size=32)  # about a tenth are test images
    data = DataConfig(dataset="celebamask_hq", image_size=32, conditions=tuple(CONDITIONS)).open(folder.parent)
    data.prepare_data()
    data.setup()
    batch = data.test.batch([i % len(data.test) for i in range(count)])
    return {"image": batch["image"], **{name: batch["conditions"][name] for name in CONDITIONS}}


def strips(given: dict[str, Tensor], *, num_steps: int = 25) -> list[Strip]:
    """Return the rows of the picture: conditions, united samples, influence maps, and the faces that the conditions are of."""
    experts = [Expert(denoiser=load(SHIPPED / run.name), conditions=(c,)) for run, c in zip(runs(), CONDITIONS)]
    method = Watched(experts, sampler=Sampler(name="ddim", num_steps=num_steps))
    conditions = {name: given[name] for name in CONDITIONS}
    images = method.predict_step({"index": torch.arange(len(given["image"])), "conditions": conditions})
    share = (255 * method.moved / method.moved.sum(0)).byte().unsqueeze(2).expand(-1, -1, 3, -1, -1)
    return [
        *(_strip(label, given[name], name) for name, label in CONDITIONS.items()),
        _strip("united: all three", images),
        *(_strip(f"influence of the {label}", maps) for label, maps in zip(CONDITIONS.values(), share)),
        _strip("the faces that the conditions are of", given["image"]),
    ]


def _strip(label: str, maps: Tensor, condition: str = "") -> Strip:
    """Return maps or images, uint8 [B, C, H, W], as a row of the picture, conditions in the colors of reports."""
    classes = condition in palette.CLASS_CONDITIONS
    return Strip(label=label, pictures=palette.condition(condition, maps.numpy()), shows_classes=classes)


def write(rows: Sequence[Strip], folder: Path) -> Path:
    """Write the picture and the page around it; return the page."""
    folder.mkdir(parents=True, exist_ok=True)
    legend = palette.legend(row.pictures for row in rows if row.shows_classes)
    sheets.draw(folder / "faces.png", rows, legend=legend)
    page = folder / "index.html"
    with atomic_path(page) as temporary:
        temporary.write_text(PAGE, encoding="utf-8")
    return page


def main(flags: DemoFlags) -> None:
    """Make the page, after training the experts if that is asked for."""
    if flags.train:
        train(flags.out)
    with tempfile.TemporaryDirectory() as folder:
        page = write(strips(faces(FACES, Path(folder) / "CelebAMask-HQ")), flags.out / "demo")
    print(page)
    if flags.browser:
        webbrowser.open(page.resolve().as_uri())


if __name__ == "__main__":
    flags = tyro.cli(DemoFlags, prog="python -m mmdiff.demo", description=__doc__)
    with endings(flags.out, debug=False):
        main(flags)
