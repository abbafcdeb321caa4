"""The package outside its repository: a wheel in a folder of its own, and a data set, a network and a table in one file."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.models.denoiser import Denoiser, DenoiserConfig
from lightning_mmdiff.networks.conditions import ConditionConfig
from lightning_mmdiff.networks.diffusers_unet import DiffusersUNetConfig
from lightning_mmdiff.networks.unet import UNetConfig
from lightning_mmdiff.optimization import OptimizerConfig
from lightning_mmdiff.schedules import Sampler

ROOT = Path(__file__).parents[1]
(FILE,) = re.findall(r"^```python\n# rings\.py\n(.*?)^```", (ROOT / "docs" / "own-models.md").read_text(), re.M | re.S)


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A folder with the wheel's content; its dependencies are those of this environment."""
    built, folder = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("installed")
    copy = tmp_path_factory.mktemp("source") / "tree"
    subprocess.run(["git", "clone", "-q", "--local", str(ROOT), str(copy)], check=True)
    listed = subprocess.run(
        ["git", "ls-files", "-mo", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.split():  # what is not committed yet
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((ROOT / name).read_bytes())
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(built), str(copy)], check=True)
    (wheel,) = built.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", str(folder), str(wheel)], check=True)
    return folder


@pytest.mark.slow
def test_a_file_of_ones_own_runs_on_an_installed_wheel(installed, tmp_path) -> None:
    code = [line for line in FILE.splitlines() if line.strip() and not line.startswith(("import ", "from "))]
    assert len(code) <= 60
    (tmp_path / "rings.py").write_text(FILE)
    environment = {**os.environ, "PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"}

    def run(*words: str) -> str:
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    code = "import lightning_mmdiff as m, importlib.resources as r; print(m.__file__, r.files(m).joinpath('py.typed').is_file())"
    assert run(sys.executable, "-c", code).split() == [str(installed / "lightning_mmdiff" / "__init__.py"), "True"]
    command = (sys.executable, str(installed / "bin" / "mmdiff"), "run", "rings.py", "--profile", "smoke")
    assert "train  rings-plain" in run(*command, "--launcher", "dry-run")
    run(*command)
    folder = tmp_path / "runs" / "smoke" / "tables" / "rings"
    rows = json.loads((folder / "metrics.json").read_text())["rows"]
    assert [row["state"] for row in rows] == ["measured", "measured"]
    assert "Plain" in (folder / "rings.html").read_text()
    code = (
        "import rings, lightning_mmdiff; print(type(lightning_mmdiff.load('runs/smoke/rings-plain').network).__name__)"
    )
    assert run(sys.executable, "-c", code).strip() == "Plain"


def test_any_number_of_channels_and_the_network_of_diffusers() -> None:
    network = DiffusersUNetConfig(
        in_channels=2, out_channels=1, channels=8, channel_mult=(1, 2), num_res_blocks=1, attention_levels=(1,),
        head_channels=4, norm_groups=4, num_classes=3,
    )  # fmt: skip
    config = DenoiserConfig(
        network=network, conditions=ConditionConfig(spatial=(("edges", 1),), label=("label", 3)), image_size=8,
        image_channels=1, optimizer=OptimizerConfig(lr=1e-3),
    )  # fmt: skip
    model = Denoiser(config, sampler=Sampler(name="ddim", num_steps=2)).eval()
    edges = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    images = model.predict_step(
        {"index": torch.arange(2), "conditions": {"edges": edges, "label": torch.tensor([0, 2])}}
    )
    assert images.shape == (2, 1, 8, 8)
    z, t = torch.randn(2, 2, 8, 8), torch.tensor([3, 5])
    known = model.network.unet(z, t, class_labels=torch.tensor([1, 3])).sample
    assert torch.equal(model.network(z, t, None, torch.tensor([1, -1])), known)
    loss = model.loss(
        {"image": images, "conditions": {"edges": edges, "label": torch.tensor([0, 2])}}, torch.Generator()
    )
    assert torch.isfinite(loss)


def test_what_the_network_of_diffusers_lacks_is_refused() -> None:
    with pytest.raises(UserError, match="use UNetConfig"):
        DiffusersUNetConfig(
            in_channels=3, out_channels=3, channels=32, channel_mult=(1,), num_res_blocks=1, attention_levels=(),
            num_heads=1, patch_size=2,
        )  # fmt: skip
    network = UNetConfig(
        in_channels=6,
        out_channels=3,
        channels=32,
        channel_mult=(1,),
        num_res_blocks=1,
        attention_levels=(),
        num_heads=1,
    )
    with pytest.raises(UserError, match="expected 4, 1 of the image and 3 of the conditions, and 1"):
        DenoiserConfig(
            network=network, conditions=ConditionConfig(spatial=(("map", 3),)), image_size=8, image_channels=1,
            optimizer=OptimizerConfig(lr=1e-3),
        )  # fmt: skip
