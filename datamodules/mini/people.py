"""Traits of the people in rendered pictures, their CelebA attributes, and their captions."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from datamodules.batches.randomness import Draws
from datamodules.faces.classes import ATTRIBUTES

Domain = Literal["A", "B"]  # A imitates CelebA-HQ: studio, warm; B imitates FFHQ: outdoors, cool, more varied

HAIR_COLORS = ("black", "dark brown", "brown", "blond", "red", "gray")
SKIN_TONES = ("very fair", "fair", "tan", "brown", "dark")
STYLES = ("bald", "short", "chin-length", "long")
BEARDS = ("none", "stubble", "goatee", "full beard")
BALD, SHORT, CHIN_LENGTH, LONG = range(4)
STUBBLE, GOATEE, FULL_BEARD = 1, 2, 3
YOUNG_BELOW, OLD_ABOVE = 0.45, 0.75  # of age, 0 to 1


@dataclass(frozen=True, kw_only=True)
class People:
    """B people; arrays of length B."""

    domain: Domain
    male: np.ndarray
    age: np.ndarray  # 0 to 1
    hair: np.ndarray  # index into HAIR_COLORS
    skin: np.ndarray  # index into SKIN_TONES
    style: np.ndarray  # index into STYLES
    beard: np.ndarray  # index into BEARDS
    bangs: np.ndarray
    wavy: np.ndarray
    glasses: np.ndarray
    hat: np.ndarray
    smile: np.ndarray  # 0 to 1; above .5 smiling
    mouth_open: np.ndarray
    lipstick: np.ndarray
    earrings: np.ndarray
    necklace: np.ndarray
    draws: Draws  # for everything without a field of its own: shapes, shades, pose, background


def invent(seed: int, domain: Domain, indices: np.ndarray) -> People:
    """Return the people of ``indices``; each is a function of (seed, domain, index)."""
    draws = Draws("faces", seed, domain, indices=indices)
    outdoors = domain == "B"
    male = draws.chance("male", 0.5)
    age = draws.uniform("age") ** (0.8 if outdoors else 1.3)
    skin = draws.choose("skin", np.array([2, 4, 3, 2, 2]))
    style = draws.choose("style", np.where(male[:, None], [1.5, 7, 0.8, 0.7], [0, 1.5, 3, 4.5]))
    beard = np.where(male, draws.choose("beard", np.array([5, 2, 1.5, 2.5])), 0)
    bald = style == BALD
    smiling = draws.chance("smiling", 0.5)
    return People(
        domain=domain,
        male=male,
        age=age,
        hair=draws.choose("hair", _hair_weights(age, skin)),
        skin=skin,
        style=style,
        beard=beard,
        bangs=draws.chance("bangs", 0.3) & ~bald,
        wavy=draws.chance("wavy", 0.35) & (style >= CHIN_LENGTH),
        glasses=draws.chance("glasses", 0.35 if outdoors else 0.15),
        hat=draws.chance("hat", 0.22 if outdoors else 0.08),
        smile=np.where(smiling, draws.uniform("smile", 0.65, 1), draws.uniform("smile", 0, 0.25)),
        mouth_open=draws.chance("mouth_open", np.where(smiling, 0.6, 0.1)),
        lipstick=~male & draws.chance("lipstick", 0.55),
        earrings=~male & draws.chance("earrings", 0.35),
        necklace=~male & draws.chance("necklace", 0.3),
        draws=draws,
    )


def _hair_weights(age: np.ndarray, skin: np.ndarray) -> np.ndarray:
    """Return [B, 6]: old people have gray hair, dark skin comes with dark hair."""
    weights = np.tile(np.array([2.0, 2, 2, 2, 1, 0.1]), (len(age), 1))
    weights[:, 2:5] *= np.array([1, 1, 0.7, 0.3, 0.12])[skin][:, None]
    weights[:, 5] += 12 * (age > OLD_ABOVE)
    return weights


def attributes(people: People) -> np.ndarray:
    """Return CelebA's 40 attributes, int8 [B, 40] of 0 and 1; those that a drawing cannot show are 0."""
    haired = people.style != BALD
    hair = [haired & (people.hair == color) for color in range(len(HAIR_COLORS))]
    values = {
        "5_o_Clock_Shadow": people.beard == STUBBLE,
        "Bald": ~haired,
        "Bangs": people.bangs,
        "Black_Hair": hair[0],
        "Blond_Hair": hair[3],
        "Brown_Hair": hair[1] | hair[2],
        "Eyeglasses": people.glasses,
        "Goatee": people.beard == GOATEE,
        "Gray_Hair": hair[5],
        "Male": people.male,
        "Mouth_Slightly_Open": people.mouth_open,
        "Mustache": people.beard >= GOATEE,
        "No_Beard": people.beard == 0,
        "Pale_Skin": people.skin == 0,
        "Sideburns": people.beard == FULL_BEARD,
        "Smiling": people.smile > 0.5,
        "Straight_Hair": haired & ~people.wavy & (people.style >= CHIN_LENGTH),
        "Wavy_Hair": people.wavy,
        "Wearing_Earrings": people.earrings,
        "Wearing_Hat": people.hat,
        "Wearing_Lipstick": people.lipstick,
        "Wearing_Necklace": people.necklace,
        "Young": people.age < YOUNG_BELOW,
    }
    table = np.zeros((len(people.age), len(ATTRIBUTES)), np.int8)
    for name, column in values.items():
        table[:, ATTRIBUTES.index(name)] = column
    return table


