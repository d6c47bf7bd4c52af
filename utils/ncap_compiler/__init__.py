"""Documents -> templates, bundles and versions. Pure: same input, same bytes; no clock, network or environment.

The public names below are loaded on first use, so that importing the package costs nothing and reading a document
does not load troposphere.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ncap_compiler.blueprint import Blueprint, dump_blueprint, load_blueprint
    from ncap_compiler.bundle import Bundle, bundle_files
    from ncap_compiler.compare import Change, compare_templates, describe_statement
    from ncap_compiler.compiler import (
        CompiledAnalysis,
        CompiledUsers,
        compile_account,
        compile_analysis,
        compile_users,
        groups_in,
    )
    from ncap_compiler.errors import DocumentError, Problem
    from ncap_compiler.parameters import load_parameters_schema
    from ncap_compiler.profile import Profile, dump_profile, load_profile
    from ncap_compiler.recipe import Recipe, load_recipe, recipe_digest
    from ncap_compiler.version import render_version

_HOMES = {
    "Blueprint": "blueprint",
    "Bundle": "bundle",
    "Change": "compare",
    "CompiledAnalysis": "compiler",
    "CompiledUsers": "compiler",
    "DocumentError": "errors",
    "Problem": "errors",
    "Profile": "profile",
    "Recipe": "recipe",
    "bundle_files": "bundle",
    "compare_templates": "compare",
    "compile_account": "compiler",
    "compile_analysis": "compiler",
    "compile_users": "compiler",
    "describe_statement": "compare",
    "dump_blueprint": "blueprint",
    "dump_profile": "profile",
    "groups_in": "compiler",
    "load_blueprint": "blueprint",
    "load_parameters_schema": "parameters",
    "load_profile": "profile",
    "load_recipe": "recipe",
    "recipe_digest": "recipe",
    "render_version": "version",
}

__all__ = [
    "Blueprint",
    "Bundle",
    "Change",
    "CompiledAnalysis",
    "CompiledUsers",
    "DocumentError",
    "Problem",
    "Profile",
    "Recipe",
    "bundle_files",
    "compare_templates",
    "compile_account",
    "compile_analysis",
    "compile_users",
    "describe_statement",
    "dump_blueprint",
    "dump_profile",
    "groups_in",
    "load_blueprint",
    "load_parameters_schema",
    "load_profile",
    "load_recipe",
    "recipe_digest",
    "render_version",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'ncap_compiler' has no attribute {name!r}")
    return getattr(import_module(f"ncap_compiler.{_HOMES[name]}"), name)
