"""One provider a resource type, grouped by service; `all_providers` makes the whole set.

Each speaks ordinary AWS API calls; none knows of stacks.
"""

from __future__ import annotations

from collections.abc import Iterable

from ncap_iac.local.cloudformation.provider import Provider, Surface
from ncap_iac.local.cloudformation.providers.budgets import BudgetProvider
from ncap_iac.local.cloudformation.providers.cloudwatch import AlarmProvider
from ncap_iac.local.cloudformation.providers.dynamodb import TableProvider
from ncap_iac.local.cloudformation.providers.ec2 import LaunchTemplateProvider, SecurityGroupProvider
from ncap_iac.local.cloudformation.providers.events import RuleProvider
from ncap_iac.local.cloudformation.providers.iam_identities import (
    AccessKeyProvider,
    GroupProvider,
    UserProvider,
    UserToGroupAdditionProvider,
)
from ncap_iac.local.cloudformation.providers.iam_policies import InlinePolicyProvider, ManagedPolicyProvider
from ncap_iac.local.cloudformation.providers.iam_roles import InstanceProfileProvider, RoleProvider
from ncap_iac.local.cloudformation.providers.imagebuilder import (
    ComponentProvider,
    DistributionConfigurationProvider,
    ImageProvider,
    ImageRecipeProvider,
    InfrastructureConfigurationProvider,
)
from ncap_iac.local.cloudformation.providers.kms import AliasProvider, KeyProvider
from ncap_iac.local.cloudformation.providers.lambda_access import EventInvokeConfigProvider, PermissionProvider
from ncap_iac.local.cloudformation.providers.lambda_functions import FunctionProvider
from ncap_iac.local.cloudformation.providers.logs import LogGroupProvider
from ncap_iac.local.cloudformation.providers.s3 import BucketPolicyProvider, BucketProvider
from ncap_iac.local.cloudformation.providers.secrets import SecretProvider
from ncap_iac.local.cloudformation.providers.sns import SubscriptionProvider, TopicPolicyProvider, TopicProvider
from ncap_iac.local.cloudformation.providers.sqs import QueuePolicyProvider, QueueProvider
from ncap_iac.local.cloudformation.providers.ssm import ParameterProvider

PROVIDERS: tuple[type[Provider], ...] = (
    AccessKeyProvider,
    AlarmProvider,
    AliasProvider,
    BucketPolicyProvider,
    BucketProvider,
    BudgetProvider,
    ComponentProvider,
    DistributionConfigurationProvider,
    EventInvokeConfigProvider,
    FunctionProvider,
    GroupProvider,
    ImageProvider,
    ImageRecipeProvider,
    InfrastructureConfigurationProvider,
    InlinePolicyProvider,
    InstanceProfileProvider,
    KeyProvider,
    LaunchTemplateProvider,
    LogGroupProvider,
    ManagedPolicyProvider,
    ParameterProvider,
    PermissionProvider,
    QueuePolicyProvider,
    QueueProvider,
    RoleProvider,
    RuleProvider,
    SecretProvider,
    SecurityGroupProvider,
    SubscriptionProvider,
    TableProvider,
    TopicPolicyProvider,
    TopicProvider,
    UserProvider,
    UserToGroupAdditionProvider,
)
"""Every resource type of the local cloud."""


def all_providers(surface: Surface, classes: Iterable[type[Provider]] = PROVIDERS) -> dict[str, Provider]:
    """Providers by resource type."""
    return {made.type: made for made in (make(surface) for make in classes)}
