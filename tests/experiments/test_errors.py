"""Whatever a user gets wrong ends in one sentence and exit code 1, and nothing that was computed is lost."""

import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import small_runs
import torch
from PIL import Image
from small_runs import quick_table

from experiments.engine import cli, workers
from experiments.engine.cli import TableFlags, main
from experiments.spec import Profile, Table
from lightning_mmdiff.callbacks.checkpoints import AtomicCheckpointIO
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.models.denoiser import Denoiser
from lightning_mmdiff.runtime import checkpoints
from lightning_mmdiff.runtime.checkpoints import load_tensors, load_weights

pytestmark = pytest.mark.usefixtures("one_thread")

Command = Callable[..., str]
MASKS = "CelebAMask-HQ/CelebAMask-HQ-mask-anno/0"
IMAGES = "CelebAMask-HQ/CelebA-HQ-img"


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return small_runs.write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture
def damaged(tmp_path, data) -> Path:
    """A copy of the data to damage."""
    return Path(shutil.copytree(data, tmp_path / "copy", ignore=shutil.ignore_patterns(".packed*")))


@pytest.fixture
def failing(monkeypatch, capsys) -> Command:
    """Run a command line that must fail with exit code 1; return its one sentence."""

    def run(*flags: object, table: Callable[[Profile, int], Table] = quick_table) -> str:
        monkeypatch.setattr(sys, "argv", ["experiments.small", "--profile", "smoke", *map(str, flags)])
        with pytest.raises(SystemExit) as stop:
            cli.main(table)
        printed = capsys.readouterr()
        assert stop.value.code == 1
        assert "Traceback" not in printed.out + printed.err
        assert printed.out.count("error: ") == 1
        return printed.out.split("error: ")[1].strip()

    return run


def finish(data: Path, out: Path, table: Callable[[Profile, int], Table] = quick_table) -> Path:
    """Do every run but no report; return the folder of the runs."""
    names = ("expert-seed0", "samples-seed0")
    main(table, TableFlags(profile="smoke", data=data, out=out, only=names))
    return out / "smoke"


def test_missing_data_folder_shows_the_layout(tmp_path, failing) -> None:
    sentence = failing("--data", tmp_path / "nowhere", "--out", tmp_path / "out")
    assert f"{tmp_path}/nowhere/CelebAMask-HQ: no such folder" in sentence
    assert "CelebA-HQ-img/{0..29999}.jpg" in sentence
    assert not (tmp_path / "out").exists()


def test_half_downloaded_data_names_what_is_missing(tmp_path, damaged, failing) -> None:
    for number in (5, 7):
        (damaged / IMAGES / f"{number}.jpg").unlink()
    sentence = failing("--data", damaged, "--out", tmp_path / "out")
    assert "found 38 images" in sentence
    assert "missing 5, 7" in sentence


def test_unreadable_image_is_named(tmp_path, damaged, failing) -> None:
    image = damaged / IMAGES / "3.jpg"
    image.write_bytes(image.read_bytes()[:200])
    sentence = failing("--data", damaged, "--out", tmp_path / "out")
    assert f"{image}: cannot be read as an image" in sentence


def test_masks_of_another_size_are_named(tmp_path, damaged, failing) -> None:
    Image.fromarray(255 * np.eye(9, dtype=np.uint8)).save(damaged / MASKS / "00002_hair.png")
    assert "masks of one face differ in size" in failing("--data", damaged, "--out", tmp_path / "out")


def test_out_below_a_file(tmp_path, data, failing) -> None:
    (tmp_path / "file").write_text("")
    sentence = failing("--data", data, "--out", tmp_path / "file" / "out")
    assert "Not a directory" in sentence
    assert "choose a writable --out" in sentence


def test_no_seed_and_unknown_run(tmp_path, failing) -> None:
    assert "--seeds is 0" in failing("--seeds", 0, "--out", tmp_path)
    assert "--only nonsense: no such run; this table has expert-seed0" in failing(
        "--only", "nonsense", "--out", tmp_path
    )


def test_a_row_without_its_model(tmp_path, data, failing) -> None:
    sentence = failing("--data", data, "--out", tmp_path, "--only", "samples-seed0")
    assert "weights.safetensors is missing: train this model first" in sentence


def test_another_setting_under_the_same_name(tmp_path, data, failing) -> None:
    weights = finish(data, tmp_path) / "expert-seed0" / "weights.safetensors"
    before = weights.read_bytes()

    def other(profile: Profile, seed: int) -> Table:
        run = replace(small_runs.expert(steps=7, checkpoint_every=2), name="expert-seed0")
        return small_runs.table_of(replace(small_runs.samples(run), name="samples-seed0"))

    sentence = failing("--data", data, "--out", tmp_path, table=other)
    assert "expert-seed0 was made with other settings" in sentence
    assert "trainer.max_steps: 6 there, 7 now" in sentence
    assert weights.read_bytes() == before


