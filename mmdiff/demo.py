"""The demo of a minute: small experts of one condition each, which the repository ships, united under all conditions at once.

python -m mmdiff.demo

Rendered faces give a hair map, a map of face parts, a sketch and a caption. Each expert was trained on one of these alone;
Unite and Conquer (CVPR 2023, Eq. 10) samples faces that follow all four. ``python -m mmdiff.demo --train`` trains them again.
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
from experiments.figures import palette
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
from reports import sheet

SHIPPED = Path(__file__).parent / "experts"
CONDITIONS = {"hair": "hair map", "face_parts": "face parts", "sketch": "sketch", "caption": "caption"}
MAPS = tuple(CONDITIONS)[:3]
OWN_NAMES = {"caption": "text"}
"""Condition -> its name in the expert, where that is another: the embedding of the caption."""
STEPS, FACES = 1200, 8
CHANNELS = {"caption": 8}
"""Of the experts at the finest level, 16 if not said: all and the model that embeds captions fit in 5 MB."""
PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>lightning_mmdiff: united experts</title>
<style>:root{color-scheme:light dark} body{font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem}
img{max-width:100%;background:#fff;border-radius:6px} figure{margin:1.5rem 0} figcaption{font-size:.9em}</style>
<h1>Four experts, one face</h1>
<p>Each expert is a diffusion model that was trained on one condition alone: a hair map, a map of face parts, a sketch, a caption.
<a href="https://arxiv.org/abs/2212.00793">Unite and Conquer</a> (Nair et al., CVPR 2023) adds up their predictions at every
step of sampling, without any further training, so that the samples follow all four.</p>
<figure><img src="faces.png" alt="Rows of maps, samples that follow them, influence maps and real faces; captions">
<figcaption>From the top: <b>three conditions</b>, drawn from faces that no expert has seen (the colors are named below the
picture; the fourth condition, the <b>captions</b>, stands there too); <b>samples</b> of the united experts; four <b>influence
maps</b>, which show how far each condition moves the prediction at a pixel, as a share of what all four do (black is none,
white is all); and the <b>rendered faces</b> that the conditions are of. Colors and age are in the caption alone, whose expert
is the smallest and is not always followed. These are the first test images, with fixed seeds.</figcaption></figure>
<p>Go on with <code>mmdiff list</code>, or <code>mmdiff run table1</code>.</p>
</html>
"""


@dataclass(frozen=True, kw_only=True)
class DemoFlags:
    """Flags of the demo."""

    out: Path = Path("runs")
    """Root of all runs; the page is OUT/demo/index.html. With --train, root of the runs too."""
    train: bool = False
    """Train the experts (about 8 processor minutes) and put them in place of those that are shipped."""
    browser: bool = True
    """Open the page in a browser, if there is one."""


def runs() -> tuple[TrainRun, ...]:
    """Return the experts: as at mini, of fewer channels, so that all fit in 5 MB, and of twice the steps."""
    return tuple(_run(name) for name in CONDITIONS)


def _run(condition: str) -> TrainRun:
    name, faces = f"demo-{condition.replace('_', '-')}", DataConfig(dataset="celebamask_hq", image_size=32)
    if condition in MAPS:
        run = expert("mini", 0, name, (replace(faces, conditions=(condition,)),))
    else:  # trained on the embeddings of captions, where the paper has those of images
        run = replace(
            expert("mini", 0, name, (faces,), text=True),
            data=(replace(faces, conditions=(condition,), captions="celeba-dialog"),),
        )
    model = run.model
    assert isinstance(model, DenoiserConfig)
    small = replace(model, network=replace(model.network, channels=CHANNELS.get(condition, 16)))
    return with_steps(replace(run, model=small), STEPS)


