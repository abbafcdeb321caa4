"""Index of the tables of three papers, and of those we add: one module per table. ``python -m experiments`` lists them."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from lightning_mmdiff.errors import UserError, require_known
from lightning_mmdiff.runtime import stand_ins
from reports.schema import Entry

Profile = Literal["smoke", "mini", "paper", "released"]
"""released: the published setting with the authors' checkpoints in place of trainings."""

UC = "Unite and Conquer (CVPR 2023)"
MT = "MT-Diffusion (ICLR 2024)"
CD = "Collaborative Diffusion (CVPR 2023)"
LECTURE = "Multimodal Models (Bereyhi, lecture of 2025)"
INDEX = (
    Entry(
        name="table1", source=f"{UC}, Table 1", mini="15 min",
        paper="4 x 100k steps at 256 px, 8 GANs with 50 passes over each data set, an encoder with 500k; 21 x 3,000 images",
        shows="hair map + face map to face, CelebA-HQ: ours, single experts, average, one model with both, fair rows",
    ),
    Entry(
        name="table2", source=f"{UC}, Table 2", mini="7 min after table1", paper="21 x 3,000 images after table1",
        shows="the models of table1 evaluated on FFHQ",
    ),
    Entry(
        name="table3", source=f"{UC}, Table 3", mini="18 min on one core",
        paper="published models: 13 x 500 images, 14 x 250",
        shows="scenes from a text and a class: text model, two texts, ours over reliability, fair rows",
    ),
    Entry(
        name="table4", source=f"{UC}, Table 4", mini="seconds after table1", paper="seconds after table1",
        shows="what uniting adds to one condition, and to both conditions in one model",
    ),
    Entry(
        name="reliability_sweep", source=f"{UC}, Fig. 6, 7, 9-12", mini="3 min after table1", paper="8 x 128 images after table1",
        shows="rows of pictures and masks' mIoU over reliability and weight",
    ),
    Entry(
        name="four_modalities", source=f"{UC}, Fig. 28-32", mini="7 min after table1", paper="2 x 100k steps; 7 x 256 images",
        shows="face map, hair map, sketch and text in one sample; zero-shot text to face",
    ),
    Entry(
        name="table5", source=f"{MT}, Table 1", mini="4 min after table6", paper="3 x 1M steps at 64 px; 25 x 5,000 images",
        shows="restoring images with random holes: clean-masked, SDEdit-, ours, replacement, without aggregation",
    ),
    Entry(
        name="table6", source=f"{MT}, Table 2", mini="18 min on one core",
        paper="8 x 1M steps at 64 px, 3 x 100k; 12 x 5,000 images",
        shows="generation after equal training: ADM, masked-image training, joint image-label training",
    ),
    Entry(
        name="table7", source=f"{MT}, Table 3", mini="4 min after table6",
        paper="2 x 1M steps at 128 px, 2 x 100k; 11 x 50,000 images",
        shows="generation, classifier guidance and restoration of class-conditional ADM and MT-Diffusion",
    ),
    Entry(
        name="table8", source=f"{MT}, Table 4", mini="2 min with 2 workers",
        paper="2 x 1M steps at 256 px, 2 GANs with 595k; 5 x 500 images",
        shows="Cityscapes, photograph to labels: single-task diffusion and ours",
    ),
    Entry(
        name="night2day", source=f"{MT}, App. E.1", mini="6 min on one core",
        paper="2 x 1M steps at 256 px, 2 GANs with 595k; 5 x 2,300 images",
        shows="night to day: single-task diffusion and ours",
    ),
    Entry(
        name="finetuning_curve", source=f"{MT}, Fig. 6", mini="2 min after table6", paper="2 x 1.1M steps at 64 px",
        shows="accuracy of the jointly trained classifier and of one trained alone, over fine-tuning steps",
    ),
    Entry(
        name="conditional_model", source=f"{MT}, App. E.5", mini="4 min after table6",
        paper="6 x up to 1M steps at 64 px; 7 x 5,000 images",
        shows="joint against purely conditional training, at three lengths",
    ),
    Entry(
        name="task_transfer", source=f"{MT}, App. E.5", mini="8 min on one core",
        paper="6 x 1M steps at 64 px; 7 x 5,000 images",
        shows="five tasks at once, and which of them help the image",
    ),
    Entry(
        name="representation", source=f"{MT}, App. E.4", mini="7 min on one core",
        paper="5 x 100k steps at 768 px; 6 x 3,000 images",
        shows="the image together with its CLIP embedding: images with and without, and what the head says of test images",
    ),
    Entry(
        name="cifar10", source=f"{MT}, App. E.5", mini="17 min on one core", paper="4 x 500k steps at 32 px; 8 x 5,000 images",
        shows="real photographs (--data): generated and restored, joint against conditional training",
    ),
    Entry(
        name="table9", source=f"{CD}, Table 1", mini="13 min on one core",
        paper="1 autoencoder, 2 x 127k and 187k steps; 6 x 3,000 images",
        shows="faces from a mask and a text: Composable, ours, ours with the released schedule, each expert alone",
    ),
    Entry(
        name="table10", source=f"{CD}, Table 2", mini="2 min after table9", paper="3 x 3,000 images after table9",
        shows="influence that varies in space and time, or does not",
    ),
    Entry(
        name="table11", source=f"{CD}, Table A3", mini="seconds", paper="seconds, no data",
        shows="hyperparameters of the dynamic diffusers, read off the configuration that trains",
    ),
    Entry(
        name="table12", source=f"{CD}, Table A4", mini="seconds", paper="seconds, no data",
        shows="parameters of experts and dynamic diffusers, counted on the networks",
    ),
    Entry(
        name="influence_maps", source=f"{CD}, Fig. 10", mini="1 min after table10", paper="minutes after table10",
        shows="where and when each modality counts: maps over time, means per face region",
    ),
    Entry(
        name="mask_tokens", source=f"{CD}, A.1", mini="12 min on one core", paper="1 x 127k steps after table9; 3 x 3,000 images",
        shows="mask to face by tokens that do not say which class they are, as published, and that do",
    ),
    Entry(
        name="editing", source=f"{CD}, Fig. 5, 9", mini="5 min after table9", paper="100 images, 3,000 steps each, after table9",
        shows="edits by text, by mask and by both: what they follow, and whether the person stays the same",
    ),
    Entry(
        name="head_to_head", source="in no paper", mini="18 min with 2 workers",
        paper="2 x 127k, 187k, 4 x 200k, 2 x 32k steps; 31 x 3,000 images",
        shows="every way to combine a mask and a text: trained ones, Eq. 10, own latents, correctors, SuperDiff, CFG++",
    ),
    Entry(
        name="head_to_head_faces", source="in no paper", mini="11 min on one core, after table1",
        paper="10 x 3,000 images after table1",
        shows="the same for hair map and face map, which are independent: what the ways that need no training change there",
    ),
    Entry(
        name="few_steps", source="in no paper", mini="13 min on one core, after table9",
        paper="18 x 3,000 images after table9",
        shows="DDIM, DPM-Solver++ and UniPC with 10 to 100 steps, for united experts and for dynamic diffusers",
    ),
    Entry(
        name="conditioning", source=LECTURE, mini="12 min on one core",
        paper="7 x 20k and 7 x 5k steps at 8 px; 15 x 2,970 images",
        shows="label sampling, label embedding, FiLM and cross-attention at equal training, on real digits",
    ),
)  # fmt: skip


def find_table(name: str) -> Entry:
    """Return the entry of a table.

    Raises:
        UserError: if there is none; suggests the closest name.
    """
    require_known("table", name, (entry.name for entry in INDEX))
    return next(entry for entry in INDEX if entry.name == name)


def _begin(words: Sequence[str]) -> None:
    """Begin ``python -m experiments.NAME``: refuse an unknown name, and import no PyTorch before there is work to do."""
    package, _, name = words[words.index("-m") + 1].partition(".")
    if package != __name__ or not name:  # another package's command, which imports this one
        return
    if not (Path(__file__).parent / f"{name}.py").exists():
        try:
            find_table(name)
        except UserError as error:
            sys.exit(f"error: {error}")
    stand_ins.install()


if sys.argv[:1] == ["-m"] and "-m" in sys.orig_argv:  # python is on its way to the module
    _begin(sys.orig_argv)