def test_weights_of_another_architecture_and_damaged_weights(tmp_path, data, failing) -> None:
    runs = finish(data, tmp_path)
    weights = runs / "expert-seed0" / "weights.safetensors"
    right = weights.read_bytes()
    shutil.rmtree(runs / "samples-seed0")
    other = small_runs.expert(steps=6, data=(small_runs.HAIR, small_runs.SKIN))
    checkpoints.save_weights(Denoiser(other.model), weights, {})
    sentence = failing("--data", data, "--out", tmp_path)
    assert f"{weights} holds another architecture than Denoiser" in sentence
    assert "of another shape (first: network." in sentence
    weights.write_bytes(right[:-100])
    assert f"{weights} is damaged" in failing("--data", data, "--out", tmp_path)
    weights.write_bytes(right)
    finish(data, tmp_path)


def test_one_flipped_bit_of_the_weights_is_found(tmp_path) -> None:
    """Loading accepted any content of the right shape (D12)."""
    path, module = tmp_path / "weights.safetensors", torch.nn.Linear(3, 2).double().requires_grad_(False)
    module.register_buffer("count", torch.tensor(7))
    module.register_buffer("brief", torch.ones(2, dtype=torch.bfloat16))
    checkpoints.save_weights(module, path, {})
    content, state, found = path.read_bytes(), dict(module.state_dict()), 0
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        try:
            loaded = load_tensors(path)
        except UserError as error:
            found += str(error).startswith(f"{path} is damaged (")
        else:
            assert all(torch.equal(loaded[name], value) for name, value in state.items())
    assert found > len(content) - 20  # the name of the digest alone is not needed to read the rest
    path.write_bytes(safetensors.torch.save(state))  # of an earlier version, without a digest
    load_weights(module, path)


def test_empty_weights_are_named(tmp_path) -> None:
    path = tmp_path / "weights.safetensors"
    for content in (b"", b"x", b"<html>"):
        path.write_bytes(content)
        with pytest.raises(UserError, match=rf"{path} is damaged \(.*; delete it and run the same command"):
            load_weights(torch.nn.Linear(2, 2), path)


