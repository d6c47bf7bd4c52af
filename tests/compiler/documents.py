"""Documents for the tests of the compiler: the smallest that load, and one with everything."""

from __future__ import annotations

import json
from typing import Any

BUNDLE = "b" * 64
ENVIRONMENT = "iae:spikes@sha256:" + "0" * 64


def minimal_blueprint() -> dict[str, Any]:
    return {
        "PipelineName": "spikes",
        "Lambda": {
            "CodeUri": "../../protocols",
            "Handler": "submit_start.handler_develop",
            "LambdaConfig": {"AMI": ENVIRONMENT, "INSTANCE_TYPE": "m7i.large"},
        },
        "UXData": {"Affiliates": [{"AffiliateName": "lab"}]},
    }


def legacy_blueprint() -> dict[str, Any]:
    """The shape documents of the predecessor have, with every field it knew."""
    config = {
        "AMI": "ami-0123456789abcdef0",
        "INSTANCE_TYPE": "m5.16xlarge",
        "REGION": "us-east-1",
        "IAM_ROLE": "SSMRole",
        "KEY_NAME": "a-key",
        "SECURITY_GROUPS": "a-group",
        "WORKING_DIRECTORY": "~/bin",
        "COMMAND": 'cd ~; ./run.sh "{}" "{}" "{}" "{}"; . ~/.bashrc; cleanup',
        "EXECUTION_TIMEOUT": 180,
        "SSM_TIMEOUT": 172000,
        "SHUTDOWN_BEHAVIOR": "terminate",
        "CONFIG": "config.yaml",
        "MISSING_CONFIG_ERROR": "We need a config file.",
        "LAUNCH": True,
        "LOGFILE": "lambda_log.txt",
        "DEPLOY_LIMIT": 20,
        "MAXCOST": "300",
        "MONITOR": False,
        "INDIR": "inputs",
        "OUTDIR": "results",
        "LOGDIR": "logs",
    }
    group = {
        "AffiliateName": "lab",
        "UserNames": ["ann", "bob"],
        "UserInput": True,
        "ContactEmail": "someone@example.org",
        "PipelinePath": "x",
        "PipelineDir": "y",
    }
    return {
        "PipelineName": "spikes",
        "REGION": "us-east-1",
        "STAGE": "websubstack",
        "Lambda": {
            "CodeUri": "../../protocols",
            "Handler": "submit_start.handler_develop",
            "Launch": True,
            "LambdaConfig": config,
        },
        "UXData": {"Affiliates": [group]},
    }


def minimal_profile() -> dict[str, Any]:
    return {"UXData": {"Affiliates": [{"AffiliateName": "lab", "UserNames": ["ann"], "Pipelines": ["spikes"]}]}}


def text(document: Any) -> str:
    return json.dumps(document, indent=2)
