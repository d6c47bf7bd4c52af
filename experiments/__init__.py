"""The paper's cost and usage figures recomputed, today's prices, and what a lab of your own would pay.

Run `python -m experiments --help`. Every number comes from a file in `data/` and a formula in `cost_model`; nothing
here talks to a cloud or imports the platform.
"""
