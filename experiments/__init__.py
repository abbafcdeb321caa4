"""Tables of three papers, and what they do not have: one module per table. ``python -m experiments`` lists them."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of the index."""

    name: str
    """Module in this package: ``python -m experiments.<name>``."""
    source: str
    shows: str
    mini: str
    """Cost of the mini profile on two CPU cores, measured."""
    paper: str
    """Cost of the paper profile, estimated from published settings."""


UC = "Unite and Conquer (CVPR 2023)"
INDEX = (
    Entry(
        name="table1", source=f"{UC}, Table 1", mini="13 min", paper="4 x 100k steps at 256 px; 12 x 3,000 images",
        shows="hair map + face map to face, CelebA-HQ: ours, single experts, average, one model with both, fair rows",
    ),
    Entry(
        name="table2", source=f"{UC}, Table 2", mini="6 min after table1", paper="12 x 3,000 images after table1",
        shows="the models of table1 evaluated on FFHQ",
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
        name="four_modalities", source=f"{UC}, Fig. 28-32", mini="8 min after table1", paper="2 x 100k steps; 7 x 256 images",
        shows="face map, hair map, sketch and text in one sample; zero-shot text to face",
    ),
)  # fmt: skip
