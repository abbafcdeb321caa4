"""Published files: made by our own code in the published layout, then converted, loaded, undone, or refused."""

import math
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from golden.formulas import from_legacy, official
from stand_in_files import BASELINES, as_published, published_tensors
from stand_in_weights import WORD_PIECES, WRITERS, small_files
from torch import nn

from lightning_mmdiff import schedules, weights
from lightning_mmdiff.errors import UserError
from lightning_mmdiff.methods.collaborative.generation import Collaborate
from lightning_mmdiff.methods.collaborative.influence import InfluenceConfig
from lightning_mmdiff.networks import tokens
from lightning_mmdiff.released import __main__ as command
from lightning_mmdiff.released import catalogue, convert
from lightning_mmdiff.released.__main__ import ConvertFlags
from lightning_mmdiff.released.catalogue import FILES, Released, file_of
from lightning_mmdiff.released.checkpoint import PublishedFile
from lightning_mmdiff.released.reading import read_tensors
from lightning_mmdiff.schedules import Sampler

PUBLISHED = {
    "adm_64": (541, 295_904_454), "adm_128": (493, 421_529_606), "adm_256": (567, 553_838_086),
    "adm_256_uncond": (566, 552_814_086), "adm_512": (645, 558_997_638), "adm_upsampler_256": (567, 311_795_910),
    "adm_classifier_64": (307, 65_438_568), "adm_classifier_128": (221, 42_568_040),
    "adm_classifier_256": (249, 54_096_360), "adm_classifier_512": (281, 54_448_360), "glide": (783, 385_030_726),
    "glide_upsampler": (797, 398_361_286), "unite_and_conquer_face": (652, 330_924_267),
    "unite_and_conquer_sketch": (566, 311_027_910), "collaborative_256": (3378, 1_056_078_663),
    "collaborative_512": (3422, 1_084_406_599), "collaborative_256_with_sketch": (4756, 1_473_494_923),
    "collaborative_256_vae": (204, 55_312_063),
    "collaborative_512_vae": (248, 83_639_999), "stylegan2_ffhq": (155, 33_166_236), "psp_mask": (777, 300_337_616),
    "inade_generator": (198, 85_273_237), "inade_encoder": (24, 3_689_856), "pix2pix_day2night": (43, 54_413_955),
    "cyclegan_photo2label": (48, 11_378_179),
}  # fmt: skip
"""File -> tensors and parameters, counted on the reference codes' own modules; of Collaborative Diffusion what our models use;
of the baselines on ours, whose names and shapes ``test_baselines`` holds against the published ones."""
SMALL = (
    pytest.param("collaborative_256_with_sketch", marks=pytest.mark.slow),
    "adm_128",
    "adm_classifier_64",
    "glide",
    "unite_and_conquer_face",
    "collaborative_256",
    "collaborative_512_vae",
    *BASELINES,
)


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """All files known in a small form, and an empty folder of weights."""
    small_files(monkeypatch)
    monkeypatch.setenv(weights.ENVIRONMENT_VARIABLE, str(tmp_path))
    convert.contents.cache_clear()
    yield tmp_path
    convert.contents.cache_clear()


def put(file: PublishedFile, folder: Path, **changed: torch.Tensor | None) -> Path:
    """Write random weights in the published layout; ``changed`` replaces tensors, or with None removes them."""
    tensors = {**published_tensors(file), **changed}
    path = folder / weights.entry(file.weight).file
    kept = {name: value for name, value in tensors.items() if value is not None}
    torch.save(as_published(path, kept), path)
    return path


@pytest.mark.parametrize("name", PUBLISHED)
def test_full_width_has_the_published_tensors_and_parameters(name: str) -> None:
    found = convert.places(file_of(name))
    assert (len(found), sum(math.prod(place.shape) for place in found.values())) == PUBLISHED[name]
    assert len({place.key.name for place in found.values()}) == len(found)


def test_every_file_has_an_entry_with_license_and_about_the_bytes_of_its_parameters() -> None:
    for file in FILES:
        entry = weights.entry(file.weight)
        parameters = sum(math.prod(place.shape) for place in convert.places(file).values())
        assert entry.converts
        assert entry.license
        assert entry.bytes is not None
        assert 1 <= entry.bytes / (4 * parameters) < 1.4


def test_no_two_files_have_the_same_names_and_shapes() -> None:
    """So a file of an unknown name is recognized."""
    found = [frozenset((p.key.name, p.theirs) for p in convert.places(f).values()) for f in FILES]
    assert len(set(found)) == len(FILES)


