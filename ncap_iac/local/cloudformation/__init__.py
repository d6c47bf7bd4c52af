"""CloudFormation of the local cloud: templates to resources through ordinary API calls, every property read back."""

from ncap_iac.local.cloudformation.service import CloudFormationService

__all__ = ["CloudFormationService"]
