"""The residual generator of pix2pixHD (Wang et al. 2018, supplement A) and CycleGAN (Zhu et al. 2017, App. 7.2)."""

from torch import Tensor, nn

from lightning_mmdiff.baselines.patches import normal


class ResidualLayers(nn.Module):
    """x plus two reflecting 3 x 3 convolutions of it, with instance norm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*_convolved(width, width), nn.ReLU(), *_convolved(width, width))

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, width, h, w] for x of the same shape."""
        return x + self.layers(x)


class ResnetGenerator(nn.Sequential):
    """A 7 x 7 convolution, steps down, residual blocks, steps up, a 7 x 7 convolution and tanh: [B, C, S, S] to [B, 3, S, S].

    Args:
        channels_in: channels of the input.
        width: channels after the first convolution; each step down doubles them.
        num_downs: number of steps down, and up again.
        num_blocks: number of residual blocks at the smallest size.
    """

    def __init__(self, channels_in: int, width: int, num_downs: int, num_blocks: int) -> None:
        widths = [width * 2**i for i in range(num_downs + 1)]
        down = [_down(a, b) for a, b in zip(widths, widths[1:])]
        up = [_up(b, a) for a, b in reversed(list(zip(widths, widths[1:])))]
        first = nn.Sequential(
            nn.ReflectionPad2d(3), normal(nn.Conv2d(channels_in, width, 7)), nn.InstanceNorm2d(width), nn.ReLU()
        )
        blocks = [ResidualLayers(widths[-1]) for _ in range(num_blocks)]
        last = nn.Sequential(nn.ReflectionPad2d(3), normal(nn.Conv2d(width, 3, 7)), nn.Tanh())
        super().__init__(first, *down, *blocks, *up, last)


def _convolved(width_in: int, width_out: int) -> tuple[nn.Module, ...]:
    return nn.ReflectionPad2d(1), normal(nn.Conv2d(width_in, width_out, 3)), nn.InstanceNorm2d(width_out)


def _down(width_in: int, width_out: int) -> nn.Module:
    layer = normal(nn.Conv2d(width_in, width_out, 3, stride=2, padding=1))
    return nn.Sequential(layer, nn.InstanceNorm2d(width_out), nn.ReLU())


def _up(width_in: int, width_out: int) -> nn.Module:
    layer = normal(nn.ConvTranspose2d(width_in, width_out, 3, stride=2, padding=1, output_padding=1))
    return nn.Sequential(layer, nn.InstanceNorm2d(width_out), nn.ReLU())
