"""What the codes of claims mean: the numbers under which the papers' statements are listed in every table and result."""

MEANING = {
    "UC1": "ours has the lowest FID of the rows trained on both data sets",
    "UC2": "ours follows the maps best",
    "UC3": "fine-tuning is worse than combined training",
    "UC4": "ours beats one condition alone, and one model given both",
    "UC5": "one model given both conditions has a worse FID than one given a single condition, and follows the maps better",
    "UC6": "in scenes ours beats CompGen, and GLIDE matches the text but misses the class",
    "UC7": "reliability does not matter where the conditions are independent",
    "UC8": "contradictory conditions fail, and weights repair it",
    "against UC7": "what would have to hold if reliability mattered for independent conditions, which the paper denies",
    "zero-shot": "a text steers a model that has never seen one",
    "MT1": "restoring beats leaving the holes, which beats SDEdit-",
    "MT2": "training on masked images (-X) beats ADM at equal training",
    "MT3": "training on noisy images (-U) beats unconditional ADM, which the paper's own table contradicts on FID",
    "MT4": "joint image-label training is worse than ADM, better with -M than with -E, and ahead once fine-tuned",
    "MT5": "at convergence MT-Diffusion is comparable with ADM, and ahead once fine-tuned and guided",
    "MT6": "from photograph to labels, MT-Diffusion is far ahead of single-task diffusion and of GANs",
    "MT7": "from night to day, MT-Diffusion beats single-task diffusion",
    "MT8": "the jointly trained classifier stays ahead of one trained alone",
    "MT9": "a step takes about a tenth more time",
    "MT10": "MT-Diffusion converges faster than a purely conditional model",
    "MT11": "the more similar task transfers more",
    "ADM": "what classifier guidance does to ADM",
    "E.4": "an image trained together with its CLIP embedding",
    "E.5": "tasks trained together help each other",
    "CD1": "ours beats TediGAN and Composable in image quality, text and mask",
    "CD2": "without variation over space all three get worse",
    "CD3": "without variation over time all three get worse",
    "CD4": "the mask's influence lies on contours and comes early, the text's lies on skin and comes late",
    "CD5": "a dynamic diffuser is about 30 times smaller than an expert",
    "CD6": "an edit follows both conditions and keeps the person",
    "lecture": "ways to condition on a label",
    "fair": "the same at equal guidance, size or training",
    "four": "what a further modality adds",
    "ours": "our own questions",
}


def meaning(code: str) -> str:
    """Return what a code stands for; empty for a code of a table that is not ours."""
    return MEANING.get(code, "")
