"""The base class of sources of trained models."""


class ModelSource:
    """A training run or a released checkpoint: a model that is, or will be, trained. Configs hold it in place of the model."""
