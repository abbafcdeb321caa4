"""Few steps: which sampler to use for combined experts, and with how many steps. In no paper.

python -m experiments.few_steps --profile mini
"""

from dataclasses import replace

from experiments.engine.cli import main
from experiments.protocols.catalogue import column
from experiments.recipes.beside_fid import KID
from experiments.recipes.collaborative import (
    FID_ALL,
    MASK,
    MIOU,
    TEXT,
    collaborated,
    diffusers,
    mask_and_text,
    metrics,
)
from experiments.recipes.evaluators import attribute_evaluator, face_parser
from experiments.runs import SampleRun
from experiments.spec import Claim, Profile, Row, Table, our_claims
from experiments.table9 import ceiling, judged, ours
from lightning_mmdiff.methods.collaborative.generation import Collaborate
from lightning_mmdiff.methods.collaborative.influence import InfluenceConfig
from lightning_mmdiff.methods.config import MethodConfig
from lightning_mmdiff.methods.unite_and_conquer import Unite
from lightning_mmdiff.schedules import SamplerName

SAMPLERS: dict[SamplerName, str] = {"ddim": "DDIM", "dpm-solver++": "DPM-Solver++", "unipc": "UniPC"}
STEPS = (10, 25, 100)
UNITED, COLLABORATIVE = "United (Eq. 10, w = 1, a = 1/2)", "Collaborative (dynamic diffusers)"
NOTES = (
    "All samplers are deterministic here (eta 0); the papers sample by DDIM with 50 steps (Collaborative Diffusion, eta 1) or "
    "100 (Unite and Conquer).",
    "The experts are those of Table 9.",
)


def label(sampler: SamplerName, steps: int, group: str) -> str:
    """Return the label of a row: sampler, steps and the first word of its group."""
    return f"{SAMPLERS[sampler]}, {steps} steps, {group.split()[0].lower()}"


def sampled(profile: Profile, method: MethodConfig, name: str, sampler: SamplerName, steps: int) -> SampleRun:
    """Return the run of a method with a sampler; Table 9's own run if it is the same but for its name.

    Args:
        profile: profile of the run.
        method: the method.
        name: name of the run, to which the sampler is added.
        sampler: name of the sampler.
        steps: number of steps.
    """
    run = collaborated(profile, f"{name}-{sampler}-{steps}", method)
    assert run.sampler is not None
    made = replace(run, sampler=replace(run.sampler, name=sampler, num_steps=steps, eta=0.0))
    known = ours(profile, run.seed)
    return known if replace(known, name=made.name) == made else made


def rows(profile: Profile, seed: int) -> tuple[Row, ...]:
    """Return a row for each method, sampler and number of steps."""
    methods: dict[str, tuple[str, MethodConfig]] = {
        UNITED: ("few-united", Unite(experts=mask_and_text(profile, seed))),
        COLLABORATIVE: (
            "few-collaborative",
            Collaborate(model=diffusers(profile, seed), influence=InfluenceConfig()),
        ),
    }
    return tuple(
        Row(group=group, label=label(sampler, steps, group), sample=sampled(profile, method, name, sampler, steps))
        for group, (name, method) in methods.items()
        for sampler in SAMPLERS
        for steps in STEPS
    )


def claims(profile: Profile) -> tuple[Claim, ...]:
    """Return what would speak against few steps, and for the solvers of higher order."""
    pairs = [
        *(("100 steps beat 25 by DDIM", label("ddim", 100, m), label("ddim", 25, m)) for m in (UNITED, COLLABORATIVE)),
        *(
            (f"{SAMPLERS[solver]} beats DDIM at 10 steps", label(solver, 10, group), label("ddim", 10, group))
            for solver in ("dpm-solver++", "unipc")
            for group in (UNITED, COLLABORATIVE)
        ),
    ]
    return our_claims(pairs, judged(profile))


def table(profile: Profile, seed: int) -> Table:
    """Return the table: quality over steps for three samplers and two ways to combine experts."""
    return Table(
        name="few_steps",
        title="Mask and text: samplers and numbers of steps for combined experts",
        paper="in no paper",
        metrics=(*metrics(profile, FID_ALL, TEXT, MASK, MIOU, KID), column("Calls", "NetworkCalls")),
        rows=(*rows(profile, seed), ceiling(profile)),
        claims=claims(profile),
        notes=NOTES,
        evaluators=(*face_parser(profile), *attribute_evaluator(profile)),
    )


if __name__ == "__main__":
    main(table)
