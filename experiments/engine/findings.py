"""What the doctor finds out about the data of some tables, one line for each data set, present or not."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from datamodules.config import DataConfig
from datamodules.storage.reading import read_image
from experiments.core import costs
from experiments.core.workspace import RENDERED, Workspace
from experiments.engine.fitting import require_fitting
from experiments.runs import Run
from experiments.spec import Table
from lightning_mmdiff.errors import UserError

State = Literal["ok", "note", "missing"]
OPENED = 8
"""Images of each data set that are opened, from first to last."""


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
    alike: dict[tuple[str, State, str, str], dict[str, None]] = {}  # a data set read in several ways gets one line
    for config in configs:
        state, found, remedy = _one_set(workspace, config, tables, runs)
        alike.setdefault((config.dataset, state, found, remedy), {}).update(dict.fromkeys(config.conditions))
    for (dataset, state, found, remedy), conditions in alike.items():
        what = f"data {dataset}" + (f" ({', '.join(conditions)})" if conditions else "")
        yield Finding(what=what, state=state, found=found, remedy=remedy)


def _one_set(
    workspace: Workspace, config: DataConfig, tables: Sequence[Table], runs: Sequence[Run]
) -> tuple[State, str, str]:
    """Return the state of a data set, what was found and what to do; open its text files and some of its images."""
    module = workspace.open(config)
    try:
        files = module.check()
        require_fitting(config, module, files, tables=tables, runs=runs)
        for path in (paths := files.images())[:: len(paths) // OPENED + 1]:
            read_image(path)
    except (OSError, UserError) as error:
        first, _, rest = str(error).partition("\n")
        return "missing", first, rest or "see Real data in README.md"
    count = len(files)
    whole = config.data_set.expected
    packed = "packed" if (module.folder / "index.json").is_file() else "packed when first used"
    found = f"{count:,} images in {module.root}, {packed} at {config.image_size} px"
    if count < whole:
        state: State = "note" if RENDERED.get(workspace.profile) else "missing"
        return state, found, f"the published setting has {whole:,}: fetch the rest"
    return "ok", found, ""
