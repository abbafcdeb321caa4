"""Four modalities: Unite and Conquer (Nair et al., CVPR 2023), Fig. 28-32, supplement 7.3-7.5 -- maps, sketch and text to face.

python -m experiments.four_modalities --profile mini
"""

from experiments.engine.cli import main
from experiments.recipes.beside_fid import COPIES, KID
from experiments.recipes.evaluators import attribute_evaluator, face_parser
from experiments.recipes.faces import metrics, text_metric
from experiments.recipes.settings.unite_and_conquer import of
from experiments.recipes.unite_and_conquer import (
    face,
    face_models,
    guided,
    maps_and_sketch,
    unite,
    united,
)  # fmt: skip
from experiments.spec import Claim, Profile, Row, Table
from lightning_mmdiff.methods.config import MethodConfig
from lightning_mmdiff.methods.single import RealImages

NONE, TEXT, TEXT_GUIDED = "no condition", "text", "text, guidance 2"
COLLABORATING = "Collaborative Diffusion, mask + text + sketch"
NO_CHECKPOINT = (
    "its authors' code has these three, but nobody published a checkpoint of them; one of your own can be converted"
)
MAPS, MAPS_SKETCH, ALL = "hair map + face map", "hair map + face map + sketch", "hair map + face map + sketch + text"


def table(profile: Profile, seed: int) -> Table:
    """Return the table: from no condition to four; the text expert has never seen a text."""
    models = face_models(profile, seed)
    hair, skin, text = guided(models.hair, "hair"), guided(models.face, face(profile)), models.text

    def row(label: str, name: str, method: MethodConfig) -> Row:
        sample = united(profile, f"four-{name}", "celebamask_hq", method, num_images=256, judged_attributes=True)
        return Row(label=label, sample=sample)

    return Table(
        name="four_modalities",
        title="Face map, hair map, sketch and text to face",
        paper="Unite and Conquer (CVPR 2023), Fig. 28-32",
        metrics=(*metrics(profile, "FID", "mIoU", "F1", KID, COPIES), text_metric(profile)),
        rows=(
            row(NONE, "none", unite(guided(text))),
            row(TEXT, "text", unite(guided(text, "text"))),
            row(TEXT_GUIDED, "text-guided", unite(guided(text, "text", weight=2))),
            row(MAPS, "maps", unite(hair, skin)),
            row(MAPS_SKETCH, "maps-sketch", maps_and_sketch(profile, seed)),
            row(ALL, "all", maps_and_sketch(profile, seed, text=True)),
            *(
                Row(label=f"{COLLABORATING}, {size} pixels", why=NO_CHECKPOINT)
                for size in ((256, 512) if of(profile).released else ())
            ),
            row("real images", "real", RealImages()),
        ),
        claims=(
            Claim(
                id="zero-shot",
                text="text steers a model that has never seen a text",
                metric="Text",
                better=TEXT,
                worse=NONE,
                source="supplement 7.3",
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
