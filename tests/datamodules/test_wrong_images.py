"""Images and label files that Pillow reads without complaint, but not as they are meant: refused by name, or read right."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_sets import make_celeba, opened, write_image

from datamodules.catalogue import DataSet, data_set
from datamodules.celebamask_hq import CelebAMaskHQ, CelebAMaskHQFiles
from datamodules.cityscapes import TRAIN_ID_OF, Cityscapes
from datamodules.config import DataConfig
from datamodules.faces.classes import FACE_CLASSES
from datamodules.faces.files import read_label_png
from datamodules.mini.image_layouts import write_cityscapes
from datamodules.storage.label_images import read_ids, read_mask
from datamodules.storage.reading import read_image
from lightning_mmdiff.errors import UserError

IMAGES = {
    "celebamask_hq": "CelebA-HQ-img/7.jpg", "celeba_hq": "CelebA-HQ-img/7.jpg", "ffhq": "images1024x1024/00000/00007.png",
    "imagenet": "train/n90000001/n90000001_11.JPEG", "cifar10": "test/cat/0000.jpg", "digits": "train/3/0003.png",
    "cityscapes": "leftImg8bit/train/minitown/minitown_000003_000019_leftImg8bit.png", "night2day": "val/2.jpg",
}  # fmt: skip
"""An image of every data set that is rendered."""
MASK, LABELS = (
    "CelebAMask-HQ-mask-anno/0/00001_skin.png",
    "gtFine/train/minitown/minitown_000000_000019_gtFine_labelIds.png",
)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(side: int, extra: bytes = b"", *, depth: int = 8, kind: int = 0) -> bytes:
    """Return a PNG of zeros; ``kind`` is the color type of its header (0 gray, 2 RGB, 4 gray with alpha, 6 RGBA)."""
    row = b"\0" + bytes(side * depth // 8 * {0: 1, 2: 3, 4: 2, 6: 4}[kind])
    pack, pixels = zlib.compressobj(1), b""
    for _ in range(side):
        pixels += pack.compress(row)
    header = struct.pack(">IIBBBBB", side, side, depth, kind, 0, 0, 0)
    parts = (chunk(b"IHDR", header), extra, chunk(b"IDAT", pixels + pack.flush()), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def through_jpeg(array: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(array).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def disk(side: int = 64) -> np.ndarray:
    """Return a mask with a round part, bool."""
    y, x = np.mgrid[:side, :side]
    return (x - side / 3) ** 2 + (y - side / 2) ** 2 < (side / 4) ** 2


def written(folder: Path, content: bytes | np.ndarray, mode: str | None = None) -> Path:
    path = folder / "00017_hair.png"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        Image.fromarray(content).convert(mode).save(path) if mode else Image.fromarray(content).save(path)
    return path


def rendered(entry: DataSet, folder: Path):
    assert entry.render is not None
    entry.render(folder / entry.folder, count=48, image_size=16)
    return DataConfig(dataset=entry.name, image_size=8).open(folder)


LARGE = png(14_000)
TEXT = png(16, chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"a" * (3 * 2**20))))
BAD = {
    "16 bits": (png(16, depth=16), "has 16 bits a channel, expected 8"),
    "14,000 pixels wide": (LARGE, "has more than the 178,956,970 pixels that Pillow reads; reduce it"),
    "metadata": (TEXT, r"its metadata are too large \(.*MAX_TEXT_CHUNK\); save the image without them"),
}


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("name", IMAGES)
def test_an_image_of_any_data_set_is_refused_by_name(name: str, bad: str, tmp_path) -> None:
    """Faults B2 and B7: all white; a traceback without a name; "fetch this file again"."""
    data = rendered(data_set(name), tmp_path)
    content, message = BAD[bad]
    (data.root / IMAGES[name]).write_bytes(content)
    with pytest.raises(UserError, match=f"{IMAGES[name]}: {message}"):
        data.prepare_data()
    assert not data.folder.exists()


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("place", ["celebamask_hq", "ffhq", "cityscapes"])
def test_a_label_file_of_any_data_set_is_refused_by_name(place: str, bad: str, tmp_path) -> None:
    data = rendered(data_set(place), tmp_path)
    folders = {"celebamask_hq": "CelebAMask-HQ-mask-anno/0", "ffhq": "label_maps", "cityscapes": "gtFine/val/minitown"}
    path = next(path for path in sorted((data.root / folders[place]).iterdir()) if "color" not in path.name)
    content, message = BAD[bad]
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"{path.name}: {message}"):
        data.prepare_data()


@pytest.mark.parametrize("kind", [0, 2, 4, 6])
def test_sixteen_bits_are_refused_whatever_the_channels(kind: int, tmp_path) -> None:
    path = written(tmp_path, png(16, depth=16, kind=kind))
    for mode in (None, "RGB"):
        with pytest.raises(UserError, match="has 16 bits a channel"):
            read_image(path, mode)
    assert read_image(written(tmp_path, png(16, kind=kind)), "RGB").size == (16, 16)
    Image.fromarray(np.zeros((8, 8), np.float32)).save(tmp_path / "a.tiff")
    with pytest.raises(UserError, match="has 32 bits a channel"):
        read_image(tmp_path / "a.tiff", "RGB")


@pytest.mark.parametrize("quality", [75, 90, 95, 100])
def test_a_mask_that_went_through_jpeg_is_read_as_it_was(quality: int, tmp_path) -> None:
    """Fault B3: every gray value but 0 was part of the face."""
    for side in (64, 512):
        gray = through_jpeg(255 * disk(side).astype(np.uint8), quality)
        assert quality == 100 or len(np.unique(gray)) > 2
        assert np.array_equal(read_mask(written(tmp_path, gray)), disk(side))


def test_real_masks_through_jpeg_are_read_as_they_were(real_faces, tmp_path) -> None:
    for path in sorted((real_faces / "CelebAMask-HQ-mask-anno" / "0").glob("0000[0-3]_*.png")):
        exact = np.asarray(Image.open(path))
        gray = through_jpeg(exact, 75)
        assert ((gray != 0) != (exact != 0)).any()
        assert np.array_equal(read_mask(written(tmp_path, gray)), exact != 0)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 255), (0, 128), (16, 235), (3, 200)])
@pytest.mark.parametrize("mode", ["L", "RGB", "P"])
def test_two_values_are_certain(low: int, high: int, mode: str, tmp_path) -> None:
    gray = np.where(disk(), high, low).astype(np.uint8)
    assert np.array_equal(read_mask(written(tmp_path, gray, mode)), disk())


def test_an_opaque_alpha_channel_does_no_harm_and_no_part_is_no_part(tmp_path) -> None:
    gray = 255 * disk().astype(np.uint8)
    assert np.array_equal(read_mask(written(tmp_path, gray, "RGBA")), disk())
    assert not read_mask(written(tmp_path, 0 * gray)).any()
    assert np.array_equal(read_mask(written(tmp_path, disk())), disk())  # mode 1


def blurred(array: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(array).resize((48, 48), Image.Resampling.BILINEAR))


WHITE = np.full((64, 64), 255, np.uint8)
PART = 255 * disk().astype(np.uint8)
UNCERTAIN = {
    "resized": (
        blurred(PART),
        r"holds gray values such as \d+, .* expected black and white, .* not certain; was it resized",
    ),
    "soft": (np.linspace(0, 255, 64).astype(np.uint8)[None].repeat(64, 0), "holds gray values such as 64, 68"),
    "RGBA": (np.stack([WHITE, WHITE, WHITE, PART], -1), "is partly transparent, expected black and white"),
    "LA": (np.stack([WHITE, PART], -1), "is partly transparent, expected black and white"),
    "white": (WHITE, "covers the whole image, expected one part of a face; was it in a lost alpha channel"),
}


@pytest.mark.parametrize("case", UNCERTAIN)
def test_a_mask_whose_part_is_not_certain_is_refused(case: str, tmp_path) -> None:
    """Fault B3: a white picture with the part in its alpha channel gave 98 % of the labels wrong."""
    pixels, message = UNCERTAIN[case]
    with pytest.raises(UserError, match=f"00017_hair.png: {message}"):
        read_mask(written(tmp_path, pixels))


def test_masks_in_an_alpha_channel_stop_the_packing(tmp_path) -> None:
    root = make_celeba(tmp_path / "faces", mask_size=64)
    alpha = np.stack([np.full((64, 64), 255)] * 3 + [255 * disk()], -1).astype(np.uint8)
    Image.fromarray(alpha).save(root / MASK)
    with pytest.raises(UserError, match="00001_skin.png: is partly transparent"):
        opened(CelebAMaskHQ, root, image_size=16)
    Image.fromarray(through_jpeg(alpha[..., 3], 80)).save(root / MASK)
    assert np.array_equal(CelebAMaskHQFiles(root).label_map(1) == FACE_CLASSES.index("skin"), disk() & ~hair(root))


def hair(root: Path) -> np.ndarray:
    return np.asarray(Image.open(root / MASK.replace("skin", "hair"))) > 0


@pytest.mark.parametrize("quality", [50, 75, 95])
def test_label_maps_that_went_through_jpeg_are_refused(quality: int, real_faces, real_frames, tmp_path) -> None:
    """Most of the ids that JPEG makes up exist, so nothing else would notice."""
    face = CelebAMaskHQFiles(real_faces).label_map(0)
    street = np.asarray(Image.open(next(real_frames.rglob("*_gtFine_labelIds.png"))))
    for ids in (face, street, np.asarray(Image.fromarray(face).resize((64, 64), Image.Resampling.NEAREST))):
        assert np.array_equal(read_ids(written(tmp_path, ids), "ids"), ids)
        with pytest.raises(UserError, match=r"00017_hair.png: [\d.]+% of its pixels differ .* was it saved as JPEG"):
            read_ids(written(tmp_path, through_jpeg(ids, quality)), "ids")
    with pytest.raises(UserError, match="saved as JPEG"):
        read_label_png(written(tmp_path, through_jpeg(face, quality)), 19)


def test_train_ids_in_the_place_of_label_ids_are_refused_with_the_ids_found(tmp_path) -> None:
    """Fault B4: 85 % of the pixels became void."""
    root = tmp_path / "cityscapes"
    write_cityscapes(root, count=4, image_size=32)
    opened(Cityscapes, root, image_size=16)
    path = root / LABELS
    train_ids = TRAIN_ID_OF[np.asarray(Image.open(path))]
    Image.fromarray(train_ids).save(path)
    found = ", ".join(map(str, np.unique(train_ids)))
    message = rf"{path.name}: holds the ids {found}, which are train ids .* \d\d% of the image would be void"
    with pytest.raises(UserError, match=message):
        opened(Cityscapes, root, image_size=16)


def test_real_train_ids_are_refused_and_real_label_ids_are_not(real_frames, tmp_path) -> None:
    files = Cityscapes(root=real_frames, image_size=64, batch_size=1).files()
    for row in range(len(files)):
        label_ids = np.asarray(Image.open(files.label_file(row)))
        assert np.array_equal(files.label_map(row), TRAIN_ID_OF[label_ids])
        one = write_one_frame(tmp_path / str(row), TRAIN_ID_OF[label_ids])
        with pytest.raises(UserError, match="which are train ids"):
            one.label_map(0)


def write_one_frame(root: Path, ids: np.ndarray):
    for part in ("train", "val"):
        write_image(root / "leftImg8bit" / part / "a" / "a_0_0_leftImg8bit.png")
        label = root / "gtFine" / part / "a" / "a_0_0_gtFine_labelIds.png"
        label.parent.mkdir(parents=True)
        Image.fromarray(ids).save(label)
    return Cityscapes(root=root, image_size=16, batch_size=1).files()
