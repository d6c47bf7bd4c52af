"""Environment variables that keep libraries from reaching out for models where a recipe asks for no network.

Standard library only: it travels in the archive. Without them a library would wait for a server nobody lets it reach.
"""

from __future__ import annotations

import json
from pathlib import Path

OFFLINE_VARIABLES = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
"""Hugging Face's hub and what is built on it: huggingface.co/docs/huggingface_hub, "Environment variables"."""


def network_variables(*, network: bool) -> dict[str, str]:
    """What a machine's environment says of the network: nothing where the recipe asks for one."""
    return {} if network else dict(OFFLINE_VARIABLES)


def asks_for_network(image: Path) -> bool:
    """Whether the recipe in an image's folder asks for the network; an image without a readable recipe does not."""
    try:
        recipe = json.loads((image / "analysis" / "recipe.json").read_bytes())
        return isinstance(recipe, dict) and recipe.get("network") is True
    except (OSError, ValueError):
        return False
