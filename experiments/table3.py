"""Table 3: Unite and Conquer (Nair et al., CVPR 2023), Table 3 -- scenes from a text and a class.

python -m experiments.table3 --profile mini
"""

from experiments.engine.cli import main
from experiments.recipes import released_scenes
from experiments.recipes.beside_fid import KID
from experiments.recipes.released_scenes import experts, metrics
from experiments.recipes.scenes import (
    ACCURACY,
    BOTH,
    CALLS,
    CLIP,
    FD,
    FIRST_CLASS,
    NIQE,
    OTHER,
    RELEASED,
    SCENE,
    WEIGHT,
    judges,
)  # fmt: skip
from experiments.recipes.settings.scenes import of
from experiments.runs import SampleRun
from experiments.spec import Claim, Profile, Row, Table
from lightning_mmdiff.methods.single import RealImages
from lightning_mmdiff.methods.unite_and_conquer import Unite
from reports.galleries import Figure, Line

GLIDE, COMPGEN, OURS = "GLIDE", "CompGen", "OURS"
PRINTED, RELIABILITY, GRID, FAIR = (
    "As printed",
    "Ours over the reliability a of the text, w = 5",
    "Ours over reliability and weight (not in the paper's table)",
    "Fair comparison (not in the paper)",
)
PUBLISHED = {
    GLIDE: {NIQE: 6.64, CLIP: 0.317, ACCURACY: 0.3},
    COMPGEN: {NIQE: 5.71, CLIP: 0.282, ACCURACY: 22.4},
    OURS: {NIQE: 5.34, CLIP: 0.286, ACCURACY: 87.0},
}
RELIABILITIES = (0.0, 0.25, 0.5, 0.75, 1.0)
REPORTED = (0.0, 0.5, 1.0)
"""Reliabilities of the text of which the paper reports the best."""
CONTRADICTORY = "The text names another thing than the class (not in the paper's table)"
CONTRADICTIONS = {
    "equal weights": (0.5, 5, 5), "class 8, text 2": (0.5, 8, 2), "class 2, text 8": (0.5, 2, 8),
    "equal weights, a = 0": (0, 5, 5), "equal weights, a = 1": (1, 5, 5),
}  # fmt: skip
"""Label -> reliability of the text, weights of class and text."""
NO_CONTRADICTION = "the scene's text, equal weights"
"""Ours at a = 0.5 and w = 5, with as many images as the rows that it is compared with."""
WEIGHTS = (1.0, 2.0, 8.0)
"""Weights of both models beside the paper's."""
CLASS, CLASS_TWICE = "class model alone, guided", "class model alone, guided, calls of a = 0.5"
GLIDE_TWICE, COMPGEN_LONGER = "GLIDE, calls of a = 0.5", "CompGen, calls of a = 0.5"
RELEASED_ROW, FIRST_ROW = "a = 4/9, null class 0 (released code)", "a = 0.5, null class 0"
GLIDE_WEIGHT, COMPGEN_WEIGHT = 3.0, 7.5
"""Guidance of OpenAI's notebook, which the paper does not name, and of the released CompGen script."""


REAL = "real images"
BARS = "Shaded: the 95% intervals."


def at(a: float, w: float = WEIGHT) -> str:
    """Return the label of ours at a reliability of the text model and a weight of both."""
    return f"a = {a:g}" if w == WEIGHT else f"a = {a:g}, w = {w:g}"


def runs(profile: Profile, seed: int) -> dict[str, SampleRun]:
    """Return label -> run of every measured row."""
    use, learned_null = experts(profile, seed), of(profile).trained is not None
    glide = Unite(experts=(use.text("full_caption", weight=GLIDE_WEIGHT),))
    prompts = ("caption", "object_caption")
    compgen = Unite(experts=tuple(use.text(prompt, weight=COMPGEN_WEIGHT) for prompt in prompts))
    alone = Unite(experts=(use.thing(weight=GLIDE_WEIGHT),))
    return {
        GLIDE: use.sampled("glide", glide, eta=1),
        COMPGEN: use.sampled("compgen", compgen, eta=1),
        **{at(a): use.sampled(f"a{a:g}", use.united(a=a)) for a in RELIABILITIES},
        CLASS: use.sampled("class", alone),
        CLASS_TWICE: use.sampled("class-longer", alone, longer=2),
        GLIDE_TWICE: use.sampled("glide-longer", glide, eta=1, longer=2),
        COMPGEN_LONGER: use.sampled("compgen-longer", compgen, eta=1, longer=4 / 3),
        **{at(a, w): use.few(f"a{a:g}-w{w:g}", use.united(a=a, weights=(w, w))) for w in WEIGHTS for a in REPORTED},
        NO_CONTRADICTION: use.few("scene-text", use.united(a=0.5)),
        **{
            label: use.few(
                f"contradictory-a{a:g}-{thing:g}-{text:g}",
                use.united(a=a, weights=(thing, text), prompt="other_caption"),
            )
            for label, (a, thing, text) in CONTRADICTIONS.items()
        },
        RELEASED_ROW: use.sampled("released", use.united(a=RELEASED[1], null=FIRST_CLASS)),
        **({FIRST_ROW: use.sampled("first-class", use.united(null=FIRST_CLASS))} if learned_null else {}),
        REAL: use.sampled("real", RealImages()),
    }