def test_a_finished_run_forgets_an_earlier_failure(tmp_path, data) -> None:
    """A process that gave up while another went on left its failed.txt for ever (D6)."""
    runs = finish(data, tmp_path)
    for name in ("expert-seed0", "samples-seed0"):
        (runs / name / "failed.txt").write_text("ValueError: long ago\n")
    finish(data, tmp_path)
    assert not list(runs.rglob("failed.txt"))
    (runs / "samples-seed0" / "metrics.json").unlink()

    plain = small_runs.stages.score

    def score(*arguments: object) -> None:
        (runs / "samples-seed0" / "failed.txt").write_text("MemoryError: elsewhere\n")
        plain(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("experiments.engine.stages.score", score)
        finish(data, tmp_path)
    assert not list(runs.rglob("failed.txt"))


def test_missing_and_unexpected_entries_are_named(tmp_path) -> None:
    path = tmp_path / "weights.safetensors"
    checkpoints.save_weights(torch.nn.Linear(2, 2, bias=False), path, {})
    with pytest.raises(ValueError, match=r"1 missing \(first: bias\)"):
        load_weights(torch.nn.Linear(2, 2), path)
    checkpoints.save_weights(torch.nn.Linear(2, 2), path, {})
    with pytest.raises(ValueError, match=r"1 unexpected \(first: bias\)"):
        load_weights(torch.nn.Linear(2, 2, bias=False), path)


def test_diverging_training(tmp_path, data, failing) -> None:
    def diverging(profile: Profile, seed: int) -> Table:
        run = replace(small_runs.expert(steps=40, lr=1e60), name="diverging")
        return small_runs.table_of(small_runs.samples(run))

    runs = finish(data, tmp_path)
    before = {p: p.read_bytes() for p in runs.rglob("*.*") if p.is_file() and "tables" not in p.parts}
    sentence = failing("--data", data, "--out", tmp_path, table=diverging)
    assert "The loss is nan" in sentence or "The loss is inf" in sentence
    assert "Lower the learning rate" in sentence
    assert "Lower the learning rate" in (runs / "diverging" / "failed.txt").read_text()
    assert not (runs / "diverging" / "weights.safetensors").exists()
    assert all(path.read_bytes() == content for path, content in before.items())


def test_a_failed_run_can_be_run_again(tmp_path, data, failing, monkeypatch) -> None:
    plain = Denoiser.losses

    def broken(self, batch, generator):
        factor = float("nan") if self.step == 3 else 1
        return {name: factor * value for name, value in plain(self, batch, generator).items()}

    with monkeypatch.context() as patch:
        patch.setattr(Denoiser, "losses", broken)
        assert "The loss is nan at step 3" in failing("--data", data, "--out", tmp_path / "again")
    failed = tmp_path / "again" / "smoke" / "expert-seed0" / "failed.txt"
    assert failed.exists()
    again, whole = finish(data, tmp_path / "again"), finish(data, tmp_path / "whole")
    assert not failed.exists()
    weights = Path("expert-seed0") / "weights.safetensors"
    assert (again / weights).read_bytes() == (whole / weights).read_bytes()


@pytest.fixture
def disk(tmp_path) -> Iterator[Path]:
    """A file system of its own, of 3 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "none", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.skipif(shutil.which("mount") is None, reason="no mount command")
@pytest.mark.parametrize("free", [0, 10, 60, 150, 300, 900])
def test_full_disk_and_then_not(tmp_path, disk, data, failing, free) -> None:
    """The disk fills at different moments, KiB before the end; after making room the same command finishes."""
    whole = finish(data, tmp_path / "whole")
    needs = sum(p.stat().st_size for p in (tmp_path / "whole").rglob("*") if p.is_file()) // 1024
    (disk / "ballast").write_bytes(bytes(1024 * (3 * 1024 - min(free, needs - 40))))
    sentence = failing("--data", data, "--out", disk / "out")
    assert "No space left on device" in sentence or "disk full" in sentence
    assert "free some space" in sentence
    (disk / "ballast").unlink()
    again = finish(data, disk / "out")
    for name in ("expert-seed0/weights.safetensors", "samples-seed0/metrics.json"):
        assert (again / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.parametrize("told", [True, False])
def test_torch_may_not_say_why_a_checkpoint_was_not_written(tmp_path, monkeypatch, told) -> None:
    """The system's own error is raised, whether torch hands it on or only finds that something is missing."""
    plain = torch.save

    def silent(checkpoint, file) -> None:
        with suppress(OSError):
            file.write(bytes(1 << 20))
        raise RuntimeError("unexpected pos 64 vs 0")

    monkeypatch.setattr(torch, "save", plain if told else silent)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, before[1]))  # stands in for a full disk
    try:
        with pytest.raises(OSError, match="File too large"):
            AtomicCheckpointIO().save_checkpoint({"x": torch.zeros(1 << 18)}, tmp_path / "step=1.ckpt")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(shutil.which("mount") is None, reason="no mount command")
def test_read_only_output(disk, data, failing) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    sentence = failing("--data", data, "--out", disk / "out")
    assert "Read-only file system" in sentence or "cannot write" in sentence
    assert "writable" in sentence


@pytest.mark.skipif(shutil.which("mount") is None, reason="no mount command")
def test_output_that_becomes_read_only_keeps_what_is_done(tmp_path, disk, data, failing) -> None:
    whole = finish(data, tmp_path / "whole")
    runs = finish(data, disk / "out")
    (runs / "samples-seed0" / "metrics.json").unlink()
    (runs / "samples-seed0" / "samples" / "00001.npy").unlink()
    before = {p: p.read_bytes() for p in runs.rglob("*") if p.is_file()}
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    sentence = failing("--data", data, "--out", disk / "out")
    assert "Read-only file system; choose a writable --out" in sentence
    assert {p: p.read_bytes() for p in runs.rglob("*") if p.is_file()} == before
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    finish(data, disk / "out")
    for name in ("samples-seed0/samples/00001.npy", "samples-seed0/metrics.json"):
        assert (runs / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EFBIG, "File too large; raise the limit on the size of files (ulimit -f)"),
        (errno.EDQUOT, "free some space"),
        (errno.EROFS, "Read-only file system; choose a writable --out"),
    ],
)
def test_what_the_file_system_refuses_is_one_sentence(failing, monkeypatch, number, words) -> None:
    def refused(*_: object) -> None:
        raise OSError(number, os.strerror(number), "runs/x.npy")

    monkeypatch.setattr(cli, "session", refused)
    sentence = failing()
    assert sentence.startswith("runs/x.npy: ")
    assert words in sentence


