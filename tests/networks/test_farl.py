import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import nn
from torchvision import transforms

from lightning_mmdiff.networks import clip_input, farl
from lightning_mmdiff.networks.farl import ClipEmbedder, ClipSize, clip_model, convert_openai_clip, load_openai_clip

SMALL = ClipSize(
    image_size=32,
    patch_size=8,
    vision_width=48,
    vision_layers=3,
    vision_heads=4,
    text_width=32,
    text_layers=2,
    text_heads=2,
    context_length=10,
    vocabulary_size=50,
    embedding_dim=24,
    end_token=49,
)


class QuickGELU(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(1.702 * x)


class Block(nn.Module):
    """One layer of CLIP with the names of OpenAI's weights."""

    def __init__(self, width, heads):
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential()
        self.mlp.add_module("c_fc", nn.Linear(width, 4 * width))
        self.mlp.add_module("gelu", QuickGELU())
        self.mlp.add_module("c_proj", nn.Linear(4 * width, width))

    def forward(self, x, mask):
        h = self.ln_1(x)
        x = x + self.attn(h, h, h, attn_mask=mask, need_weights=False)[0]
        return x + self.mlp(self.ln_2(x))


class Tower(nn.Module):
    def __init__(self, width, heads, layers):
        super().__init__()
        self.resblocks = nn.ModuleList([Block(width, heads) for _ in range(layers)])

    def forward(self, x, mask=None):
        for block in self.resblocks:
            x = block(x, mask)
        return x


class Reference(nn.Module):
    """CLIP written down from the paper, to compare with."""

    def __init__(self, size):
        super().__init__()
        self.size = size
        num_patches = (size.image_size // size.patch_size) ** 2
        self.visual = nn.Module()
        self.visual.conv1 = nn.Conv2d(3, size.vision_width, size.patch_size, size.patch_size, bias=False)
        self.visual.class_embedding = nn.Parameter(torch.empty(size.vision_width))
        self.visual.positional_embedding = nn.Parameter(torch.empty(num_patches + 1, size.vision_width))
        self.visual.ln_pre = nn.LayerNorm(size.vision_width)
        self.visual.transformer = Tower(size.vision_width, size.vision_heads, size.vision_layers)
        self.visual.ln_post = nn.LayerNorm(size.vision_width)
        self.visual.proj = nn.Parameter(torch.empty(size.vision_width, size.embedding_dim))
        self.token_embedding = nn.Embedding(size.vocabulary_size, size.text_width)
        self.positional_embedding = nn.Parameter(torch.empty(size.context_length, size.text_width))
        self.transformer = Tower(size.text_width, size.text_heads, size.text_layers)
        self.ln_final = nn.LayerNorm(size.text_width)
        self.text_projection = nn.Parameter(torch.empty(size.text_width, size.embedding_dim))
        self.logit_scale = nn.Parameter(torch.tensor(2.0))
        generator = torch.Generator().manual_seed(0)
        for parameter in self.parameters():  # also biases and norms: a forgotten one must show
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.3

    def images(self, pixels):
        x = self.visual.conv1(pixels).flatten(2).transpose(1, 2)
        x = torch.cat([self.visual.class_embedding.expand(len(x), 1, -1), x], 1) + self.visual.positional_embedding
        x = self.visual.transformer(self.visual.ln_pre(x))
        return self.visual.ln_post(x[:, 0]) @ self.visual.proj

    def text(self, tokens):
        length = tokens.shape[1]
        x = self.token_embedding(tokens) + self.positional_embedding[:length]
        mask = torch.full((length, length), float("-inf")).triu(1)
        x = self.ln_final(self.transformer(x, mask))
        return x[torch.arange(len(x)), tokens.argmax(1)] @ self.text_projection


@pytest.fixture(scope="module")
def reference():
    return Reference(SMALL).eval()


@pytest.fixture
def loaded(reference):
    model = clip_model(SMALL)
    load_openai_clip(model, reference.state_dict(), source="reference")
    return model


TOKENS = torch.tensor([[48, 3, 4, 49, 49, 49], [48, 7, 8, 9, 10, 49], [48, 49, 49, 49, 49, 49]])


@torch.no_grad()
def test_converted_weights_compute_what_clip_computes(reference, loaded):
    image = torch.randint(256, (3, 3, 40, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    embedder = ClipEmbedder(loaded, lambda captions: TOKENS[: len(captions)], clip_input.bicubic)
    ours_image, ours_text = embedder.embed_images(image), embedder.embed_text(["a", "b", "c"])
    theirs_image = F.normalize(reference.images(clip_input.normalize(clip_input.bicubic(image / 255, 32))), dim=-1)
    torch.testing.assert_close(ours_image, theirs_image, atol=1e-5, rtol=0)
    torch.testing.assert_close(ours_text, F.normalize(reference.text(TOKENS), dim=-1), atol=1e-5, rtol=0)
    assert ours_image.shape == ours_text.shape == (3, embedder.embedding_dim)
    torch.testing.assert_close(ours_image.norm(dim=1), torch.ones(3))


def test_the_default_size_is_vit_b_16_as_published():
    with torch.device("meta"):
        model = clip_model(ClipSize())
    assert sum(p.numel() for p in model.parameters()) == 149_620_737  # CLIP ViT-B/16


def test_the_converter_splits_query_key_value_in_order():
    weight = torch.arange(12.0)[:, None].expand(12, 4)
    converted, unknown = convert_openai_clip({"transformer.resblocks.7.attn.in_proj_weight": weight, "head.x": weight})
    prefix = "text_model.encoder.layers.7.self_attn."
    assert [converted[f"{prefix}{part}_proj.weight"][0, 0].item() for part in "qkv"] == [0, 4, 8]
    assert unknown == ["head.x"]


def test_missing_misshapen_and_surplus_entries_are_named(reference):
    state = dict(reference.state_dict())
    extra = state | {"visual.mask_token": torch.zeros(1)}
    with pytest.warns(UserWarning, match=r"1 entries are not CLIP's.*visual.mask_token"):
        load_openai_clip(clip_model(SMALL), extra, source="file.pth")
    deeper = state | {"transformer.resblocks.2.ln_1.weight": torch.zeros(32)}
    with pytest.raises(ValueError, match=r"file.pth .*1 of layers beyond ours"):
        load_openai_clip(clip_model(SMALL), deeper, source="file.pth")
    state["text_projection"] = torch.zeros(32, 8)
    del state["visual.transformer.resblocks.1.attn.in_proj_bias"]
    with pytest.raises(
        ValueError, match=r"3 missing .*vision_model.encoder.layers.1.*1 of another shape .*text_projection"
    ):
        load_openai_clip(clip_model(SMALL), state, source="file.pth")


def test_preprocessing_is_clips(loaded):
    gray = torch.full((1, 3, 16, 16), 128, dtype=torch.uint8)
    expected = (np.full(3, 128 / 255) - np.array(clip_input.CLIP_MEAN)) / np.array(clip_input.CLIP_STD)
    pixels = clip_input.normalize(clip_input.bicubic(gray / 255, 32))
    assert pixels.shape == (1, 3, 32, 32)
    np.testing.assert_allclose(pixels.mean(dim=(0, 2, 3)).numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("side", [256, 100, 224])
def test_farl_sees_what_the_released_code_shows_it(side: int) -> None:
    """Its two lines on the network's input (face_utils/farl_text.py, torchvision 0.14); fault A14: ours was bicubic."""
    image = torch.randint(256, (2, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))
    clip_normalize = transforms.Normalize(
        mean=[0.48145466, 0.4578275, 0.40821073], std=[0.26862954, 0.26130258, 0.27577711]
    )
    norm_xin = clip_normalize((image / 127.5 - 1).add(1).div(2))
    released = torchvision.transforms.functional.resize(norm_xin, [224, 224], antialias=False)
    torch.testing.assert_close(clip_input.normalize(clip_input.bilinear(image / 255, 224)), released, atol=1e-5, rtol=0)


def test_bilinear_weights_are_those_of_the_four_nearest_pixels() -> None:
    """In closed form: output i lies at (i + 1/2) S / size - 1/2 of the input, whatever the reduction."""
    row, size = torch.rand(256, generator=torch.Generator().manual_seed(3)).double(), 224
    place = (torch.arange(size, dtype=torch.float64) + 0.5) * 256 / size - 0.5
    low = place.floor().long()
    expected = row[low] + (place - low) * (row[low + 1] - row[low])
    found = clip_input.bilinear(row.expand(1, 3, 256, 256), size)
    torch.testing.assert_close(found, expected.expand(1, 3, size, size))
    assert (clip_input.bicubic(row.expand(1, 3, 256, 256), size) - found).square().mean().sqrt() > 0.01


def test_the_embedder_stays_frozen_and_in_evaluation_mode(loaded):
    embedder = ClipEmbedder(loaded, lambda captions: TOKENS, clip_input.bilinear)
    outer = nn.ModuleList([embedder]).train()
    assert outer.training
    assert not any(module.training for module in embedder.modules())
    assert not any(parameter.requires_grad for parameter in embedder.parameters())
    assert not embedder.embed_text(["x"] * 3).requires_grad


@pytest.fixture
def tokenizer_folder(tmp_path):
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    entries = [*letters, *(letter + "</w>" for letter in letters), "ha", "hat</w>", "<|startoftext|>", "<|endoftext|>"]
    (tmp_path / "vocab.json").write_text(json.dumps({entry: i for i, entry in enumerate(entries)}))
    (tmp_path / "merges.txt").write_text("#version: 0.2\nh a\nha t</w>\n")
    return tmp_path


def test_the_tokenizer_adds_start_and_end_lower_cases_and_truncates(tokenizer_folder):
    tokens = farl.clip_tokenizer(tokenizer_folder, context_length=6)(["A Hat", "a b c d e f g h", ""])
    start, end = 54, 55
    assert tokens[0].tolist() == [start, 26, 53, end, end, end]
    assert tokens[1].tolist() == [start, 26, 27, 28, 29, end]
    assert tokens[2].tolist() == [start, end, end, end, end, end]


def test_a_missing_tokenizer_file_is_named(tmp_path):
    (tmp_path / "vocab.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match=r"has no merges.txt\. CLIP's tokenizer needs vocab.json"):
        farl.clip_tokenizer(tmp_path)


def test_load_farl_reads_the_released_layout(reference, tokenizer_folder, tmp_path, monkeypatch):
    path = tmp_path / "farl.pth"
    paths = {"farl": path, "clip": tokenizer_folder}
    monkeypatch.setattr(farl, "weights", SimpleNamespace(require=paths.__getitem__))
    monkeypatch.setattr(farl, "ClipSize", lambda: SMALL)
    torch.save({"state_dict": {name: value.half() for name, value in reference.state_dict().items()}}, path)
    loaded = farl.load_farl()
    assert loaded.model.dtype == torch.float32
    assert loaded.resize is clip_input.bilinear
    torch.save(reference.state_dict(), path)
    with pytest.raises(ValueError, match="holds its weights under 'state_dict'"):
        farl.load_farl()