def needed() -> tuple[TrainRun, ...]:
    """Return all that is trained and shipped: the model that embeds captions, then the experts."""
    embedders = [run.embedder for run in runs() if isinstance(run.embedder, TrainRun)]
    return (*embedders, *runs())


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
    workspace, models = Workspace.make("mini", out, None), needed()
    prepare_data(workspace, models)
    work = Work(workspace, models, ())
    for run in work.candidates():
        with work.doing(run) as mine:
            if mine and isinstance(run, TrainRun):
                stages.train(workspace, run)
    for run in models:  # half precision: all within 5 MB
        weights = checkpoints.load_tensors(RunFolder(workspace.runs / run.name).weights)
        folder = RunFolder(SHIPPED / run.name)
        half = {name: value.half() if value.is_floating_point() else value for name, value in weights.items()}
        checkpoints.save_tensors(half, folder.weights)
        write_json(folder.config, as_json(run))


def faces(count: int, folder: Path) -> dict[str, Any]:
    """Render test faces below ``folder``; return them as "image", and their conditions: uint8 [count, C, 32, 32], and texts."""
    write_celebamask_hq(folder, count=12 * count, image_size=32)  # about a tenth are test images
    config = DataConfig(dataset="celebamask_hq", image_size=32, conditions=tuple(CONDITIONS), captions="celeba-dialog")
    data = config.open(folder.parent)
    data.prepare_data()
    data.setup()
    batch = data.test.batch([i % len(data.test) for i in range(count)])
    return {"image": batch["image"], **{name: batch["conditions"][name] for name in CONDITIONS}}


def strips(given: dict[str, Any], *, num_steps: int = 25) -> list[Strip]:
    """Return the rows of the picture: conditions, united samples, influence maps, and the faces that the conditions are of."""
    names = [OWN_NAMES.get(condition, condition) for condition in CONDITIONS]
    experts = [Expert(denoiser=load(SHIPPED / run.name), conditions=(name,)) for run, name in zip(runs(), names)]
    method = Watched(experts, sampler=Sampler(name="ddim", num_steps=num_steps))
    conditions = {name: given[name] for name in CONDITIONS}
    images = method.predict_step({"index": torch.arange(len(given["image"])), "conditions": conditions})
    share = (255 * method.moved / method.moved.sum(0)).byte().unsqueeze(2).expand(-1, -1, 3, -1, -1)
    return [
        *(_strip(CONDITIONS[name], given[name], name) for name in MAPS),
        _strip("united: all four", images),
        *(_strip(f"influence of the {label}", maps) for label, maps in zip(CONDITIONS.values(), share)),
        _strip("the faces that the conditions are of", given["image"]),
    ]


def _strip(label: str, maps: Tensor, condition: str = "") -> Strip:
    """Return maps or images, uint8 [B, C, H, W], as a row of the picture, conditions in the colors of reports."""
    classes = condition in palette.CLASS_CONDITIONS
    return Strip(label=label, pictures=palette.condition(condition, maps.numpy()), shows_classes=classes)


def write(rows: Sequence[Strip], captions: Sequence[str], folder: Path) -> Path:
    """Write the picture, with a caption below each column, and the page around it; return the page."""
    folder.mkdir(parents=True, exist_ok=True)
    legend = palette.legend(row.pictures for row in rows if row.shows_classes)
    sheet.draw(folder / "faces.png", rows, captions=captions, legend=legend)
    page = folder / "index.html"
    with atomic_path(page) as temporary:
        temporary.write_text(PAGE, encoding="utf-8")
    return page


def main(flags: DemoFlags) -> None:
    """Make the page, after training the experts if that is asked for."""
    if flags.train:
        train(flags.out)
    with tempfile.TemporaryDirectory() as folder:
        given = faces(FACES, Path(folder) / "CelebAMask-HQ")
        page = write(strips(given), given["caption"], flags.out / "demo")
    print(page)
    if flags.browser:
        webbrowser.open(page.resolve().as_uri())


if __name__ == "__main__":
    flags = tyro.cli(DemoFlags, prog="python -m mmdiff.demo", description=__doc__)
    with endings(flags.out, debug=False):
        main(flags)
