"""Evaluators without weights, in a light module: spawned processes import it."""

from lightning_mmdiff.metrics.networks import FeatureNetwork


class MeanColor(FeatureNetwork):
    name = "MeanColor"
    dimension = 3

    def forward(self, images):
        return images.float().mean(dim=(2, 3))


class Parts(MeanColor):
    """Two outputs in one pass."""

    name = "Parts"

    def outputs(self, images):
        return {"pool": self(images), "spatial": images.float().flatten(1)}


class Failing(FeatureNetwork):
    name = "Failing"
    dimension = 3

    def forward(self, images):
        raise RuntimeError("out of memory")