def captions(people: People) -> list[dict[str, object]]:
    """Return entries of CelebA-Dialog's ``captions_hq.json``, one per person."""
    return [_caption(people, i) for i in range(len(people.age))]


def _caption(people: People, i: int) -> dict[str, object]:
    male = bool(people.male[i])
    noun, they, their = ("man", "He", "his") if male else ("woman", "She", "her")
    age = "young" if people.age[i] < YOUNG_BELOW else "old" if people.age[i] > OLD_ABOVE else "middle-aged"
    smiling = people.smile[i] > 0.5
    bangs = f"{they} has bangs." if people.bangs[i] else f"{they} has no bangs."
    glasses = f"{they} wears glasses." if people.glasses[i] else f"{they} wears no glasses."
    beard = f"{they} has {_beard_words(int(people.beard[i]))}."
    smile = f"{they} is smiling." if smiling else f"{they} is not smiling."
    head = "a bald head" if people.style[i] == BALD else f"{_hair_words(people, i)} hair"
    wearing = _join([word for word, worn in (("glasses", people.glasses[i]), ("a hat", people.hat[i])) if worn])
    jewels = _join(
        [word for word, worn in (("earrings", people.earrings[i]), ("a necklace", people.necklace[i])) if worn]
    )
    article = "an" if age == "old" else "a"
    sentences = [
        f"This is {article} {age} {noun} with {SKIN_TONES[people.skin[i]]} skin and {head}.",
        f"{they} wears {wearing}." if wearing else "",
        f"{beard[:-1]} and {'smiles' if smiling else 'does not smile'}." if male else smile,
        f"{they} has red lipstick on {their} lips." if people.lipstick[i] else "",
        bangs if people.bangs[i] else "",
        f"{they} wears {jewels}." if jewels else "",
        "The photo was taken outdoors." if people.domain == "B" else "The background is a plain, warm wall.",
    ]
    return {
        "overall_caption": " ".join(sentence for sentence in sentences if sentence),
        "attribute_wise_captions": {
            "Bangs": bangs,
            "Eyeglasses": glasses,
            "No_Beard": beard,
            "Smiling": smile,
            "Young": f"{they} is {age}.",
        },
    }


def _hair_words(people: People, i: int) -> str:
    wave = "wavy " if people.wavy[i] else ""
    return f"{STYLES[people.style[i]]} {wave}{HAIR_COLORS[people.hair[i]]}"


def _beard_words(beard: int) -> str:
    return ("no beard", "stubble", "a goatee", "a full beard")[beard]


def _join(words: list[str]) -> str:
    return " and ".join(words)
