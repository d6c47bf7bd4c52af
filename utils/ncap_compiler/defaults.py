"""Platform-wide values a document may leave out, and facts about EC2 that documents are checked against."""

from __future__ import annotations

RUNTIME = "python3.13"
"""Lambda runtime of the bundle; supported until 2029-06-30."""
ARCHITECTURE = "x86_64"
MEMORY_MIB = 512
SUBMIT_TIMEOUT_S = 300
MONITOR_TIMEOUT_S = 60
SWEEPER_TIMEOUT_S = 300
SUBMIT_CONCURRENCY = 10
MONITOR_CONCURRENCY = 10
SWEEPER_CONCURRENCY = 1
RETRIES = 2
MAX_EVENT_AGE_S = 21_600
LOG_RETENTION_DAYS = 90
NONCURRENT_DAYS = 30
ABANDONED_UPLOAD_DAYS = 7
DEAD_LETTER_RETENTION_S = 1_209_600

DEPLOY_LIMIT = 100
"""Instances of one analysis at a time."""
MAX_COST_USD = "300"
"""Budget of a group for an analysis when no budget parameter exists."""
MAX_DURATION_MINUTES = 720
"""Longest job when the blueprint states neither MAX_DURATION nor SSM_TIMEOUT."""
SPOT_POLICIES = ("never", "save", "always")
"""When jobs run on spot instances: not at all, those with `__duration__`, all that do not say otherwise."""
SPOT = SPOT_POLICIES[0]
MAX_DATASET_SIZE_GB = 100
VOLUME_SIZE_GIB = 50

CODE_URI = "../../protocols"
POST_TRIGGER = "end.txt"
SUBMISSION_SUFFIX = "submit.json"

WIDEFIELD_HANDLER = "submit_start_legacy_wfield_preprocess.handler"
"""The protocol of the widefield client: a folder of data and no timestamp; its command takes three values."""
HANDLERS = ("submit_start.handler_develop", WIDEFIELD_HANDLER)
"""Job-manager protocols of this release."""

ENSEMBLE_HANDLER = "submit_start.handler_ensemble"
"""The ensemble protocol of earlier generations: today's, with a scatter before it."""
ENSEMBLE_COPIES = "ensemble_size"
ENSEMBLE_PARAMETER = "jobnb"
"""The config's field with the number of models, and the one each model was told its number in."""

EARLIER_HANDLERS: dict[str, str] = dict.fromkeys(
    (
        ENSEMBLE_HANDLER,
        "submit_start.handler",
        "submit_start.handler_log",
        "submit_start.handler_log_dev",
        "submit_start.handler_log_demo",
    ),
    HANDLERS[0],
)
"""Protocols of earlier generations, read as today's where the command takes the same four values."""

MISSING_POST_HANDLERS = ("postprocess.epipostprocess",)
"""Post-processing functions existing documents name that were never there."""

# fmt: off
REGIONS = frozenset({
    "af-south-1", "ap-east-1", "ap-east-2", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1",
    "ap-south-2", "ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-4", "ap-southeast-5",
    "ap-southeast-6", "ap-southeast-7", "ca-central-1", "ca-west-1", "cn-north-1", "cn-northwest-1", "eu-central-1",
    "eu-central-2", "eu-north-1", "eu-south-1", "eu-south-2", "eu-west-1", "eu-west-2", "eu-west-3", "il-central-1",
    "me-central-1", "me-south-1", "mx-central-1", "sa-east-1", "us-east-1", "us-east-2", "us-gov-east-1",
    "us-gov-west-1", "us-west-1", "us-west-2",
})
# fmt: on
"""AWS's regions; one that is not listed is accepted with a notice."""

RETIRED_FAMILIES: dict[str, str] = {
    "p2": "g4dn",
    "p3": "g5",
    "p3dn": "p4d",
    "g3": "g4dn",
    "g3s": "g4dn",
    "g4ad": "g4dn",
}
"""Instance families EC2 no longer starts, each with the family that took its place."""

REPLACEMENT_TYPES: dict[str, str] = {
    "p2.xlarge": "g4dn.xlarge",
    "p2.8xlarge": "g4dn.12xlarge",
    "p2.16xlarge": "g5.48xlarge",
    "p3.2xlarge": "g5.2xlarge",
    "p3.8xlarge": "g5.12xlarge",
    "p3.16xlarge": "g5.48xlarge",
    "p3dn.24xlarge": "p4d.24xlarge",
    "g3s.xlarge": "g4dn.xlarge",
    "g3.4xlarge": "g4dn.4xlarge",
    "g3.8xlarge": "g5.12xlarge",
    "g3.16xlarge": "g4dn.12xlarge",
    "g4ad.xlarge": "g4dn.xlarge",
    "g4ad.2xlarge": "g4dn.2xlarge",
    "g4ad.4xlarge": "g4dn.4xlarge",
    "g4ad.8xlarge": "g4dn.8xlarge",
    "g4ad.16xlarge": "g4dn.16xlarge",
}
"""For each retired type the nearest one on offer with at least as many GPUs, or as many as are sold together."""