def test_names_and_order_of_adm_are_those_of_the_golden_files() -> None:
    for name, heads in (("adm_64", None), ("adm_128", 4), ("adm_256", 64)):
        for ours, place in convert.places(file_of(name)).items():
            assert place.key.name == official(ours.removeprefix("network."))
            if ".qkv.bias" in ours:
                rows, width = torch.arange(place.shape[0]), place.shape[0] // 3
                count = width // 64 if heads == 64 else heads
                expected = rows if count is None else from_legacy(rows, count)
                assert torch.equal(place.key.layout.ours(rows), expected)


@pytest.mark.parametrize("name", SMALL)
def test_a_file_is_converted_loaded_and_undone(name: str, small: Path, capsys) -> None:
    """Nothing is lost on the way, and a run reads the same weights from both forms."""
    file = file_of(name)
    path = put(file, small)
    theirs = read_tensors(path)
    checkpoint = file.checkpoints[-1]
    for other in {f.weight for f in FILES if f.weight != name} & set(Released(checkpoint.name).weights):
        put(file_of(other), small)  # the other half of INADE
    first = Released(checkpoint.name).entry.load().state_dict()  # the published form
    command.main(ConvertFlags(file=path))
    assert f"{path} is {name}" in capsys.readouterr().out
    converted = path.with_suffix(".safetensors")
    assert weights.find(file.weight) == converted
    assert convert.source_of(converted)["sha256"] == weights.digest(path)
    assert convert.origin(converted) == convert.origin(path) == {"file": path.name, "sha256": weights.digest(path)}
    path.unlink()
    second = Released(checkpoint.name).entry.load().state_dict()
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)
    command.main(ConvertFlags(file=converted, undo=True))
    restored = read_tensors(path)
    assert all(torch.equal(restored[key], theirs[key]) for key in restored)
    assert {key for key in theirs if not key.startswith((*file.ignored, convert.SCHEDULE))} == restored.keys()


def test_the_scale_of_the_latents_is_the_published_one(small: Path) -> None:
    for size, scale in ((256, 0.058), (512, 0.141)):
        put(file_of(f"collaborative_{size}"), small)
        assert Released(f"codiff_{size}_autoencoder").entry.load().scale.item() == pytest.approx(scale)


def test_a_model_reads_its_own_tensors_of_a_file_alone(small: Path) -> None:
    """Numbers that are none, in another model of the same file, go unnoticed by it."""
    file = file_of("collaborative_256")
    name = next(p.key.name for n, p in convert.places(file).items() if n.startswith("mask.network."))
    put(file, small, **{name: torch.full_like(published_tensors(file)[name], math.nan)})
    Released("codiff_256_autoencoder").entry.load()
    with pytest.raises(UserError, match="values that are no numbers"):
        Released("codiff_256_mask").entry.load()


