"""The pairs of a text and an ImageNet class that Table 3 of Unite and Conquer (CVPR 2023) asks for at paper.

The paper publishes no list. ``FIGURES`` are the captions of Fig. 9 to 24; those of Fig. 25 ("an eagle", class 245, bulldog)
and Fig. 26 ("photo of a cat", class 96, toucan) contradict themselves and are left out. ``OURS`` are fifty more, with rare scenes
for the class, as in Fig. 1. Texts are in lower case, as GLIDE reads them; things have the names of ImageNet's classes.
"""

Pair = tuple[str, int, str]
"""Text, class from 0 to 999, name of the class."""

FIGURES: tuple[Pair, ...] = (
    ("a garden of cherry blossom trees", 84, "peacock"),  # Fig. 9
    ("an ice mountain", 292, "tiger"),  # Fig. 10
    ("an oil painting", 277, "red fox"),  # Fig. 11
    ("a blue sky with clouds", 22, "bald eagle"),  # Fig. 12
    ("a crayon drawing", 663, "monastery"),  # Fig. 13
    ("a snow mountain", 277, "red fox"),  # Fig. 14
    ("a cherry blossom tree", 17, "jay"),  # Fig. 15
    ("photo of a beach", 200, "Tibetan terrier"),  # Fig. 16
    ("a wheat field", 291, "lion"),  # Fig. 17
    ("a road leading into mountains", 483, "castle"),  # Fig. 18
    ("photo of a beach", 385, "Indian elephant"),  # Fig. 19
    ("a canoe on the sea", 442, "bell cote"),  # Fig. 20
    ("a pink sky", 979, "valley"),  # Fig. 21
    ("a highway", 671, "mountain bike"),  # Fig. 22
    ("a road leading to mountains", 850, "teddy bear"),  # Fig. 23
    ("a paddy field", 345, "ox"),  # Fig. 24
)
OURS: tuple[Pair, ...] = (
    ("a mountain", 51, "triceratops"),
    ("a rain forest", 31, "tree frog"),
    ("a river bank", 175, "otterhound"),
    ("a night sky with stars", 24, "great grey owl"),
    ("a rain forest in the mist", 88, "macaw"),
    ("a field of sunflowers", 94, "hummingbird"),
    ("a frozen lake", 99, "goose"),
    ("a lake at sunset", 100, "black swan"),
    ("a desert", 130, "flamingo"),
    ("a pier at the sea", 144, "pelican"),
    ("a field of snow", 145, "king penguin"),
    ("the northern lights", 148, "killer whale"),
    ("a bamboo forest", 105, "koala"),
    ("an autumn forest", 207, "golden retriever"),
    ("a snow storm", 250, "Siberian husky"),
    ("a lavender field", 263, "Pembroke"),
    ("a forest in the mist", 269, "timber wolf"),
    ("an iceberg", 279, "Arctic fox"),
    ("a library", 281, "tabby"),
    ("a waterfall", 288, "leopard"),
    ("a savanna at sunset", 293, "cheetah"),
    ("a mountain stream", 294, "brown bear"),
    ("a beach at sunset", 296, "polar bear"),
    ("a wooden table", 301, "ladybug"),
    ("a tulip field", 323, "monarch"),
    ("a snowy field", 330, "wood rabbit"),
    ("a city street", 340, "zebra"),
    ("a swimming pool", 344, "hippopotamus"),
    ("a prairie with storm clouds", 347, "bison"),
    ("a rocky cliff", 348, "ram"),
    ("sand dunes", 354, "Arabian camel"),
    ("a terraced hill", 355, "llama"),
    ("a jungle", 366, "gorilla"),
    ("a bamboo grove", 388, "giant panda"),
    ("a sunset over the ocean", 404, "airliner"),
    ("a valley full of flowers", 417, "balloon"),
    ("a stormy sea", 437, "lighthouse"),
    ("a field of poppies", 425, "barn"),
    ("a foggy hill", 497, "church"),
    ("a snowy street", 555, "fire engine"),
    ("a beach with palm trees", 579, "grand piano"),
    ("a desert at night", 668, "mosque"),
    ("a canyon", 701, "parachute"),
    ("a watercolor painting", 780, "schooner"),
    ("a pine forest in winter", 802, "snowmobile"),
    ("a desert road", 817, "sports car"),
    ("a vineyard", 820, "steam locomotive"),
    ("a rice terrace", 866, "tractor"),
    ("a rainy street", 879, "umbrella"),
    ("a pencil sketch", 888, "viaduct"),
)
PAIRS = (*FIGURES, *OURS)
