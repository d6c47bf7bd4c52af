"""Immutable analysis environments on this computer: built from a recipe, sealed, found by digest, checked, registered.

No AWS account is needed for any of it; a cloud is only told that an image exists (`register`).
"""
