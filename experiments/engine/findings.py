"""What the doctor finds out about the data of some tables, one line for each data set, present or not."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from datamodules.base import PackedDataModule
from datamodules.config import DataConfig
from experiments.core import costs
from experiments.core.workspace import RENDERED, Workspace
from experiments.engine.fitting import require_fitting
from experiments.runs import Run
from experiments.spec import Table
from lightning_mmdiff.errors import UserError

State = Literal["ok", "note", "missing"]
OPENED = 200
"""Items of a data set that are opened, with their label maps, from first to last; the rest when it is packed."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the diagnosis."""

    what: str
    state: State
    found: str
    remedy: str = ""


def unreadable(what: str, error: Exception) -> Finding:
    """Return the finding of something that cannot be read."""
    first, _, rest = str(error).partition("\n")
    return Finding(what=what, state="missing", found=first, remedy=rest)


def data_findings(workspace: Workspace, tables: Sequence[Table], runs: Sequence[Run]) -> Iterator[Finding]:
    """Yield one finding for each data set that the runs read, or for each way in which they read it."""
    configs = dict.fromkeys(c for run in runs for c in costs.data_of(run))
    if workspace.rendered:
        count, size = RENDERED[workspace.profile]
        entries = dict.fromkeys(c.data_set for c in configs)
        names = ", ".join(entry.name for entry in entries if entry.render)
        yield Finding(what="data", state="ok", found=f"{names}: rendered when needed, {count} images of {size} px")
        for entry in entries:
            if entry.render is None:
                remedy = f"give the real data by --data; it comes from {entry.source}"
                yield Finding(what=f"data {entry.name}", state="missing", found="cannot be rendered", remedy=remedy)
        return
    opened: dict[Path, str] = {}
    alike: dict[tuple[str, State, str, str], dict[str, None]] = {}  # a data set read in several ways gets one line
    for config in configs:
        state, found, remedy = _one_set(workspace, config, tables, runs, opened)
        alike.setdefault((config.dataset, state, found, remedy), {}).update(dict.fromkeys(config.conditions))
    for (dataset, state, found, remedy), conditions in alike.items():
        what = f"data {dataset}" + (f" ({', '.join(conditions)})" if conditions else "")
        yield Finding(what=what, state=state, found=found, remedy=remedy)


def _one_set(
    workspace: Workspace,
    config: DataConfig,
    tables: Sequence[Table],
    runs: Sequence[Run],
    opened: dict[Path, str],
) -> tuple[State, str, str]:
    """Return the state of a data set, what was found and what to do; open its text files and some of its items.

    Args:
        workspace: locations.
        config: one way in which the runs read the data set.
        tables: tables whose rows are measured.
        runs: runs to do.
        opened: what ``_opened`` said of each packed folder, for the other ways in which the same is read.
    """
    module = workspace.open(config)
    try:
        files = module.check()
        require_fitting(config, module, files, tables=tables, runs=runs)
        found, whole, place = f"{len(files):,} images in {module.root}", config.data_set.expected, module.folder
        fetch = f"the published setting has {whole:,}: fetch the rest" if len(files) < whole else ""
        if fetch and workspace.profile not in RENDERED:
            return "missing", found, fetch
        opened[place] = opened.get(place) or _opened(module, files)
    except (OSError, UserError) as error:
        first, _, rest = str(error).partition("\n")
        return "missing", first, rest or "see docs/data.md"
    return "note" if fetch else "ok", f"{found}, {opened[place]}", fetch


def _opened(module: PackedDataModule, files: Any) -> str:
    """Say whether all files were read when they were packed; otherwise open some of them.

    Raises:
        UserError: naming the files that are damaged or misshapen.
    """
    if module.is_packed(files):
        return f"all read and packed at {module.image_size} px, none changed since"
    count = module.open_some(files, OPENED)
    number = "all" if count == len(files) else f"{count} of them"
    return f"{number} opened, packed at {module.image_size} px when first used"
