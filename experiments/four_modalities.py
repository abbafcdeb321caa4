"""Four modalities: Unite and Conquer (Nair et al., CVPR 2023), Fig. 28-32, supplement 7.3-7.5 -- maps, sketch and text to face.

python -m experiments.four_modalities --profile mini
"""

from experiments.engine.cli import main
from experiments.recipes.evaluators import attribute_evaluator, face_parser
from experiments.recipes.faces import metrics, text_metric
from experiments.recipes.unite_and_conquer import (
    face,
    face_expert,
    guided,
    hair_expert,
    sketch_expert,
    text_expert,
    united,
)  # fmt: skip
from experiments.spec import Claim, ExpertUse, Method, Profile, Row, Table

NONE, TEXT, TEXT_GUIDED = "no condition", "text", "text, guidance 2"
MAPS, MAPS_SKETCH, ALL = "hair map + face map", "hair map + face map + sketch", "hair map + face map + sketch + text"


def table(profile: Profile, seed: int) -> Table:
    """From no condition to four; the text expert has never seen a text."""
    hair = guided(hair_expert(profile, seed), "hair")
    skin = guided(face_expert(profile, seed), face(profile))
    sketch = guided(sketch_expert(profile, seed), "sketch")
    text = text_expert(profile, seed)

    def row(label: str, name: str, *uses: ExpertUse, method: Method = "unite") -> Row:
        return Row(
            label=label,
            sample=united(
                profile, f"four-{name}", "celebamask_hq", *uses, method=method, num_images=256, judged_attributes=True
            ),
        )

    return Table(
        name="four_modalities",
        title="Face map, hair map, sketch and text to face",
        paper="Unite and Conquer (CVPR 2023), Fig. 28-32",
        metrics=(*metrics(profile, "FID", "mIoU", "F1"), text_metric(profile)),
        rows=(
            row(NONE, "none", guided(text)),
            row(TEXT, "text", guided(text, "text")),
            row(TEXT_GUIDED, "text-guided", guided(text, "text", weight=2)),
            row(MAPS, "maps", hair, skin),
            row(MAPS_SKETCH, "maps-sketch", hair, skin, sketch),
            row(ALL, "all", hair, skin, sketch, guided(text, "text")),
            row("real images", "real", method="real"),
        ),
        claims=(
            Claim(
                id="zero-shot",
                text="text steers a model that has never seen a text",
                metric="Text",
                better=TEXT,
                worse=NONE,
            ),
            Claim(
                id="four",
                text="adding text to three modalities helps the text",
                metric="Text",
                better=ALL,
                worse=MAPS_SKETCH,
            ),
            Claim(id="four", text="adding the sketch helps the maps", metric="mIoU", better=MAPS_SKETCH, worse=MAPS),
        ),
        notes=("Text expert: trained on embeddings of images, sampled with embeddings of captions (supplement 7.3).",),
        evaluators=(*face_parser(profile), *attribute_evaluator(profile)),
    )


if __name__ == "__main__":
    main(table)
