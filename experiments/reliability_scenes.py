"""Reliability of dependent conditions: Unite and Conquer (Nair et al., CVPR 2023), Fig. 6, 7, 9-12, 25-26, Sec. 4.3 and 6.

python -m experiments.reliability_scenes --profile mini
"""

from experiments.engine.cli import main
from experiments.recipes.scenes import ACCURACY, BOTH, CLIP, NIQE, OTHER, SCENE, Experts, judges, metrics
from experiments.recipes.settings.scenes import of
from experiments.runs import SampleRun
from experiments.spec import Claim, Profile, Row, Table

RELIABILITIES = (0.0, 0.25, 0.5, 0.75, 1.0)
WEIGHTS = (1.0, 2.0, 5.0, 8.0)
MIDDLE = 0.5
CONTRADICTIONS = {
    "equal weights": (5.0, 5.0),
    "class 8, text 2": (8.0, 2.0),
    "class 2, text 8": (2.0, 8.0),
}
"""Label -> weights of the class and of the text, which sum to 10."""
EQUAL, CLASS_FIRST, TEXT_FIRST = CONTRADICTIONS


def cell(w: float, a: float) -> str:
    """Return the label of a setting of the grid."""
    return f"w = {w:g}, a = {a:g}"


def runs(profile: Profile, seed: int) -> dict[tuple[str, str], SampleRun]:
    """Return (group, label) -> run: the grid, then texts that name another thing than the class; none at paper."""
    settings = of(profile)
    if settings is None:
        return {}
    use = Experts(settings=settings, seed=seed)
    grid = {
        (f"Reliability a of the text, w = {w:g}", cell(w, a)): use.few(
            f"grid-w{w:g}-a{a:g}", use.united(a=a, weights=(w, w))
        )
        for w in WEIGHTS
        for a in RELIABILITIES
    }
    weighted = {
        ("The text names another thing than the class", label): use.few(
            f"contradictory-{weights[0]:g}-{weights[1]:g}", use.united(weights=weights, prompt="other_caption")
        )
        for label, weights in CONTRADICTIONS.items()
    }
    reliable = {
        ("The text names another thing than the class", f"equal weights, a = {a:g}"): use.few(
            f"contradictory-a{a:g}", use.united(a=a, prompt="other_caption")
        )
        for a in (0.0, 1.0)
    }
    return {**grid, **weighted, **reliable}


def claims() -> tuple[Claim, ...]:
    """Return UC7 and UC8, and what weight does."""
    text = "the model with more reliability is followed more"
    found = [
        Claim(
            id="UC7",
            text=f"{text}, w = {w:g}",
            metric=metric,
            better=cell(w, better),
            worse=cell(w, 1 - better),
            source="Sec. 4.3",
        )
        for w in WEIGHTS
        for metric, better in ((ACCURACY, 0), (SCENE, 1))
    ]
    fails = "a text that names another thing spoils the class"
    found.append(Claim(id="UC8", text=fails, metric=ACCURACY, better=cell(5, MIDDLE), worse=EQUAL, source="Sec. 6"))
    repair = (
        ("more weight for the class brings it back", ACCURACY, CLASS_FIRST),
        ("more weight for the text brings back its thing", OTHER, TEXT_FIRST),
    )
    found += [
        Claim(id="UC8", text=text, metric=metric, better=row, worse=EQUAL, source="Sec. 6")
        for text, metric, row in repair
    ]
    found += [
        Claim(
            id="UC8",
            text="reliability brings back its model's thing",
            metric=metric,
            better=f"equal weights, a = {a:g}",
            worse=EQUAL,
            source="Sec. 6",
        )
        for metric, a in ((ACCURACY, 0), (OTHER, 1))
    ]
    found += [
        Claim(
            id="ours",
            text=f"both are shown more often at w = {w:g} than at w = 1",
            metric=BOTH,
            better=cell(w, MIDDLE),
            worse=cell(1, MIDDLE),
        )
        for w in WEIGHTS[1:]
    ]
    return tuple(found)


def table(profile: Profile, seed: int) -> Table:
    """Return the table: a grid over reliability and weight from the same noise, then contradictory texts."""
    found = runs(profile, seed)
    rows = tuple(Row(group=group, label=label, sample=run) for (group, label), run in found.items())
    return Table(
        name="reliability_scenes",
        title="Reliability and weight for scenes",
        paper="Unite and Conquer (CVPR 2023), Fig. 6, 7, 9-12, 25-26",
        metrics=metrics(NIQE, CLIP, ACCURACY, SCENE, BOTH, OTHER),
        rows=rows,
        claims=claims() if rows else (),
        notes=(
            "a is the reliability of the text model, the class model has 1 - a; w is the weight of both. All rows start from the "
            "same noise.",
            "Contradictory texts name a common thing, such as 'a ball in the photo', while the class is a rare one; a picture "
            "shows one thing. Scene and Both do not apply to them, since their text has no scene.",
        ),
        evaluators=judges(profile),
    )


if __name__ == "__main__":
    main(table)
