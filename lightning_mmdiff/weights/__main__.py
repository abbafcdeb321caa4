"""List every weight file with its purpose, its location and whether it is intact.

python -m lightning_mmdiff.weights
"""

from lightning_mmdiff.runtime.commands import readable_end
from lightning_mmdiff.weights.find import ENVIRONMENT_VARIABLE, candidates, damage, find
from lightning_mmdiff.weights.table import WEIGHTS


def main() -> None:
    """Print each weight file's purpose, whether it is found and intact, where it is or was sought, and how to override."""
    for weight in WEIGHTS:
        path = find(weight.name)
        problem = damage(weight, path) if path else ""
        size = f"{weight.bytes / 2**20:.1f} MiB" if weight.bytes else "size unknown"
        known = "sha256" if weight.sha256 or weight.members else "no checksum known"
        print(f"{'damaged' if problem else 'found  ' if path else 'missing'} {weight.name:19} {weight.purpose}")
        print(f"        {weight.file}, {size}, {known}, {weight.license}")
        print(f"        {problem or path or ' | '.join(str(candidate) for candidate in candidates(weight.name))}")
    print(f"\nA file in the folder ${ENVIRONMENT_VARIABLE} goes before one in the default place.")


if __name__ == "__main__":
    with readable_end():
        main()
