"""Reasons of CloudFormation in its own words, and what people are told to do about them."""

from __future__ import annotations

import pytest

from ncap_iac.deploy.failures import failure, hint_for, left_behind


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("No export named neurocaas-artifact-bucket found.", "ncap account deploy"),
        ("Export neurocaas-topic-arn cannot be deleted as it is in use by kalman-lds", "destroy those first"),
        ("S3 Error Code: NoSuchKey. The specified key does not exist.", "bundle"),
        ("kalman-lds already exists", "remove or rename"),
        (
            "AWS::S3::Bucket The requested bucket name is not available. (Service: S3, Status Code: 409)",
            "another PipelineName",
        ),
        ("AWS::S3::Bucket BucketAlreadyExists", "another PipelineName"),
        (
            "AWS::IAM::Role Role with name neurocaas-instance-demo already exists. (Status Code: 409)",
            "WithIdentities=false",
        ),
        (
            'AWS::IAM::Role Resource handler returned message: "Scope ARN: arn:aws:iam::1:policy/gone does not exist"',
            "PermissionsBoundary",
        ),
        ("AWS::Logs::LogGroup The specified KMS key does not exist or is not allowed to be used", "KmsKeyArn"),
        ("User: arn:aws:sts::1:x is not authorized to perform: kms:Decrypt on key", "KmsKeyArn"),
        ("User is not authorized to perform iam:CreateRole", "credentials"),
        ("Rate exceeded (Service: Lambda, Status Code: 429)", "slow down"),
        ("Specified ReservedConcurrentExecutions for function decreases account's below minimum", "concurrency"),
        ("The maximum number of buckets limit is reached", "quota"),
        ("Something else", "same command again"),
    ],
)
def test_hints_fit_the_reason(reason: str, word: str) -> None:
    assert word in hint_for(reason)


def event(logical: str, status: str, reason: str = "") -> dict[str, str]:
    return {
        "StackName": "a",
        "LogicalResourceId": logical,
        "ResourceType": "AWS::IAM::Role",
        "ResourceStatus": status,
        "ResourceStatusReason": reason,
    }


def test_the_first_resource_that_failed_by_itself_counts() -> None:
    events = [
        event("a", "UPDATE_IN_PROGRESS"),
        event("Other", "CREATE_FAILED", "Resource creation cancelled"),
        event("Role", "CREATE_FAILED", "Role with name r already exists"),
        event("Late", "CREATE_FAILED", "something else"),
    ]
    error = failure("a", "UPDATE_ROLLBACK_COMPLETE", events)
    assert error.where == "stack a, AWS::IAM::Role Role"
    assert "--continue-rollback" not in error.hint


def test_a_rollback_that_failed_too_says_how_to_go_on() -> None:
    error = failure("a", "UPDATE_ROLLBACK_FAILED", [event("Role", "UPDATE_FAILED", "not authorized")])
    assert error.hint.startswith("Going back failed too")
    assert "credentials" in error.hint
    unknown = failure("a", "UPDATE_ROLLBACK_FAILED", [event("Role", "UPDATE_FAILED", "odd")])
    assert unknown.hint.endswith("with --continue-rollback.")
    assert "--continue-rollback" in failure("a", "UPDATE_ROLLBACK_FAILED", []).hint


def test_what_concerns_the_whole_stack_is_told_by_its_own_event() -> None:
    events = [
        {
            "LogicalResourceId": "s",
            "StackName": "s",
            "ResourceStatus": "UPDATE_IN_PROGRESS",
            "ResourceStatusReason": "User Initiated",
        },
        {
            "LogicalResourceId": "s",
            "StackName": "s",
            "ResourceStatus": "UPDATE_ROLLBACK_IN_PROGRESS",
            "ResourceStatusReason": "Export neurocaas-security-group cannot be updated as it is in use by spikes",
        },
    ]

    error = failure("s", "UPDATE_ROLLBACK_COMPLETE", events)

    assert "cannot be updated as it is in use by spikes" in str(error)
    assert "destroy those first" in error.hint


def test_what_an_update_could_not_delete_is_said_with_what_to_do() -> None:
    event = {
        "ResourceType": "AWS::IAM::User",
        "PhysicalResourceId": "ann",
        "ResourceStatus": "DELETE_FAILED",
        "ResourceStatusReason": "Cannot delete entity, must delete access keys first",
    }

    (words,) = left_behind([event, {"ResourceStatus": "DELETE_COMPLETE"}])

    assert "AWS::IAM::User ann was not deleted" in words
    assert "ncap member list" in words
