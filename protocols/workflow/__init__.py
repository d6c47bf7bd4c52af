"""What runs on an instance: fetches a dataset, runs the analysis, streams its status, stores its results.

Two commands: ``neurocaas-boot`` (``workflow.boot``), started by the instance's user data, and ``neurocaas-contrib``
(``workflow.cli``), called by analysis scripts. Imports the standard library, boto3's core and PyYAML, nothing else.
"""
