"""Unite and Conquer (Nair et al., CVPR 2023): the network of face map, hair map and text, and the network of sketches.

Links stand in the released ``utils/download_models_func.py``. Each file is a flat state dict, head by head. By the released
trainer's naming, ``model_latest.pt`` holds last weights, not averaged ones.
"""

from dataclasses import replace

from lightning_mmdiff.models.denoiser import DenoiserConfig
from lightning_mmdiff.networks.conditions import UNITE_AND_CONQUER_SUBSETS, ConditionConfig, face_conditions
from lightning_mmdiff.networks.presets import unite_and_conquer_face, unite_and_conquer_sketch
from lightning_mmdiff.optimization import OptimizerConfig
from lightning_mmdiff.released.adm import head_by_head_keys
from lightning_mmdiff.released.checkpoint import SAME, Checkpoint, Key, PublishedFile, Shape

OPTIMIZER = OptimizerConfig(lr=1e-5)
FACE = DenoiserConfig(
    network=unite_and_conquer_face(), conditions=face_conditions(), image_size=256, learned_variance=True,
    subsets=UNITE_AND_CONQUER_SUBSETS, optimizer=OPTIMIZER,
)  # fmt: skip
MAPS = replace(
    FACE,
    network=unite_and_conquer_sketch(),
    conditions=replace(face_conditions(), embedding=None),
    subsets=(),
)
"""The same network for batches without text: the released code then skips the second norm, bias included (PITFALLS 14)."""
SKETCH = replace(MAPS, conditions=ConditionConfig(spatial=(("sketch", 1),), rgb=True))


def keys(config: DenoiserConfig, name: str, shape: Shape) -> Key:
    """Return the place of a parameter of the network or of the convolution of its maps."""
    if name.startswith("condition_encoder.project."):
        return Key(name.replace("condition_encoder.project", "input_blocks_convert"), SAME)
    return head_by_head_keys(config, name, shape)


FILES = (
    PublishedFile(
        weight="unite_and_conquer_face",
        checkpoints=(
            Checkpoint(name="unite_and_conquer_face", config=FACE, keys=keys, helpers=(("embedder", ("farl",)),)),
            Checkpoint(name="unite_and_conquer_maps", config=MAPS, keys=keys),
        ),
    ),
    PublishedFile(
        weight="unite_and_conquer_sketch",
        checkpoints=(Checkpoint(name="unite_and_conquer_sketch", config=SKETCH, keys=keys),),
    ),
)
