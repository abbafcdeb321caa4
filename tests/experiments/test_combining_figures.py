"""Figures and columns of the comparison: agreement over time in closed form, quality over calls, spread of one condition."""

from types import SimpleNamespace

import matplotlib.pyplot as plt
import pandas as pd
import pytest
import torch
from PIL import Image
from tiny import tiny_denoiser

from experiments import head_to_head, head_to_head_faces
from experiments.figures import agreement, own_noise, quality
from experiments.protocols import spread
from experiments.protocols.samples import Samples
from experiments.spec import plan, trainings
from lightning_mmdiff.methods.combining.own_latents_sampling import OwnLatents
from lightning_mmdiff.methods.unite_and_conquer import Expert, UniteAndConquer
from lightning_mmdiff.schedules import Sampler

MODEL = tiny_denoiser(0, spatial=(("hair", 1), ("skin", 1)))
SAMPLER = Sampler(name="spaced-ddim", num_steps=2)


def batch(count: int = 6) -> dict:
    draws = torch.Generator().manual_seed(1)
    maps = {name: torch.randint(256, (count, 1, 8, 8), generator=draws, dtype=torch.uint8) for name in ("hair", "skin")}
    image = torch.randint(256, (count, 3, 8, 8), generator=draws, dtype=torch.uint8)
    return {"image": image, "index": torch.arange(count), "conditions": maps}


def united(*conditions: str) -> UniteAndConquer:
    return UniteAndConquer([Expert(denoiser=MODEL, conditions=(name,)) for name in conditions], sampler=SAMPLER)


def test_with_a_common_null_the_error_of_equation_10_is_twice_the_inner_product() -> None:
    """D_t = -2 <e1 - u, e2 - u> for c = (1, 1, -1/2, -1/2) and one u."""
    found = agreement.compared(united("hair", "skin"), None, batch(), 400, torch.Generator().manual_seed(0))
    assert found["D_t"] == pytest.approx(-2 * found["inner product"], rel=1e-4)
    assert "Eq. 10 to the joint model" not in found
    alike = agreement.compared(united("hair", "hair"), None, batch(), 400, torch.Generator().manual_seed(0))
    assert alike["cosine"] == pytest.approx(1, abs=1e-5)
    assert alike["inner product"] > 0


def test_distance_from_the_joint_model() -> None:
    one = UniteAndConquer(
        [Expert(denoiser=MODEL, conditions=("hair",)), Expert(denoiser=MODEL, conditions=())], sampler=SAMPLER
    )
    joint = (MODEL, ("hair",))
    found = agreement.compared(one, joint, batch(), 700, torch.Generator().manual_seed(0))
    assert found["Eq. 10 to the joint model"] < 1e-10  # e1 + u - u
    assert found["Eq. 10 to the noise"] == pytest.approx(found["joint model to the noise"], rel=1e-4)
    other = agreement.compared(one, (MODEL, ("hair", "skin")), batch(), 700, torch.Generator().manual_seed(0))
    assert other["Eq. 10 to the joint model"] > 1e-6


def test_the_figure_has_its_numbers_beside_it(tmp_path) -> None:
    lines = [
        {"t": t, "inner product": 0.1, "cosine": 0.5, "D_t": -0.2, "Eq. 10 to the noise": 0.3} for t in (900, 500, 100)
    ]
    agreement.draw(pd.DataFrame(lines), tmp_path / "agreement.png")
    assert Image.open(tmp_path / "agreement.png").width > 1000
    assert pd.read_csv(tmp_path / "agreement.csv").t.tolist() == [900, 500, 100]


def own(theta: float) -> OwnLatents:
    experts = [Expert(denoiser=MODEL, conditions=(name,)) for name in ("hair", "skin")]
    return OwnLatents(experts, theta=theta, sampler=SAMPLER)


def test_noise_in_own_latents_at_theta_0_is_the_noise_of_equation_10() -> None:
    """z - alpha x = sigma eps_c there, for all terms alike."""
    sizes: list[float] = []

    def observed(z, t, conditions):
        eps = united("hair", "skin").predict_noise(z, t, conditions)
        sizes.append(float(eps.flatten(1).square().mean(dim=1).sqrt().mean()))
        return eps

    united("hair", "skin").predict_step(batch(), predict_noise=observed)
    found = own_noise.noise_sizes(own(0.0), batch())
    assert found.term.tolist() == ["hair", "skin", "null of hair", "null of skin"] * 2
    for (_, lines), size in zip(found.groupby("t", sort=False), sizes, strict=True):
        assert lines.noise.tolist() == pytest.approx([size] * 4, rel=1e-4)
    assert found.clamped.between(0, 1).all()


