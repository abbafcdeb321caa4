"""Samples of ways to combine trained experts without training anything: the methods of 2023 to 2026 beside Eq. 10.

Weights are w = 1 and reliabilities a = 1/2 wherever a method has them: the product that a joint model of both conditions learns.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from experiments.protocols.catalogue import column
from experiments.runs import SampleRun
from experiments.spec import Claim, Metric, Profile, Row, our_claims
from lightning_mmdiff.methods.combining.choosing import BlendBySaliency, Switch
from lightning_mmdiff.methods.combining.feynman_kac_sampling import UniteParticles
from lightning_mmdiff.methods.combining.guidance import UniteInInterval, UnitePlusPlus
from lightning_mmdiff.methods.combining.langevin_sampling import UniteCorrected
from lightning_mmdiff.methods.combining.own_latents_sampling import UniteOwnLatents
from lightning_mmdiff.methods.combining.superdiff_sampling import Superpose
from lightning_mmdiff.methods.config import ExpertUse, MethodConfig
from lightning_mmdiff.methods.unite_and_conquer import Unite

Sampled = Callable[[Profile, str, MethodConfig], SampleRun]
"""Function of a profile, a name and a method to the run that samples it, such as ``collaborated``."""

PRODUCT, CHOICE = "As a product (w = 1, a = 1/2)", "One expert at a time"
ETA_0, ETA_1 = "Eq. 10, eta 0", "Eq. 10, eta 1"
LONG_0, LONG_1 = f"{ETA_0}, 4 times the steps", f"{ETA_1}, 4 times the steps"
OWN, OWN_1 = "own latents, theta 1/W", "own latents, theta 1"
LANGEVIN, METROPOLIS = "3 Langevin corrections, eta 0", "3 Metropolis corrections, eta 0"
PARTICLES_4, PARTICLES_8 = "Feynman-Kac, 4 particles, eta 1", "Feynman-Kac, 8 particles, half the steps, eta 1"
ACROSS = "own latents, theta 1/W, pixels and latents"
INTERVAL, PLUS_PLUS = "guidance in an interval, eta 0", "CFG++, eta 0"
AUTOGUIDED = "guided by weak copies, eta 0"
AND, OR = "SuperDiff AND", "SuperDiff OR"
SALIENCY, SWITCH = "blended by saliency, guidance 2, eta 0", "switched in time, eta 0"
CHOICES = (AND, OR, SALIENCY, SWITCH)
COSTS = (
    column("Calls", "NetworkCalls"),
    column("GFLOPs", "GigaFlops"),
    column("ms", "MillisecondsPerImage"),
    column("Trained (M)", "MillionParameters-Combination"),
)
LEVELS = (0.28, 1.61)
"""Noise levels sigma / alpha between which guidance acts: those published for EDM2-XXL at 512 px and FID."""
NOTE = (
    "Correctors (but at the first step) and particles take as many evaluations as Eq. 10 with 4 times the steps. "
    "Feynman-Kac's control, which picks one particle at random, is Eq. 10 at eta 1 in law. Guidance in an interval acts "
    f"between noise levels {LEVELS[0]} and {LEVELS[1]}, as published for images of 512 px. SuperDiff has no guidance and adds "
    "the noise of eta 1."
)


def ways(profile: Profile, experts: tuple[ExpertUse, ...], sampled: Sampled, prefix: str) -> dict[str, SampleRun]:
    """Return a run for each way to combine ``experts``, by label; the products first.

    Args:
        profile: profile of the runs.
        experts: two experts, each with its conditions.
        sampled: makes the run that samples a method.
        prefix: beginning of the names of the runs.
    """
    united = Unite(experts=experts)

    def run(name: str, method: MethodConfig = united, *, share: float = 1, **steps: Any) -> SampleRun:
        return stepped(sampled(profile, f"{prefix}-{name}", method), share=share, **steps)

    low, high = LEVELS
    return {
        ETA_0: run("eta-0", eta=0.0),
        ETA_1: run("eta-1", eta=1.0),
        LONG_0: run("eta-0-long", share=4, eta=0.0),
        LONG_1: run("eta-1-long", share=4, eta=1.0),
        OWN: run("own-latents", UniteOwnLatents(experts=experts), eta=0.0),
        OWN_1: run("own-latents-1", UniteOwnLatents(experts=experts, theta=1.0), eta=0.0),
        LANGEVIN: run("langevin", UniteCorrected(experts=experts), eta=0.0),
        METROPOLIS: run("metropolis", UniteCorrected(experts=experts, adjusted=True), eta=0.0),
        PARTICLES_4: run("particles-4", UniteParticles(experts=experts, particles=4), eta=1.0),
        PARTICLES_8: run("particles-8", UniteParticles(experts=experts, particles=8), share=1 / 2, eta=1.0),
        INTERVAL: run("interval", UniteInInterval(experts=experts, low=low, high=high), eta=0.0),
        PLUS_PLUS: run("plus-plus", UnitePlusPlus(experts=experts), eta=0.0),
        AND: run("and", Superpose(experts=experts, operation="and"), eta=0.0),
        OR: run("or", Superpose(experts=experts, operation="or"), eta=0.0),
        SALIENCY: run("saliency", BlendBySaliency(experts=experts, guidance=2.0), eta=0.0),
        SWITCH: run("switch", Switch(experts=experts), eta=0.0),
    }


def spread(published: bool) -> Metric:
    """Return the column that tells how much samples of one condition differ, by a published network or by a stand-in."""
    return column("Spread", "Spread-LPIPS" if published else "Spread-EffNetLite0")


def stepped(run: SampleRun, *, share: float = 1, **steps: Any) -> SampleRun:
    """Return ``run`` with ``share`` times its steps and other fields of its sampler, such as eta."""
    assert run.sampler is not None
    count = max(1, int(share * run.sampler.num_steps))
    return replace(run, sampler=replace(run.sampler, num_steps=count, **steps))


def grouped(runs: Mapping[str, SampleRun]) -> tuple[Row, ...]:
    """Return a row for each run, those that take one expert at a time in a group of their own at the end."""
    products = [Row(group=PRODUCT, label=label, sample=run) for label, run in runs.items() if label not in CHOICES]
    return (*products, *(Row(group=CHOICE, label=x, sample=runs[x]) for x in CHOICES if x in runs))


def claims_on(labels: Iterable[str], columns: Sequence[str]) -> tuple[Claim, ...]:
    """Return the claims of ``CLAIMS`` whose two rows are in a table, on each of its ``columns``."""
    present = set(labels)
    return our_claims((claim for claim in CLAIMS if {*claim[1:]} <= present), columns)


CLAIMS = (
    ("noise in the steps helps a combination (eta 1 beats eta 0 at equal calls)", ETA_1, ETA_0),
    ("own latents beat Eq. 10 at equal calls", OWN, ETA_0),
    ("own latents with theta 1 beat theta 1/W", OWN_1, OWN),
    ("one space beats two: two pixel experts beat a pixel and a latent one", OWN, ACROSS),
    ("4 Feynman-Kac particles beat one picked at random", PARTICLES_4, ETA_1),
    ("8 Feynman-Kac particles beat 4 at equal calls", PARTICLES_8, PARTICLES_4),
    ("Langevin corrections beat the same calls spent on more steps", LANGEVIN, LONG_0),
    ("Metropolis corrections beat the same calls spent on more steps", METROPOLIS, LONG_0),
    ("Feynman-Kac weights beat the same calls spent on more steps", PARTICLES_4, LONG_1),
    ("more steps close a part of the gap to the product", LONG_0, ETA_0),
    ("guidance in an interval beats guidance at all levels", INTERVAL, ETA_0),
    ("CFG++ beats constant guidance", PLUS_PLUS, ETA_0),
    ("weak copies guide better than unconditional experts", AUTOGUIDED, ETA_0),
    ("all experts everywhere beat the most salient one in each pixel, at equal guidance", ETA_0, SALIENCY),
)
"""Text, better row, worse row. The first ones, on eta 1, own latents, Langevin steps, particles and more steps, were written down
before anything was measured. When Eq. 10 and own latents had numbers of one training at mini, those on particles were changed and
the others (theta 1, two spaces, Metropolis, interval, CFG++, weak copies, saliency) added; each concerns a row that had not run.
"""
