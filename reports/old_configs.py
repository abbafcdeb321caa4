"""Upgrade of settings that earlier versions of the code wrote to today's form.

``config.json`` of a run and ``paper.json`` of a table outlive the code that wrote them. Any change that renames a type
or moves a setting adds its rule here, so that old run folders still open and reports show no false differences.
A new field with a default needs no rule: a missing field counts as its default.
"""

from collections.abc import Callable
from typing import Any

OLD_NAMES: dict[str, tuple[str, ...]] = {
    "Collaborator": ("Member",),
    "PairedImage": ("Picture",),
}
"""Type -> its earlier names."""

RETIRED: dict[str, dict[str, Any]] = {
    "DenoiserConfig": {"compile": False},
    "MTDiffusionConfig": {"latents": None, "pretrained": None, "compile": False},
    "Embedding": {"released": None},
}
"""Type -> removed field -> its default at that time. Old settings with the default are equal to today's; any other value
is a setting that today's code cannot follow, so it stays and is reported as a difference."""

_NEW_NAMES = {old: new for new, names in OLD_NAMES.items() for old in names}


def upgrade(old: dict[str, Any]) -> dict[str, Any]:
    """Return settings in today's form; settings that already have it come back equal.

    The rules apply to every object inside ``old``, innermost first. A rule is chosen by ``fields["type"]`` and returns
    the fields as today's code writes them.
    """
    fields = {key: _upgrade_value(value) for key, value in old.items()}
    name = fields.get("type")
    if isinstance(name, str):
        fields["type"] = name = _NEW_NAMES.get(name, name)
        fields = RULES.get(name, dict)(fields)
        retired = RETIRED.get(name, {})
        fields = {k: v for k, v in fields.items() if k not in retired or v != retired[k]}
    return fields


def _upgrade_value(value: Any) -> Any:
    if isinstance(value, dict):
        return upgrade(value)
    return [_upgrade_value(item) for item in value] if isinstance(value, list) else value


def _collaborators(fields: dict[str, Any]) -> dict[str, Any]:
    """Rename members to collaborators, the paper's word."""
    return {"collaborators" if key == "members" else key: value for key, value in fields.items()}


def _roles(fields: dict[str, Any]) -> dict[str, Any]:
    """Give roles to the models a training needs; they were one list, with released ones named inside the model."""
    if "needs" not in fields:
        return fields
    roles = {"ContrastiveConfig": "embedder", "AutoencoderConfig": "autoencoder"}
    found: dict[str, Any] = {"experts": []}
    for need in fields["needs"]:
        role = roles.get(need["model"]["type"])
        if role:
            found[role] = need
        elif need != fields["initial"]:
            found["experts"].append(need)
    model = dict(fields["model"])
    if latents := model.pop("latents", None):
        found["autoencoder"] = _released(f"kl_f8_{latents['image_size']}")
    if pretrained := model.pop("pretrained", None):
        found["initial"] = _released(pretrained)
    embeddings = [m for m in model.get("modalities", ()) if m["type"] == "Embedding"]
    names = [m.pop("released", None) for m in embeddings]
    if "embedder" not in found and (embeddings or _reads_embedding(model)):
        found["embedder"] = _released(next((name for name in names if name), "farl"))
    kept = {key: value for key, value in fields.items() if key != "needs"}
    return {**kept, "model": model, **found}


def _reads_embedding(model: dict[str, Any]) -> bool:
    conditions = model.get("conditions")
    return isinstance(conditions, dict) and bool(conditions.get("embedding"))


def _method(fields: dict[str, Any]) -> dict[str, Any]:
    """Turn the method into a value with its own fields; it was a word, with optional fields of the run beside it."""
    word = fields.get("method")
    if not isinstance(word, str):
        return fields
    old = {key: fields.pop(key, None) for key in ("experts", "classifier", "scale", "start", "influence", "edit")}
    experts, edit = old["experts"] or [], old["edit"] or {}
    model = experts[0]["run"] if experts else None
    influence = old["influence"] or {"type": "InfluenceConfig"}
    methods: dict[str, dict[str, Any]] = {
        "unite": {"type": "Unite", "experts": experts},
        "composable": {"type": "Compose", "experts": experts},
        "label_sampling": {"type": "SampleByLabel", "models": [expert["run"] for expert in experts]},
        "denoise": {"type": "Denoise", "model": model},
        "restore": {"type": "RestoreMasked", "model": model},
        "replacement": {"type": "ReplaceKnown", "model": model},
        "sdedit": {"type": "EditWithSDEdit", "model": model, "start": 0.5 if old["start"] is None else old["start"]},
        "collaborate": {"type": "Collaborate", "model": model, "influence": influence},
        "edit": {**edit, "type": "EditTogether", "model": model, "influence": influence},
        "classify": {"type": "Classify", "model": model},
        "count": {"type": "CountParameters", "expert": next(iter(experts), None)},
        "real": {"type": "RealImages", "of_edit": {None: None, 0.0: "before", 1.0: "target"}.get(edit.get("alpha"))},
    }
    method = methods[word]
    if old["classifier"]:
        scale = 1.0 if old["scale"] is None else old["scale"]
        method = {"type": "GuideByClassifier", "method": method, "classifier": old["classifier"], "scale": scale}
    sampler = None if word in ("real", "classify", "count") else fields["sampler"]
    return {**fields, "method": method, "sampler": sampler}


def _released(name: str) -> dict[str, Any]:
    return {"type": "Released", "name": name}


def _scheduled(fields: dict[str, Any]) -> dict[str, Any]:
    """List the models that the influence schedule applies to; there was one."""
    chosen = fields.get("scheduled")
    return {**fields, "scheduled": [chosen]} if isinstance(chosen, int) else fields


def _american(fields: dict[str, Any]) -> dict[str, Any]:
    """Rename fields to American spelling."""
    return {"color" if key == "colour" else key: value for key, value in fields.items()}


def _checkpointing(fields: dict[str, Any]) -> dict[str, Any]:
    """Move the setting into the network, whose activations are recomputed."""
    if "checkpointing" not in fields:
        return fields
    kept = {key: value for key, value in fields.items() if key != "checkpointing"}
    return {**kept, "network": {**kept["network"], "checkpointing": fields["checkpointing"]}}


RULES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "CollaborativeConfig": _collaborators,
    "Degradation": _american,
    "InfluenceConfig": _scheduled,
    "LatentDenoiserConfig": _checkpointing,
    "TrainRun": _roles,
    "SampleRun": _method,
}
"""Type -> function that upgrades its fields."""
