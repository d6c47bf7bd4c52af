"""A submission of the widefield client arrived: a folder, no timestamp, uploaded twice. Otherwise as `submit_start`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jobmanager.settings import LambdaContext
from jobmanager.widefield_manager import WidefieldManager
from submit_start import serve


def handler(event: Mapping[str, Any], context: LambdaContext) -> None:
    """Lambda's entry point, under the name blueprints of that protocol have."""
    serve(event, context, WidefieldManager)