def test_own_latents_part_only_after_the_first_step() -> None:
    found = own_noise.noise_sizes(own(1.0), batch())
    first, second = (lines.noise for _, lines in found.groupby("t", sort=False))
    assert first.nunique() == 1 or first.std() < 1e-6
    assert second.std() > 1e-4


def test_the_figure_of_own_latents_has_its_numbers_beside_it(tmp_path) -> None:
    made = [
        own_noise.noise_sizes(own(t), batch()).assign(way=w)
        for w, t in (("Eq. 10", 0), ("theta 1/W", 0.5), ("theta 1", 1))
    ]
    own_noise.draw(pd.concat(made), tmp_path / "own-latents.png")
    assert Image.open(tmp_path / "own-latents.png").width > 1000
    assert len(pd.read_csv(tmp_path / "own-latents.csv")) == 3 * 2 * 4


def cell(value: float | None) -> SimpleNamespace:
    return SimpleNamespace(value=value, interval=None if value is None else (value - 0.1, value + 0.1))


def measured(label: str, calls: float, *values: float | None, ceiling: bool = False) -> SimpleNamespace:
    return SimpleNamespace(label=label, ceiling=ceiling, cells=(cell(calls), *(cell(v) for v in values)))


def table(*rows: SimpleNamespace, counts: bool = True) -> SimpleNamespace:
    protocols = (("Calls", quality.CALLS if counts else "GigaFlops"), ("KID", "KID"), ("Text", "CLIPScore"))
    metrics = tuple(SimpleNamespace(column=c, protocol=p, better="lower") for c, p in protocols)
    return SimpleNamespace(metrics=metrics, measured=rows, claims=(SimpleNamespace(metric="KID"),))


def test_quality_over_calls(tmp_path, monkeypatch) -> None:
    rows = [measured("long", 400, 0.4, 1), measured("short", 100, 0.5, 1), measured("new", 50, None, 1)]
    made = table(*rows, measured("real images", 0, 0.2, 1, ceiling=True))
    assert quality.judged(made) == [1]
    kept: list = []
    monkeypatch.setattr(plt, "close", kept.append)
    quality.draw(made, tmp_path / "quality.png")
    monkeypatch.undo()
    (axes,) = kept[0].axes
    points = {line.get_label(): line.get_xydata().tolist() for line in axes.lines if line.get_marker() != "None"}
    assert {name: value for name, [[_, value]] in points.items()} == {"2 short (100)": 0.5, "3 long (400)": 0.4}
    assert [place for [[place, _]] in points.values()] == pytest.approx([100, 400])
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["50", "100", "400"]
    assert Image.open(tmp_path / "quality.png").width > 500
    plt.close(kept[0])
    assert quality.can_draw(made)
    assert not quality.can_draw(table(*rows, counts=False))
    assert not quality.can_draw(table(measured("real images", 0, 1, 1, ceiling=True)))


def test_rows_of_about_the_same_cost_stand_together() -> None:
    assert quality.grouped([25, 25, 50, 384, 388, 400]) == [[25, 25], [50], [384, 388, 400]]


class FourImages:
    """Test images that write down which of them were asked for."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []

    def __len__(self) -> int:
        return 4

    def batch(self, numbers: list[int]) -> dict:
        self.asked.append(list(numbers))
        return batch(len(numbers))


def test_spread_samples_the_same_conditions_with_other_noise(monkeypatch) -> None:
    module = united("hair", "skin")
    data = SimpleNamespace(test=FourImages())
    monkeypatch.setattr(spread.build, "method", lambda run, runs: module)
    run = SimpleNamespace(num_images=6, method=SimpleNamespace(is_real=False))
    samples = Samples.__new__(Samples)
    samples.run, samples.data, samples._known = run, data, {}
    samples.folder = SimpleNamespace(parent=None)
    first = module.predict_step(batch(6))
    samples.__dict__["stored"] = first
    second = spread.again(samples)
    assert data.test.asked == [[0, 1, 2, 3, 0, 1]]
    assert not torch.equal(first, second)
    expected = module.predict_step({**batch(6), "index": torch.arange(6, 12)})
    assert torch.equal(second, expected)


@pytest.mark.parametrize("made", [head_to_head, head_to_head_faces])
@pytest.mark.parametrize("profile", ["smoke", "mini", "paper"])
def test_models_of_the_figure_are_trained_by_the_table(made, profile: str) -> None:
    found = made.table(profile, 0)
    assert found.agreement is not None
    planned = plan([found])
    assert found.agreement.united in planned
    assert set(trainings(found.agreement)) <= set(planned)
