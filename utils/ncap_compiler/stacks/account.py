"""The account stack: what all analyses share. Deployed once an account and region, before everything else.

Its functions come from the artifact bucket it makes itself: deploy it first with `WithFunctions=false`, upload the
bundle, then deploy it with `WithFunctions=true`.
"""

from __future__ import annotations

from troposphere import (
    Equals,
    Export,
    GetAtt,
    If,
    Not,
    NoValue,
    Output,
    Parameter,
    Ref,
    Sub,
    Template,
    awslambda,
    budgets,
    cloudwatch,
    dynamodb,
    ec2,
    events,
    s3,
    sns,
    sqs,
)

from ncap_compiler import defaults, names, policies
from ncap_compiler.document import Json
from ncap_compiler.spread import Spread
from ncap_compiler.stacks import parts
from ncap_compiler.statements import policy_document

STACK = names.ACCOUNT_STACK
INSTANCE_STATES = ("running", "shutting-down", "stopped", "terminated")


def build_account(bundle_sha256: str) -> dict[str, Json]:
    """The template of the account stack with functions from the bundle of this digest."""
    template = Template()
    template.set_version("2010-09-09")
    template.set_description("NeuroCAAS: what all analyses of this account and region share.")
    _add_parameters(template)
    _add_artifacts(template)
    _add_ledger(template)
    _add_notices(template)
    _add_security_group(template)
    _add_monitor(template, bundle_sha256)
    _add_sweeper(template, bundle_sha256)
    _add_budget(template)
    return parts.structure(template)


def _add_parameters(template: Template) -> None:
    parts.add_bucket_parameters(template)
    parts.add_shared_parameters(template)
    template.add_parameter(
        Parameter(
            "WithFunctions",
            Type="String",
            Default="true",
            AllowedValues=["true", "false"],
            Description="false: everything but the functions, whose code has to be in the artifact bucket first.",
        )
    )
    template.add_parameter(
        Parameter(
            "MonthlyBudget",
            Type="Number",
            Default=0,
            MinValue=0,
            Description="USD a month for the whole account, reported to the notification topic. 0: no budget.",
        )
    )
    template.add_parameter(
        Parameter(
            "NotificationEmail",
            Type="String",
            Default="",
            Description="Address that receives alarms and budget notices. Empty: nobody is written to.",
        )
    )
    template.add_parameter(
        Parameter(
            "VpcId",
            Type="String",
            Default="",
            AllowedPattern="(vpc-[0-9a-f]+)?",
            Description="Network the instances are started in. Empty: the default network of the region.",
        )
    )
    template.add_parameter(
        Parameter(
            "SubnetIds",
            Type="String",
            Default="",
            AllowedPattern="(subnet-[0-9a-f]+(,subnet-[0-9a-f]+)*)?",
            Description="Subnets of VpcId the instances are started in, with commas. Empty: the default network's.",
        )
    )
    template.add_condition("SubnetsNamed", Not(Equals(Ref("SubnetIds"), "")))
    template.add_condition("VpcNamed", Not(Equals(Ref("VpcId"), "")))
    template.add_condition("FunctionsWanted", Equals(Ref("WithFunctions"), "true"))
    template.add_condition("BudgetWanted", Not(Equals(Ref("MonthlyBudget"), "0")))
    template.add_condition("EmailWanted", Not(Equals(Ref("NotificationEmail"), "")))


def _add_artifacts(template: Template) -> None:
    bucket = template.add_resource(
        s3.Bucket(
            "Artifacts",
            BucketName=Sub(names.artifact_bucket()),
            LifecycleConfiguration=s3.LifecycleConfiguration(Rules=parts.housekeeping_rules()),
            Tags=parts.tags(STACK),
            **parts.bucket_protection("neurocaas-artifacts"),
            **parts.RETAIN,
        )
    )
    secure = policies.secure_transport(names.artifact_bucket())
    template.add_resource(parts.bucket_policy("ArtifactsPolicy", bucket, secure))
    _export(template, "ArtifactBucket", Ref(bucket), names.EXPORT_ARTIFACT_BUCKET)


