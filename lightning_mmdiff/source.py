"""Where a trained model comes from."""


class ModelSource:
    """A model that is, or will be, trained: a training run, or a released checkpoint. Configs hold it in a model's place."""
