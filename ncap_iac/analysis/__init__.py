"""The developer's loop: a folder for an analysis, its run and test on a local cloud, a shell inside it, a report.

Everything here goes the way a user's job goes; nothing knows a second way to run an analysis.
"""
