"""A pool of earlier generated images for the discriminator (Shrivastava et al. 2017, Sec. 2.3; CycleGAN, Sec. 4)."""

import torch
from torch import Tensor, nn


class ImagePool(nn.Module):
    """Buffer of ``size`` generated images; a part of the checkpoint, so that training resumes exactly.

    Args:
        size: number of images kept.
        shape: [C, H, W] of an image.
    """

    images: Tensor
    count: Tensor

    def __init__(self, size: int, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.register_buffer("images", torch.zeros(size, *shape))
        self.register_buffer("count", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def query(self, fake: Tensor, generator: torch.Generator) -> Tensor:
        """Return for each image itself, or with probability one half an earlier one, whose place it takes.

        In evaluation mode, return every image itself and keep none.

        Args:
            fake: generated images, [B, C, H, W].
            generator: source of all randomness.
        """
        if not self.training:
            return fake.detach()
        chosen = fake.detach().clone()
        for i, image in enumerate(fake.detach()):
            if self.count < len(self.images):
                self.images[self.count] = image
                self.count += 1
            elif torch.rand((), generator=generator) < 0.5:
                place = int(torch.randint(len(self.images), (), generator=generator))
                chosen[i] = self.images[place]
                self.images[place] = image
        return chosen