def test_errors_of_ours_keep_their_traceback(tmp_path, monkeypatch) -> None:
    for error in (TypeError("ours"), OSError(errno.EBADF, "Bad file descriptor"), AssertionError()):

        def broken(*_: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(cli, "session", broken)
        monkeypatch.setattr(sys, "argv", ["experiments.small", "--out", str(tmp_path)])
        with pytest.raises(type(error)):
            cli.main(quick_table)


def test_a_fault_of_ours_in_a_run_is_told_from_a_mistake(tmp_path, data, failing, monkeypatch) -> None:
    """A ValueError from inside was printed as if a user could mend it, and its traceback was nowhere (C1)."""

    def broken(self, batch, generator):
        return torch.zeros(2) + torch.zeros(3)

    flags = ("--data", data, "--out", tmp_path)
    failed = tmp_path / "smoke" / "expert-seed0" / "failed.txt"
    with monkeypatch.context() as patch:
        patch.setattr(Denoiser, "losses", broken)
        sentence = failing(*flags)
        assert sentence.startswith("RuntimeError: The size of tensor")
        assert f"This is a fault of the program; its traceback is in {failed}, and --debug shows it here" in sentence
        kept = failed.read_text()
        assert kept.startswith("RuntimeError: The size of tensor")
        assert "Traceback (most recent call last)" in kept
        assert "in broken" in kept
        patch.setattr(sys, "argv", ["experiments.small", "--profile", "smoke", "--debug", *map(str, flags)])
        with pytest.raises(RuntimeError, match="The size of tensor"):
            cli.main(quick_table)
    finish(data, tmp_path)
    assert not failed.exists()


def test_a_mistake_of_a_user_leaves_one_sentence_and_no_traceback(tmp_path, data, failing, monkeypatch) -> None:
    def refused(self, batch, generator):
        raise UserError("The images are too small; render larger ones.")

    monkeypatch.setattr(Denoiser, "losses", refused)
    assert failing("--data", data, "--out", tmp_path) == "The images are too small; render larger ones."
    kept = (tmp_path / "smoke" / "expert-seed0" / "failed.txt").read_text()
    assert kept == "UserError: The images are too small; render larger ones.\n"


@pytest.mark.parametrize(
    "link", ["expert-seed0/checkpoints", "expert-seed0", "workers", "workers/2.log", "tables/small"]
)
def test_nothing_behind_a_link_is_lost(tmp_path, data, failing, link) -> None:
    """A planted checkpoints/ lost every .ckpt behind it, a planted workers/2.log its target's content (D8)."""
    private, path = tmp_path / "private", tmp_path / "out" / "smoke" / link
    private.mkdir()
    (private / "step=9.ckpt").write_text("mine")
    path.parent.mkdir(parents=True)
    path.symlink_to(private / "step=9.ckpt" if path.suffix else private)
    sentence = failing("--data", data, "--out", tmp_path / "out", "--workers", 2)
    assert f"{path} leads to {private}" in sentence
    assert "nothing is read or written there" in sentence
    assert [(p.name, p.read_text()) for p in private.iterdir()] == [("step=9.ckpt", "mine")]


def test_a_log_replaces_a_link_to_another_file_of_its_folder(tmp_path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / "2.log").symlink_to(tmp_path / "mine.txt")
    with workers.helpers(2, ("-c", "print('worked')"), tmp_path):
        pass
    assert (tmp_path / "mine.txt").read_text() == "mine"
    assert (tmp_path / "2.log").read_text() == "worked\n"


def test_brackets_in_a_message_are_printed(failing, monkeypatch) -> None:
    def broken(*_: object) -> None:
        raise UserError("expected uint8 [n, 3, H, W], found [/b]")

    monkeypatch.setattr(cli, "session", broken)
    assert failing() == "expected uint8 [n, 3, H, W], found [/b]"


def test_control_c_says_how_to_go_on(tmp_path, data, monkeypatch, capsys) -> None:
    plain, handler = Denoiser.losses, signal.getsignal(signal.SIGINT)

    def stopped(self, batch, generator):
        if self.step == 3:
            raise KeyboardInterrupt
        return plain(self, batch, generator)

    with monkeypatch.context() as patch:
        patch.setattr(Denoiser, "losses", stopped)
        patch.setattr(sys, "argv", ["small", "--profile", "smoke", "--data", str(data), "--out", str(tmp_path)])
        with pytest.raises(SystemExit) as stop:
            cli.main(quick_table)
    signal.signal(signal.SIGINT, handler)  # Lightning ignores further ones
    assert stop.value.code == 130
    assert "Run the same command again to go on." in capsys.readouterr().out
    assert not (tmp_path / "smoke" / "expert-seed0" / "failed.txt").exists()
    finish(data, tmp_path)