def _add_ledger(template: Template) -> None:
    keys = [("pk", "HASH"), ("sk", "RANGE")]
    index_keys = [("open_pk", "HASH"), ("deadline", "RANGE")]
    table = template.add_resource(
        dynamodb.Table(
            "Ledger",
            TableName=names.LEDGER_TABLE,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[
                dynamodb.AttributeDefinition(AttributeName=name, AttributeType="S") for name, _ in keys + index_keys
            ],
            KeySchema=[dynamodb.KeySchema(AttributeName=name, KeyType=kind) for name, kind in keys],
            GlobalSecondaryIndexes=[
                dynamodb.GlobalSecondaryIndex(
                    IndexName=names.LEDGER_OPEN_INDEX,
                    KeySchema=[dynamodb.KeySchema(AttributeName=name, KeyType=kind) for name, kind in index_keys],
                    Projection=dynamodb.Projection(ProjectionType="ALL"),
                )
            ],
            PointInTimeRecoverySpecification=dynamodb.PointInTimeRecoverySpecification(PointInTimeRecoveryEnabled=True),
            SSESpecification=dynamodb.SSESpecification(
                SSEEnabled=True, SSEType=parts.with_own_key("KMS"), KMSMasterKeyId=parts.own_key()
            ),
            TimeToLiveSpecification=dynamodb.TimeToLiveSpecification(AttributeName="expires_at", Enabled=True),
            Tags=parts.tags(STACK),
            **parts.RETAIN,
        )
    )
    _export(template, "LedgerArn", GetAtt(table, "Arn"), names.EXPORT_LEDGER_ARN)


def _add_notices(template: Template) -> None:
    """Topic, queue of events nobody could handle, and the alarm between them.

    Without an own key the topic is under none: with the AWS-managed one, alarms and budgets could not publish to it.
    """
    topic = template.add_resource(
        sns.Topic("Topic", TopicName=names.TOPIC, KmsMasterKeyId=parts.own_key(), Tags=parts.tags(STACK))
    )
    template.add_resource(
        sns.TopicPolicy("TopicPolicy", Topics=[Ref(topic)], PolicyDocument=policy_document(policies.topic_access()))
    )
    template.add_resource(
        sns.SubscriptionResource(
            "Email", Condition="EmailWanted", TopicArn=Ref(topic), Protocol="email", Endpoint=Ref("NotificationEmail")
        )
    )
    queue = template.add_resource(
        sqs.Queue(
            "DeadLetters",
            QueueName=names.DEAD_LETTER_QUEUE,
            MessageRetentionPeriod=defaults.DEAD_LETTER_RETENTION_S,
            SqsManagedSseEnabled=parts.with_own_key(False, True),
            KmsMasterKeyId=parts.own_key(),
            Tags=parts.tags(STACK),
            **parts.DELETE,
        )
    )
    template.add_resource(
        cloudwatch.Alarm(
            "DeadLettersAlarm",
            AlarmName=f"{names.DEAD_LETTER_QUEUE}-waiting",
            AlarmDescription="An event could not be handled: look at the message in the queue and the function's log.",
            Namespace="AWS/SQS",
            MetricName="ApproximateNumberOfMessagesVisible",
            Dimensions=[cloudwatch.MetricDimension(Name="QueueName", Value=GetAtt(queue, "QueueName"))],
            Statistic="Maximum",
            Period=300,
            EvaluationPeriods=1,
            Threshold=0,
            ComparisonOperator="GreaterThanThreshold",
            TreatMissingData="notBreaching",
            AlarmActions=[Ref(topic)],
            Tags=parts.tags(STACK),
        )
    )
    _export(template, "TopicArn", Ref(topic), names.EXPORT_TOPIC_ARN)
    _export(template, "DeadLetterArn", GetAtt(queue, "Arn"), names.EXPORT_DEAD_LETTER_ARN)


def _add_security_group(template: Template) -> None:
    """Instances are reached by nobody and reach only HTTPS; the resolver needs no rule.

    Without a network EC2 takes the region's default one, for which rules are as good; the linter's E3021 speaks of
    networks before those.
    """
    anywhere = [{"CidrIp": "0.0.0.0/0"}, {"CidrIpv6": "::/0"}]
    group = template.add_resource(
        ec2.SecurityGroup(
            "Instances",
            GroupName=names.SECURITY_GROUP,
            GroupDescription="NeuroCAAS instances: no way in, HTTPS out.",
            VpcId=If("VpcNamed", Ref("VpcId"), NoValue),
            SecurityGroupEgress=[
                ec2.SecurityGroupRule(IpProtocol="tcp", FromPort=443, ToPort=443, Description="AWS services", **where)
                for where in anywhere
            ],
            Tags=parts.tags(STACK),
            Metadata={"cfn-lint": {"config": {"ignore_checks": ["E3021"]}}},
        )
    )
    _export(template, "SecurityGroup", GetAtt(group, "GroupId"), names.EXPORT_SECURITY_GROUP)
    _export(template, "Subnets", If("SubnetsNamed", Ref("SubnetIds"), "default"), names.EXPORT_SUBNETS)