@pytest.mark.parametrize("size", [256, 512])
def test_mask_text_and_sketch_collaborate(size: int, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a file in the layout of the authors' code to a picture; the released schedule is that of mask and sketch."""
    WRITERS["bert_tokenizer"](small / weights.entry("bert_tokenizer").file)
    monkeypatch.setattr(tokens, "WORD_PIECES", len(WORD_PIECES))
    put(file_of(f"collaborative_{size}_with_sketch"), small)
    source, sampler = Released(f"codiff_{size}_with_sketch"), Sampler(name="ddim", num_steps=2, clip=False, eta=1.0)
    method = Collaborate(model=source, influence=InfluenceConfig(schedule="released", scheduled=(0, 2)))
    module = method.build(lambda wanted: wanted.entry.load(), sampler=sampler, seed=0)
    side = module.experts[0].denoiser.autoencoder.config.image_size
    mask = 255 * torch.eye(19, dtype=torch.uint8)[torch.randint(19, (1, 32, 32))].permute(0, 3, 1, 2)
    lines = torch.zeros(1, 1, side, side, dtype=torch.uint8)
    lines[..., side // 2] = 255
    conditions = {"mask": mask, "caption": ["a face"], "sketch": lines}
    pictures, influence = module.sample_with_influence({"index": torch.arange(1), "conditions": conditions})
    assert pictures.shape == (1, 3, side, side)
    assert influence.shape[:3] == (2, 3, 1)
    torch.testing.assert_close(influence.sum(dim=1), torch.ones_like(influence[:, 0]))
    other, _ = module.sample_with_influence(
        {"index": torch.arange(1), "conditions": {**conditions, "sketch": 0 * lines}}
    )
    assert not torch.equal(pictures, other)


def test_a_file_of_another_name_is_recognized_by_its_tensors(small: Path, capsys) -> None:
    path = put(file_of("unite_and_conquer_sketch"), small).rename(small / "mine.pt")
    command.main(ConvertFlags(file=path))
    assert "is unite_and_conquer_sketch" in capsys.readouterr().out


def refusal(path: Path, name: str = "") -> str:
    with pytest.raises(UserError) as error:
        command.main(ConvertFlags(file=path, name=name))
    message = str(error.value)
    assert str(path) in message
    assert message.count(". ") <= 1
    return message


def test_a_renamed_key_and_another_architecture_are_named(small: Path) -> None:
    file = file_of("adm_128")
    value = published_tensors(file)["out.2.bias"]
    path = put(file, small, **{"out.2.bias": None, "out.9.bias": value})
    assert "1 missing (first: out.2.bias); 1 unexpected (first: out.9.bias)" in refusal(path)
    path = put(file, small, **{"out.2.bias": value[:3]})
    assert "1 of another shape (first: out.2.bias)" in refusal(path)
    other = put(file_of("adm_256"), small)
    other.rename(small / "renamed.pt")
    assert "is not 128x128_diffusion.pt as published" in refusal(small / "renamed.pt", "adm_128")
    torch.save({"weight": torch.zeros(3)}, small / "foreign.pt")
    assert "none of the files that are known" in refusal(small / "foreign.pt")


def test_values_that_are_no_numbers_and_another_schedule_are_refused(small: Path) -> None:
    file = file_of("adm_128")
    path = put(file, small, **{"out.2.bias": torch.full_like(published_tensors(file)["out.2.bias"], math.nan)})
    assert "values that are no numbers" in refusal(path)
    path = put(file_of("collaborative_256"), small, alphas_cumprod=schedules.linear().alpha_bar.float())
    assert "another noise schedule" in refusal(path)


def test_a_truncated_file_a_page_and_code_are_one_sentence_each(small: Path) -> None:
    path = put(file_of("adm_128"), small)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "incomplete" in refusal(path)
    path.write_bytes(b"")
    assert "cannot be read" in refusal(path)
    path.write_bytes(b"\n<!DOCTYPE html><title>Google Drive - Virus scan warning</title>")
    assert "web page" in refusal(path)
    torch.save({"weight": torch.zeros(1), "run": print}, path)
    assert "holds code (builtins.print)" in refusal(path)
    torch.save({"weight": torch.zeros(1), "run": print}, path, _use_new_zipfile_serialization=False)
    assert "holds code" in refusal(path)
    torch.save([torch.zeros(1)], path)
    assert "holds a list" in refusal(path)
    assert "is not there" in refusal(small / "absent.pt")


def test_a_damaged_converted_file_is_refused(small: Path) -> None:
    file = file_of("adm_classifier_64")
    target = convert.write(file, put(file, small))
    changed = bytearray(target.read_bytes())
    changed[-1] ^= 1
    target.write_bytes(changed)
    with pytest.raises(UserError, match="damaged"):
        convert.stored(file, file.checkpoints[0])


def test_old_lightning_files_name_a_callback_which_is_never_imported(small: Path) -> None:
    """Files of 2023 hold a class of ``pytorch_lightning.callbacks`` as a key, which is not there to be loaded."""
    path, inside = small / "old.ckpt", small / "plain.ckpt"
    torch.save({"state_dict": {"weight": torch.arange(3.0)}, "callbacks": {Callback: 1}}, inside)
    there = b"pytorch_lightning.callbacks.model_checkpoint\nModelCheckpoint\n"
    here = f"{__name__}\nCallback\n".encode()
    with zipfile.ZipFile(inside) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as new:
        for entry in old.infolist():
            content = old.read(entry)
            assert not entry.filename.endswith("data.pkl") or here in content
            new.writestr(entry.filename, content.replace(here, there))
    assert torch.equal(read_tensors(path)["weight"], torch.arange(3.0))


class Callback:
    """Stands in the file for a class that is not installed."""


def test_a_training_starts_from_a_released_model(small: Path) -> None:
    put(file_of("adm_128"), small)
    released = Released("adm_128")
    module = released.model.build(seed=3)
    assert isinstance(module, nn.Module)
    released.entry.initialize(module)
    assert torch.equal(module.network.out_conv.bias, released.entry.load().network.out_conv.bias)
    with pytest.raises(UserError, match="another architecture"):
        released.entry.initialize(nn.Linear(2, 2))


def test_the_command_lists_every_file(capsys) -> None:
    command.main(ConvertFlags())
    assert capsys.readouterr().out.count("\n") == len(FILES)
    assert {c.name for f in FILES for c in f.checkpoints} <= {entry.name for entry in catalogue.RELEASED}