def claims() -> tuple[Claim, ...]:
    """Return UC6, the same at equal calls, and what reliability does to the two conditions."""
    source = "Table 3"
    found = [
        Claim(id="UC6", text=f"ours beats CompGen (a = {a:g})", metric=m, better=at(a), worse=COMPGEN, source=source)
        for a in REPORTED
        for m in (NIQE, CLIP, ACCURACY)
    ]
    found += [
        Claim(id="UC6", text="GLIDE follows the text best", metric=CLIP, better=GLIDE, worse=row, source=source)
        for row in (COMPGEN, at(0.5))
    ]
    found += [
        Claim(id="UC6", text="GLIDE does not draw the thing", metric=ACCURACY, better=row, worse=GLIDE, source=source)
        for row in (COMPGEN, at(0.5))
    ]
    found += [
        Claim(id="fair", text=f"ours shows both more often than {row}", metric=BOTH, better=at(0.5), worse=row)
        for row in (GLIDE_TWICE, COMPGEN_LONGER, CLASS_TWICE)
    ]
    text = "the model with more reliability is followed more"
    found += [
        Claim(id="UC7", text=text, metric=metric, better=at(better), worse=at(1 - better), source="Sec. 4.3")
        for metric, better in ((ACCURACY, 0), (SCENE, 1))
    ]
    fails, repairs = (
        "a text that names another thing spoils the class",
        "weight or reliability brings its model's thing back",
    )
    found.append(
        Claim(id="UC8", text=fails, metric=ACCURACY, better=NO_CONTRADICTION, worse="equal weights", source="Sec. 6")
    )
    found += [
        Claim(id="UC8", text=repairs, metric=metric, better=row, worse="equal weights", source="Sec. 6")
        for metric, row in (
            (ACCURACY, "class 8, text 2"),
            (OTHER, "class 2, text 8"),
            (ACCURACY, "equal weights, a = 0"),
            (OTHER, "equal weights, a = 1"),
        )
    ]
    found += [
        Claim(id="ours", text=text, metric=BOTH, better=better, worse=worse)
        for text, better, worse in (
            ("w = 5 shows both more often than w = 1", NO_CONTRADICTION, at(0.5, 1)),
            ("a learned null beats class 0 in its place", at(0.5), FIRST_ROW),
        )
    ]
    return tuple(found)


def rows(profile: Profile, seed: int) -> tuple[Row, ...]:
    """Return the rows as printed, ours over reliability, the fair rows, and real images."""
    found = runs(profile, seed)
    groups = {
        PRINTED: (GLIDE, COMPGEN, OURS),
        RELIABILITY: tuple(map(at, RELIABILITIES)),
        GRID: tuple(at(a, w) for w in WEIGHTS for a in REPORTED),
        FAIR: (
            CLASS, CLASS_TWICE, GLIDE_TWICE, COMPGEN_LONGER, RELEASED_ROW, FIRST_ROW,
        ),
        CONTRADICTORY: (NO_CONTRADICTION, *CONTRADICTIONS),
        "Ceiling": (REAL,),
    }  # fmt: skip

    def row(group: str, label: str) -> Row:
        if label == OURS:
            return Row(group=group, label=label, published=PUBLISHED[label], best_of=tuple(map(at, REPORTED)))
        why = None if label in found else released_scenes.FIRST_CLASS_IS_NULL
        return Row(group=group, label=label, published=PUBLISHED.get(label), sample=found.get(label), why=why)

    return tuple(row(group, label) for group, labels in groups.items() for label in labels)


FIGURES = (
    Figure(
        title="Over the reliability a of the text model", caption=BARS, x="reliability a",
        lines=tuple(
            Line(label=f"w = {w:g}", points=tuple((a, at(a, w)) for a in (RELIABILITIES if w == WEIGHT else REPORTED)))
            for w in sorted((*WEIGHTS, WEIGHT))
        ),
    ),
    Figure(
        title="Over the weight w of both models", caption=BARS, x="weight w",
        lines=tuple(
            Line(label=f"a = {a:g}", points=tuple((w, at(a, w)) for w in sorted((*WEIGHTS, WEIGHT)))) for a in REPORTED
        ),
    ),
)  # fmt: skip


def table(profile: Profile, seed: int) -> Table:
    """Return the table: quality, agreement with text and class, distance to what was asked for, and calls of every row."""
    return Table(
        name="table3",
        title="Scenes from a text and a class",
        paper="Unite and Conquer (CVPR 2023), Table 3",
        metrics=metrics(profile, NIQE, CLIP, ACCURACY, SCENE, BOTH, OTHER, FD, KID, CALLS),
        rows=rows(profile, seed),
        claims=claims(),
        notes=(*(MINI_NOTES if of(profile).trained else released_scenes.NOTES), *NOTES),
        evaluators=judges(profile),
        figures=FIGURES,
    )


MINI_NOTES = (
    "The text model was trained on scenes; half of the captions leave out the thing that is there, and the asked things are in "
    "2% of the pictures. The class model was trained on all things close up. No model saw an asked thing in a scene more often.",
)
NOTES = (
    "GLIDE is the text model alone under '<scene> and a <thing> in the photo' (guidance 3, DDPM). CompGen is the text model "
    "under two prompts, scene and thing (guidance 7.5 each, DDPM). Ours takes the scene's text and the class (w = 5, DDIM), all "
    "from the same start noise.",
    "CLIP compares every row with the full prompt, which ours never reads. Calls are network evaluations per image; Eq. 10 skips "
    "terms whose coefficient is 0, so a = 0 and a = 1 need 3 a step, a = 0.5 needs 4.",
    "Contradictory texts name a common thing, such as 'a ball in the photo', and no scene: Scene, Both and the distances do not "
    "apply to them. They and the grid have half of the images, and so has ours under the scene's text beside them.",
    "OURS is the best of three rows in each column, as the paper reports it, chosen on the same images that it is measured on: "
    "better than each of the three by chance alone, so no claim uses it.",
    "Published accuracies are printed in percent; 0.3 may be a fraction.",
)

if __name__ == "__main__":
    main(table)
