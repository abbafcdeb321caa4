import numpy as np
import pytest

from datamodules.batches.randomness import Draws
from datamodules.celebamask_hq import CelebAMaskHQFiles
from datamodules.faces.classes import ATTRIBUTES, FACE_CLASSES
from datamodules.ffhq import FFHQFiles
from datamodules.mini import people as who
from datamodules.mini.faces import render
from datamodules.mini.layouts import write_celebamask_hq, write_ffhq


def drawn(domain, numbers, size=32, seed=0):
    return render(who.invent(seed, domain, np.asarray(numbers)), size)


@pytest.mark.parametrize("domain", ["A", "B"])
@pytest.mark.parametrize("size", [32, 64])
def test_a_face_depends_on_its_number_alone(domain, size):
    images, labels = drawn(domain, range(40), size)
    for numbers in ([17], [39, 3, 17], range(10, 30)):
        some_images, some_labels = drawn(domain, numbers, size)
        assert np.array_equal(some_images, images[list(numbers)])
        assert np.array_equal(some_labels, labels[list(numbers)])


def test_seeds_and_domains_differ():
    a, b, other = drawn("A", range(8))[0], drawn("B", range(8))[0], drawn("A", range(8), seed=1)[0]
    assert all(len({image.tobytes() for image in (x, y, z)}) == 3 for x, y, z in zip(a, b, other))


@pytest.mark.parametrize(("domain", "glasses", "hats"), [("A", 0.15, 0.08), ("B", 0.35, 0.22)])
def test_classes_fit_the_traits(domain, glasses, hats):
    people = who.invent(0, domain, np.arange(400))
    images, labels = render(people, 64)
    assert images.shape == (400, 3, 64, 64)
    assert images.dtype == labels.dtype == np.uint8
    present = np.stack([(labels == k).any((1, 2)) for k in range(19)], 1)
    share = dict(zip(FACE_CLASSES, present.mean(0)))
    assert all(share.values())  # all 19 occur
    for name in ("background", "skin", "nose", "l_eye", "r_eye", "u_lip", "l_lip", "neck", "cloth"):
        assert share[name] > 0.98, name
    assert np.array_equal(present[:, FACE_CLASSES.index("eye_g")], people.glasses)
    assert np.array_equal(present[:, FACE_CLASSES.index("hat")], people.hat)
    assert np.array_equal(present[:, FACE_CLASSES.index("hair")], people.style != who.BALD)
    assert abs(people.glasses.mean() - glasses) < 0.06
    assert abs(people.hat.mean() - hats) < 0.06
    columns = np.arange(64)
    left, right = (((labels == FACE_CLASSES.index(n)).sum(1) * columns).sum() for n in ("l_eye", "r_eye"))
    assert left > right


def test_hair_shows_below_a_hat():
    people = who.invent(0, "B", np.arange(300))
    labels = render(people, 64)[1]
    both = people.hat & (people.style >= who.CHIN_LENGTH)
    assert ((labels[both] == FACE_CLASSES.index("hair")).mean((1, 2)) > 0.04).all()


def test_domain_a_is_warm_and_b_is_cool():
    def warmth(domain):
        images, labels = drawn(domain, range(100))
        behind = images.transpose(0, 2, 3, 1)[labels == 0].astype(float).mean(0)
        return behind[0] - behind[2]

    assert warmth("A") > 15
    assert warmth("B") < -5


def test_captions_and_attributes_say_what_is_drawn():
    people = who.invent(0, "A", np.arange(500))
    table, entries = who.attributes(people), who.captions(people)
    has = {name: table[:, k].astype(bool) for k, name in enumerate(ATTRIBUTES)}
    texts = np.array([entry["overall_caption"] for entry in entries])

    def says(words):
        return np.array([words in text for text in texts])

    assert np.array_equal(says("glasses"), has["Eyeglasses"])
    assert np.array_equal(says("a hat"), has["Wearing_Hat"])
    assert np.array_equal(says(" man "), has["Male"])
    assert np.array_equal(says("blond hair"), has["Blond_Hair"])
    assert np.array_equal(says("bald head"), has["Bald"])
    assert np.array_equal(says("is smiling") | says("and smiles"), has["Smiling"])
    assert np.array_equal(says(" young "), has["Young"])
    assert np.array_equal(says("no beard"), has["No_Beard"] & has["Male"])
    assert set(entries[0]["attribute_wise_captions"]) == {"Bangs", "Eyeglasses", "No_Beard", "Smiling", "Young"}
    assert not any("  " in text or " a old" in text or ".." in text for text in texts)
    assert all(text.endswith(".") for text in texts)


def test_written_masks_merge_to_the_rendered_label_map(celeba_root, ffhq_root):
    for domain, files in (("A", CelebAMaskHQFiles(celeba_root)), ("B", FFHQFiles(ffhq_root))):
        labels = drawn(domain, files.numbers, seed=3)[1]
        assert all(np.array_equal(files.label_map(number), labels[number]) for number in files.numbers)


@pytest.mark.parametrize("write", [write_celebamask_hq, write_ffhq])
def test_writing_twice_is_a_no_op_and_another_set_is_refused(tmp_path, write):
    root = tmp_path / "faces"
    write(root, count=3, image_size=16)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    write(root, count=3, image_size=16)
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    with pytest.raises(ValueError, match="holds rendered faces with .*expected .*delete this one"):
        write(root, count=4, image_size=16)
    (tmp_path / "full").mkdir()
    with pytest.raises(ValueError, match="holds no rendered faces"):
        write(tmp_path / "full", count=3, image_size=16)


def test_an_interrupted_writing_leaves_no_folder(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("datamodules.mini.layouts._write_parts", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_celebamask_hq(tmp_path / "faces", count=3, image_size=16)
    assert [path.name for path in tmp_path.iterdir()] == [".faces.lock"]


def test_draws_are_uniform_and_independent():
    draws = Draws("test", 0, indices=np.arange(20_000))
    a, b = draws.uniform("a"), draws.uniform("b")
    assert abs(a.mean() - 0.5) < 0.01
    assert abs(a.std() - 12**-0.5) < 0.01
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.03
    assert abs(np.corrcoef(a[1:], a[:-1])[0, 1]) < 0.03
    counts = np.bincount(draws.choose("c", np.array([1, 0, 3])), minlength=3) / 20_000
    assert np.allclose(counts, [0.25, 0, 0.75], atol=0.02)
    grid = draws.uniform("g", count=4)
    assert np.abs(np.corrcoef(grid.T) - np.eye(4)).max() < 0.03