def _add_monitor(template: Template, bundle_sha256: str) -> None:
    function = parts.add_function(
        template,
        parts.FunctionSpec(
            title="Monitor",
            name=names.MONITOR_FUNCTION,
            role=names.monitor_role(),
            handler="instance_monitor.handler",
            bundle_sha256=bundle_sha256,
            artifact_bucket=Ref("Artifacts"),
            timeout_s=defaults.MONITOR_TIMEOUT_S,
            concurrency=defaults.MONITOR_CONCURRENCY,
            environment={"LEDGER_TABLE": names.LEDGER_TABLE},
            policy=Spread(policies.monitor_policy(), ()),
            dead_letters=GetAtt("DeadLetters", "Arn"),
            description="An instance changed its state: settle its record, end the job with the last one.",
            condition="FunctionsWanted",
        ),
        STACK,
    )
    rule = events.Rule(
        "InstanceStates",
        Name=names.MONITOR_FUNCTION,
        Description="State changes of instances and warnings of them, hints for the monitor.",
        EventPattern={
            "source": ["aws.ec2"],
            "detail-type": ["EC2 Instance State-change Notification", "EC2 Spot Instance Interruption Warning"],
            # A warning has no state.
            "detail": {"state": [*INSTANCE_STATES, {"exists": False}]},
        },
        State="ENABLED",
        Targets=[events.Target(Id="monitor", Arn=GetAtt(function, "Arn"))],
        Tags=parts.tags(STACK),
        Condition="FunctionsWanted",
    )
    _add_rule(template, rule, function.title)


def _add_sweeper(template: Template, bundle_sha256: str) -> None:
    function = parts.add_function(
        template,
        parts.FunctionSpec(
            title="Sweeper",
            name=names.SWEEPER_FUNCTION,
            role=names.sweeper_role(),
            handler="instance_sweeper.handler",
            bundle_sha256=bundle_sha256,
            artifact_bucket=Ref("Artifacts"),
            timeout_s=defaults.SWEEPER_TIMEOUT_S,
            concurrency=defaults.SWEEPER_CONCURRENCY,
            environment={"LEDGER_TABLE": names.LEDGER_TABLE},
            policy=Spread(policies.sweeper_policy(), ()),
            dead_letters=GetAtt("DeadLetters", "Arn"),
            description="Every minute: repair whatever events missed.",
            condition="FunctionsWanted",
        ),
        STACK,
    )
    rule = events.Rule(
        "EveryMinute",
        Name=names.SWEEPER_FUNCTION,
        Description="The sweeper's clock.",
        ScheduleExpression="rate(1 minute)",
        State="ENABLED",
        Targets=[events.Target(Id="sweeper", Arn=GetAtt(function, "Arn"))],
        Tags=parts.tags(STACK),
        Condition="FunctionsWanted",
    )
    _add_rule(template, rule, function.title)


def _add_rule(template: Template, rule: events.Rule, function: str) -> None:
    """Add a rule and its right to invoke its one target."""
    template.add_resource(rule)
    template.add_resource(
        awslambda.Permission(
            f"{rule.title}Permission",
            Action="lambda:InvokeFunction",
            FunctionName=Ref(function),
            Principal="events.amazonaws.com",
            SourceAccount=Ref("AWS::AccountId"),
            SourceArn=GetAtt(rule, "Arn"),
            Condition="FunctionsWanted",
        )
    )


def _add_budget(template: Template) -> None:
    notices = [("ACTUAL", 80), ("ACTUAL", 100), ("FORECASTED", 100)]
    template.add_resource(
        budgets.Budget(
            "AccountBudget",
            Condition="BudgetWanted",
            Budget=budgets.BudgetData(
                BudgetName=names.BUDGET,
                BudgetType="COST",
                TimeUnit="MONTHLY",
                BudgetLimit=budgets.Spend(Amount=Ref("MonthlyBudget"), Unit="USD"),
            ),
            NotificationsWithSubscribers=[
                budgets.NotificationWithSubscribers(
                    Notification=budgets.Notification(
                        ComparisonOperator="GREATER_THAN",
                        NotificationType=kind,
                        Threshold=percent,
                        ThresholdType="PERCENTAGE",
                    ),
                    Subscribers=[budgets.Subscriber(SubscriptionType="SNS", Address=Ref("Topic"))],
                )
                for kind, percent in notices
            ],
        )
    )


def _export(template: Template, title: str, value: parts.Text, export: str) -> None:
    template.add_output(Output(title, Value=value, Export=Export(export)))
