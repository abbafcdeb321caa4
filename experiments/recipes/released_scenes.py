"""Table 3 of Unite and Conquer (CVPR 2023) with the models it was made with: GLIDE, ADM of ImageNet-64, and GLIDE's upsampler.

Nothing is trained, at paper as at released. Two models of 64 pixels are united and the image is drawn again at 256 pixels, given
the small one before it is rounded and the empty text, as the released code does.
"""

from dataclasses import dataclass

from datamodules.config import DataConfig
from datamodules.scenes import CAPTIONS
from experiments.protocols.catalogue import column
from experiments.recipes import scenes
from experiments.recipes.beside_fid import KID, explained
from experiments.recipes.scenes import ACCURACY, BOTH, CALLS, CLIP, FD, NIQE, OTHER, SCENE, WEIGHT, Experts
from experiments.recipes.settings.scenes import of
from experiments.runs import SampleRun
from experiments.spec import Metric, Profile
from lightning_mmdiff.methods.config import ExpertUse, MethodConfig
from lightning_mmdiff.methods.upsampling import Upsample
from lightning_mmdiff.released.catalogue import Released
from lightning_mmdiff.schedules import Sampler

STEPS = 100
"""Steps of both stages, over all timesteps."""
NUM_IMAGES = 500
PROTOCOLS = {
    NIQE: "NIQE-BasicSR", CLIP: "CLIPCosine", ACCURACY: "Accuracy-EffNetB7", SCENE: "Scene-CLIP", OTHER: "Other-EffNetB7",
    BOTH: "Both-EffNetB7-CLIP", FD: "FID", KID: "KID", CALLS: "NetworkCalls",
}  # fmt: skip
PROMPTS = (
    "the 500 texts and classes were not published: these are the 16 pairs of Fig. 9-24 and 50 of our own (PITFALLS 93)"
)
NULL = "which class stands for no class is not said; the released code gives class 0 (PITFALLS 13)"
EXPLANATIONS = {
    NIQE: (
        "implementation, size and cropping of NIQE are not named",
        "the upsampler's steps and text are not named",
        PROMPTS,
    ),
    CLIP: ("which CLIP and which text of the two are compared is not named", PROMPTS),
    ACCURACY: (
        "size and weights of the EfficientNet are not named",
        "0.3 may be a fraction, not percent",
        PROMPTS,
        NULL,
    ),
}
"""Column -> what in the protocol could explain a difference of the published checkpoints from the paper's number."""
FIRST_CLASS_IS_NULL = "the class model learned no null, so every row here has class 0 in its place"
NOTES = (
    "GLIDE, ADM of ImageNet-64 and GLIDE's upsampler as published; nothing is trained. GLIDE and CompGen sample by DDPM with the "
    "posterior's variance, where OpenAI's code takes the learned one; all rows are drawn at 256 pixels by the same upsampler, "
    "DDIM with 100 steps and the empty text.",
    "FD and KID compare with 25 validation photographs of each asked pair's class, in any scene; real images are 25 others.",
)


@dataclass(frozen=True, kw_only=True)
class PublishedExperts(Experts):
    """GLIDE and ADM, in place of the two models that smaller profiles train."""

    def text(self, prompt: str = "caption", *, weight: float = WEIGHT, a: float | None = None) -> ExpertUse:
        """Return GLIDE under a prompt of the batch."""
        return ExpertUse(run=Released("glide"), conditions=(f"text_tokens@{prompt}",), weight=weight, reliability=a)

    def thing(self, *, weight: float = WEIGHT, a: float | None = None, null: tuple[str, ...] = ()) -> ExpertUse:
        """Return ADM under the asked class."""
        return ExpertUse(run=Released("adm_64"), conditions=("label",), weight=weight, reliability=a, null=null)

    def sampled(self, name: str, method: MethodConfig, *, eta: float = 0.0, longer: float = 1.0) -> SampleRun:
        """Return the run that samples the asked pairs, all rows from the same noise, and enlarges them.

        Args:
            name: name of the run, after "scenes".
            method: method that makes the images of 64 pixels.
            eta: 0 for DDIM, 1 for DDPM.
            longer: factor on the number of steps of the first stage.
        """
        data = DataConfig(
            dataset="scene_prompts", image_size=of("paper").image_size,
            conditions=("label", "scene", "other", "first_class", *CAPTIONS),
        )  # fmt: skip
        if not method.takes_sampler:
            return SampleRun(name=f"scenes-{name}", method=method, data=data, num_images=NUM_IMAGES)
        upsampler = Sampler(name="spaced-ddim", num_steps=STEPS)
        return SampleRun(
            name=f"scenes-{name}",
            method=Upsample(method=method, upsampler=Released("glide_upsampler"), sampler=upsampler),
            data=data,
            num_images=NUM_IMAGES,
            sampler=Sampler(name="spaced-ddpm" if eta else "spaced-ddim", num_steps=round(longer * STEPS)),
        )


def experts(profile: Profile, seed: int) -> Experts:
    """Return the two models of a profile: trained, or as published."""
    settings = of(profile)
    return (PublishedExperts if settings.trained is None else Experts)(settings=settings, seed=seed)


def metrics(profile: Profile, *columns: str) -> tuple[Metric, ...]:
    """Return the columns ``columns``, each under the protocol that ``profile`` can measure."""
    if of(profile).trained is not None:
        return scenes.metrics(*columns)
    found = [column(name, PROTOCOLS[name]) for name in columns]
    return tuple(explained(found, EXPLANATIONS) if of(profile).released else found)
