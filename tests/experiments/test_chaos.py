"""Sixty random faults over a table with two workers: the numbers of a quiet run, or one sentence that says what to do."""

import random
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from os import kill
from pathlib import Path

import pytest
import small_runs
from safetensors import SafetensorError
from safetensors.numpy import load_file
from test_kills import results
from warm import Warm

from lightning_mmdiff.runtime.files import TEMPORARY
from lightning_mmdiff.runtime.processes import started

FAULTS = 60
RUNS = ("expert", "samples")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return small_runs.write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture
def disk(tmp_path) -> Iterator[Path]:
    """A small disk of its own, which can be filled; a plain folder where mounting is refused."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", folder], capture_output=True, check=False
    )
    yield folder
    if mounted.returncode == 0:
        subprocess.run(["umount", "--lazy", folder], check=True)


class Worker:
    """One process of the command, started again whenever it ends early."""

    def __init__(self, chaos: "Chaos", number: int) -> None:
        self.chaos, self.log = chaos, chaos.control / f"log{number}.txt"
        self.pid, self.signaled, self.said = 0, 0, 0
        self.begin()

    def begin(self) -> None:
        self.said, self.signaled = self.log.stat().st_size if self.log.exists() else 0, 0
        flags = ("--data", self.chaos.data, "--out", self.chaos.out, "--only", *RUNS)
        control = str(self.chaos.control)
        self.pid = self.chaos.warm.start("impatient_table", *flags, log=self.log, DISTURBED=control)

    def send(self, number: int) -> None:
        with suppress(ProcessLookupError):
            kill(self.pid, number)

    def ended(self) -> int | None:
        """Exit code; None while it is at work. One that ended early must have said why in a sentence."""
        if started(self.pid) is not None:
            return None
        code = self.chaos.warm.wait(self.pid)
        text = self.log.read_bytes()[self.said :].decode()
        assert "Traceback" not in text, text[-3000:]
        if code == 1:
            sentences = re.findall(r"^error: (.*)$", text, re.MULTILINE)
            assert len(sentences) == 1, text[-3000:]
            self.chaos.follow(sentences[0])
        elif code:
            assert code in (-self.signaled, 128 + self.signaled), (code, self.signaled, text[-3000:])
        return code


class Chaos:
    """Two workers in one folder, and what can happen to them."""

    def __init__(self, warm: Warm, data: Path, out: Path, control: Path, rng: random.Random) -> None:
        self.warm, self.data, self.out, self.control, self.rng = warm, data, out, control, rng
        control.mkdir()
        out.mkdir()
        self.sentences: list[str] = []
        self.kinds: Counter[str] = Counter()
        self.edited = False
        self.workers = [Worker(self, number) for number in range(2)]

    def follow(self, sentence: str) -> None:
        """Do what a sentence asks for; it must be one that can be followed."""
        self.sentences.append(sentence)
        if "was made with other settings (fingerprints" in sentence or "was packed from other files while" in sentence:
            assert self.edited  # the label map is the old one again by now
        elif found := re.match(r"(\S+) is damaged .*; delete it and run the same command", sentence):
            if damaged(Path(found[1])):  # the other worker may have followed already
                Path(found[1]).unlink()
        else:
            assert "No space left on device" in sentence, sentence

    def until_done(self, faults: int) -> int:
        """Disturb until the work is done; return the number of faults."""
        made = 0
        while self.workers:
            time.sleep(self.rng.uniform(0.05, 0.5))
            for worker in list(self.workers):
                code = worker.ended()
                if code == 0:
                    self.workers.remove(worker)
                elif code is not None:
                    worker.begin()
            if self.workers and made < faults:
                kind = self.rng.choice(self.possible())
                self.kinds[kind.__name__] += 1
                kind(self.rng.choice(self.workers))
                made += 1
        self._mend()
        return made

    def _mend(self) -> None:
        """Train again what was damaged after its last reader; whoever reads it next would be told to."""
        weights = self.out / "smoke" / "expert" / "weights.safetensors"
        if damaged(weights):
            weights.unlink()
            worker = Worker(self, 2)
            assert self.warm.wait(worker.pid) == 0

    def possible(self) -> list[Callable[[Worker], None]]:
        found = [self.killed, self.stopped, self.stopped_for_long, self.stale, self.ahead]
        found += [self.cut_checkpoint, self.cut_weights]
        if (
            self.out / "smoke" / "expert" / "config.json"
        ).exists():  # what begins on an edit is of the edit, and says so
            found.append(self.edit)
        return found + ([self.full] if self.out.parent.is_mount() else [])

    def killed(self, worker: Worker) -> None:
        worker.signaled = self.rng.choice((signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1))
        worker.send(worker.signaled)
        while started(worker.pid) is not None:
            time.sleep(0.005)

    def stopped(self, worker: Worker, seconds: float = 0.3) -> None:
        worker.send(signal.SIGSTOP)
        time.sleep(seconds)
        worker.send(signal.SIGCONT)

    def stopped_for_long(self, worker: Worker) -> None:
        """Long enough to be taken for dead."""
        self.stopped(worker, self.rng.uniform(1.2, 2))

    def full(self, worker: Worker) -> None:
        filler = self.out.parent / "filler"
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 16))
        time.sleep(0.4)
        filler.unlink()

    def stale(self, worker: Worker) -> None:
        (self.control / "stale").touch()
        time.sleep(self.rng.uniform(0.1, 1.5))
        (self.control / "stale").unlink()

    def ahead(self, worker: Worker) -> None:
        """The clock of its machine is an hour ahead from now on; its next life has the right time."""
        (self.control / f"ahead-{worker.pid}").touch()

    def edit(self, worker: Worker) -> None:
        """A label map is another one while a worker starts, and the old one again before the next does."""
        self.edited = True
        one, other = sorted((self.data / "CelebAMask-HQ" / "CelebAMask-HQ-mask-anno").glob("*/*_hair.png"))[:2]
        before = one.read_bytes()
        self.killed(worker)
        worker.ended()
        rewrite(one, other.read_bytes())
        try:
            worker.begin()
            end = time.monotonic() + 2
            while time.monotonic() < end and started(worker.pid) is not None:
                time.sleep(0.01)
        finally:
            rewrite(one, before)

    def cut_checkpoint(self, worker: Worker) -> None:
        self._cut(self.out.glob("smoke/expert/checkpoints/step=*.ckpt"))

    def cut_weights(self, worker: Worker) -> None:
        self._cut(self.out.glob("smoke/expert/weights.safetensors"))

    def _cut(self, paths: Iterator[Path]) -> None:
        """Leave half of the newest file."""
        with suppress(FileNotFoundError):
            newest = max(paths, key=lambda path: path.stat().st_mtime, default=None)
            if newest is not None:
                half = newest.with_name("half")
                half.write_bytes(newest.read_bytes()[: newest.stat().st_size // 2])
                half.rename(newest)


def rewrite(path: Path, content: bytes) -> None:
    """Replace the file at once: nobody can read half of it."""
    path.with_suffix(".new").write_bytes(content)
    path.with_suffix(".new").rename(path)


def damaged(weights: Path) -> bool:
    try:
        load_file(weights)
    except SafetensorError:
        return True
    except FileNotFoundError:
        return False
    return False


def kept(runs: Path) -> dict[str, bytes]:
    """Content of all results; what killed processes leave beside them is removed by the next command.

    The features of real images carry the fingerprint of their data and are computed again for another: they may be of an edit.
    """
    found = {name: content for name, content in results(runs).items() if not name.startswith("reference/")}
    left = [n for n in found if ".locks" in n or TEMPORARY.fullmatch(Path(n).name) or Path(n).name == "failed.txt"]
    return {name: content for name, content in found.items() if name not in left}


@pytest.mark.slow
def test_sixty_faults_end_in_the_numbers_of_a_quiet_run(warm, tmp_path, data, disk) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # shown when the test fails
    rng, faults, kinds = random.Random(seed), 0, Counter()
    quiet = tmp_path / "quiet"
    quiet.mkdir()
    flags = ("--data", data, "--out", quiet, "--only", *RUNS)
    assert warm.wait(warm.start("impatient_table", *flags, log=tmp_path / "quiet.txt")) == 0
    for chain in count():
        chaos = Chaos(warm, data, disk / f"out{chain}", tmp_path / f"control{chain}", rng)
        faults += chaos.until_done(FAULTS - faults)
        kinds += chaos.kinds
        print(f"{faults} faults after chain {chain}: {dict(kinds)}; the last sentences: {chaos.sentences[-2:]}")
        here, there = (kept(out / "smoke") for out in (chaos.out, quiet))
        assert here.keys() == there.keys()
        for name in here:
            assert here[name] == there[name], name
        shutil.rmtree(chaos.out)
        if faults >= FAULTS:
            break
