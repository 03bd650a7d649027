"""Makes test/expected/keys.json: the names and shapes in the state dicts of torchvision's networks, in their order.

{network: {key: shape}}, without the `num_batches_tracked` counters.
"""

import json
from pathlib import Path

import torchvision.models

EXPECTED = Path(__file__).resolve().parents[2] / "test" / "expected"
NAMES = [f"resnet{depth}" for depth in [18, 34, 50, 101, 152]] + [f"densenet{depth}" for depth in [121, 169, 201]]


def key_shapes(name):
    state = getattr(torchvision.models, name)().state_dict()
    return {key: list(value.shape) for key, value in state.items() if not key.endswith("num_batches_tracked")}


def main():
    EXPECTED.mkdir(parents=True, exist_ok=True)
    lines = (f'"{name}":{json.dumps(key_shapes(name), separators=(",", ":"))}' for name in NAMES)
    (EXPECTED / "keys.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
