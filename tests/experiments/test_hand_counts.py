"""The doctor's network calls and GPU hours of three tables at paper, one of each paper, beside a count by hand."""

import pytest

from experiments import doctor, table1, table6, table10
from experiments.core import costs
from experiments.spec import plan


def gpu_hours(seconds: float, trained: float, asked: float, scored: float) -> float:
    """Hours of images trained on, of calls without a backward pass, and of scored images, with a margin of a half."""
    return 1.5 * seconds * (3.5 * trained + asked + 20 * scored) / 3600


def said(table, monkeypatch) -> tuple[int, float]:
    """Calls and GPU hours in the doctor's sentence."""
    monkeypatch.setattr(doctor, "_memory", lambda runs, cluster: doctor.Finding(what="", state="ok", found=""))
    found = {f.what: f.found for f in doctor._machine(plan([table]), "paper", None)}["hours"]
    words = found.replace(",", "").split()
    return int(words[1]), float(words[words.index("GPU") - 1])


def test_table_1(monkeypatch) -> None:
    """Eight GANs and an encoder ask no diffusion network; four denoisers do, and ten rows of 3,000 images in 100 steps."""
    gans, encoder = 8 * 2_700_000, 500_000 * 8
    denoisers = (3 + 2) * 100_000 * 8  # one of the four twice as long
    asked = (
        3_000 * 100 * (2 * 4 + 9 * 2)
    )  # ours and united-shared have two experts, each with its null; nine rows have two
    by_gans = 9 * 3_000  # the search of TediGAN has no text here
    images = 3_000 * (9 + 11 + 1)  # of GANs, of denoisers, real ones
    calls, hours = said(table1.table("paper", 0), monkeypatch)
    assert calls == denoisers + asked
    assert hours == pytest.approx(gpu_hours(0.01, gans + encoder + denoisers, asked + by_gans, images), abs=0.06)


def test_table_6(monkeypatch) -> None:
    """Four models have the U-Net as encoder of a label: one more call in training, without a backward pass, and a step."""
    plain = 6 * 1_000_000 * 640 + 100_000 * 640  # two of ADM, -U, -X in three ways; one fine-tuning
    encoding, tuned = 4 * 1_000_000 * 600, 2 * 100_000 * 600  # tuned for the image alone
    asked = 5_000 * 250 * (9 + 4 * 2)
    calls, hours = said(table6.table("paper", 0), monkeypatch)
    assert calls == plain + 2 * encoding + tuned + asked
    assert hours == pytest.approx(
        gpu_hours(0.001, plain + encoding + tuned, encoding + asked, 5_000 * (9 + 4 + 1)), abs=0.06
    )


def test_table_10(monkeypatch) -> None:
    """Without variation in time the two experts make each image twice, and their two dynamic diffusers once."""
    autoencoder, experts, together = 42_188 * 64, 2 * 126_562 * 32, 187_000 * 32
    asked = 3_000 * 50 * (2 * (2 + 2) + 2 * (2 * 2 + 2) + 2)
    calls, hours = said(table10.table("paper", 0), monkeypatch)
    assert calls == experts + 4 * together + asked
    trained, frozen = autoencoder + experts + 2 * together, 2 * together
    assert hours == pytest.approx(gpu_hours(0.01, trained, frozen + asked, 3_000 * (5 + 1)), abs=0.06)


def test_calls_of_an_encoding_are_no_rows_of_the_largest_call(monkeypatch) -> None:
    """The memory of sampling is that of one call; the U-Net as encoder is asked in another."""
    rows = {}
    monkeypatch.setattr(costs, "_call_bytes", lambda model, side, n, *, mixed: rows.setdefault(model.name, n))
    monkeypatch.setattr(costs, "rows_per_call", lambda *_: 10**9)
    for run in plan([table6.table("paper", 0)]):
        if run.name in ("mt-m-generated", "mt-x-generated"):
            costs.gpu_memory_gib(run)
    assert rows["mt-m-64"] == rows["mt-x-64"] > 0
