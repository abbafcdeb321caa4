"""Drawn street scenes with exact Cityscapes label ids, by day and by night.

images, label_ids = render(Draws("streets", seed, "train", indices=np.arange(64)), 32)
"""

from datamodules.batches.randomness import Draws
from datamodules.mini.drawing import Array
from datamodules.mini.street import Street
from datamodules.mini.street_backdrop import paint_buildings, paint_ground, paint_poles, paint_sky, paint_trees
from datamodules.mini.traffic import paint_bonnet, paint_traffic

GRAIN = 0.02  # fraction of full scale, in both directions


def render(draws: Draws, size: int, *, night: bool = False) -> tuple[Array, Array]:
    """Paint street scenes back to front.

    17 of the 19 classes occur (no train, no motorcycle); the hood of the camera's own car is void.

    Args:
        draws: random draws of the scenes; scene i depends only on (its stream, i).
        size: S, height and width in pixels.
        night: whether to paint the same scenes by night: dark, with lit windows and lamps.

    Returns:
        images uint8 [B, 3, S, S] and label ids uint8 [B, S, S].
    """
    street = Street(draws, size, night=night)
    paint_sky(street)
    paint_buildings(street)
    paint_ground(street)
    paint_trees(street)
    paint_poles(street)
    paint_traffic(street)
    paint_bonnet(street)
    noise = draws.uniform("night grain" if night else "grain", -GRAIN, GRAIN, count=size**2)
    street.canvas.color += noise.reshape(-1, 1, size, size)
    return street.canvas.image(), street.canvas.label
