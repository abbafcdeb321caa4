"""Trained models on the Hugging Face Hub: the folders of a run and of the models that it needs, and a card made from them."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, snapshot_download

from lightning_mmdiff.errors import UserError
from lightning_mmdiff.loading import load
from lightning_mmdiff.runtime.run_folder import RunFolder
from lightning_mmdiff.runtime.stored import read_json
from lightning_mmdiff.source import HELPERS

CARD = """---
library_name: lightning_mmdiff
license: {license}
tags: [diffusion, multi-modal]
---

# {name}

A {kind} of lightning_mmdiff, trained for {steps} steps of {batch} images on {data}.
{rows}
```python
from lightning_mmdiff.hub import from_pretrained

model = from_pretrained("REPOSITORY")
```
"""


def save(run: str | Path, to: str | Path, *, license: str = "other") -> Path:
    """Write what ``from_pretrained`` needs: settings and weights of a run and of the models it needs, and a model card.

    Args:
        run: folder of a finished training, such as runs/mini/hair-expert.
        to: new folder.
        license: identifier for the card; that of the data decides. "other" says nothing.

    Raises:
        UserError: if ``to`` exists, or a folder is incomplete.
    """
    run, to = Path(run), Path(to)
    if to.exists():
        raise UserError(f"{to} exists: choose a new folder.")
    load(run)  # complete and intact
    for folder in dict.fromkeys(_with_helpers(run)):
        files = RunFolder(folder)
        (to / folder.name).mkdir(parents=True)
        for path in (files.config, files.weights):
            shutil.copy(path, to / folder.name / path.name)
    (to / "README.md").write_text(card(run, license=license), encoding="utf-8")
    (to / "model.json").write_text(json.dumps({"run": run.name}), encoding="utf-8")
    return to


def push_to_hub(saved: str | Path, repository: str, *, private: bool = True) -> str:
    """Upload a folder that ``save`` wrote; return its address. The Hub's own login is used.

    Args:
        saved: the folder.
        repository: such as "someone/hair-expert"; made if it is not there.
        private: whether a new repository is private.
    """
    api = HfApi()
    api.create_repo(repository, private=private, exist_ok=True)
    return str(api.upload_folder(repo_id=repository, folder_path=str(saved)))


def from_pretrained(source: str | Path) -> Any:
    """Return the model of a folder that ``save`` wrote, or of a repository on the Hub, frozen, on the CPU."""
    folder = Path(source) if Path(source).is_dir() else Path(snapshot_download(str(source)))
    return load(folder / read_json(folder / "model.json")["run"])


def card(run: Path, *, license: str) -> str:
    """Return the text of a run's model card: data, steps, and every row of a table beside it that the model had a part in."""
    settings = read_json(RunFolder(run).config)
    data = ", ".join(f"{d['dataset']} at {d['image_size']} pixels" for d in settings["data"])
    rows = "\n".join(_rows(run))
    return CARD.format(
        name=run.name, kind=settings["model"]["type"].removesuffix("Config"), steps=settings["trainer"]["max_steps"],
        batch=settings["batch_size"], data=data, license=license, rows=f"\n{rows}\n" if rows else "",
    )  # fmt: skip


def _with_helpers(run: Path) -> Iterator[Path]:
    """Yield the folder of a run and those of the runs that its model is built on."""
    yield run
    settings = read_json(RunFolder(run).config)
    for role in HELPERS:
        sources = settings.get(role) or []
        for source in sources if isinstance(sources, list) else [sources]:
            if source["type"] != "Released":
                yield from _with_helpers(run.parent / source["name"])


def _rows(run: Path) -> Iterator[str]:
    """Yield the lines of the tables below the same folder of runs: rows whose samples the model made or helped to make."""
    for path in sorted((run.parent / "tables").glob("*/table.json")):
        if not (path.parent / "metrics.json").is_file():
            continue
        described, measured = read_json(path), read_json(path.parent / "metrics.json")
        found = [
            row for about, row in zip(described["rows"], measured["rows"], strict=True)
            if row["state"] == "measured" and any(_asks(run, sample["name"]) for sample in about["runs"])
        ]  # fmt: skip
        columns = [metric["column"] for metric in measured["metrics"]]
        if found:
            yield f"## {described['title']} ({measured['name']}, profile {measured['profile']}), 95% intervals\n"
            yield f"| row | {' | '.join(columns)} |"
            yield f"|---|{'---|' * len(columns)}"
        for row in found:
            yield f"| {row['label']} | {' | '.join(_cell(row['cells'].get(column)) for column in columns)} |"


def _asks(run: Path, sample: str) -> bool:
    """Return whether a set of samples beside ``run`` was made with its model."""
    path = RunFolder(run.parent / sample).config
    return path.is_file() and _holds(read_json(path), run.name)


def _holds(value: Any, name: str) -> bool:
    """Return whether settings hold the training ``name`` anywhere."""
    if isinstance(value, dict):
        return (value.get("type") == "TrainRun" and value.get("name") == name) or any(
            _holds(v, name) for v in value.values()
        )
    return isinstance(value, list) and any(_holds(item, name) for item in value)


def _cell(cell: dict[str, Any] | None) -> str:
    if cell is None or cell["value"] is None:
        return "-"
    interval = cell["interval"]
    return f"{cell['value']:.4g}" + (f" [{interval[0]:.4g}, {interval[1]:.4g}]" if interval else "")
