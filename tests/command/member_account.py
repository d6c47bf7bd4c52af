"""An account with deployed members, in moto: users with keys, their secrets, the artifact bucket."""

from __future__ import annotations

import json
from typing import Any

import boto3

from ncap_compiler import names

REGION = "us-east-1"
ARTIFACTS = names.artifact_bucket("123456789012", REGION)


class Account:
    """What a users stack would have made, and what tests ask about it."""

    def __init__(self) -> None:
        self.iam = boto3.client("iam", region_name=REGION)
        self.s3 = boto3.client("s3", region_name=REGION)
        self.secrets = boto3.client("secretsmanager", region_name=REGION)
        self.s3.create_bucket(Bucket=ARTIFACTS)

    def empty(self) -> None:
        """Nobody and nothing but the artifact bucket."""
        for user in self.iam.list_users()["Users"]:
            for key in self.iam.list_access_keys(UserName=user["UserName"])["AccessKeyMetadata"]:
                self.iam.delete_access_key(UserName=user["UserName"], AccessKeyId=key["AccessKeyId"])
            self.iam.delete_user(UserName=user["UserName"])
        for secret in self.secrets.list_secrets()["SecretList"]:
            self.secrets.delete_secret(SecretId=secret["Name"], ForceDeleteWithoutRecovery=True)
        for key in self.records():
            self.s3.delete_object(Bucket=ARTIFACTS, Key=key)

    def member(self, name: str, group: str = "lab", *, stack: str = "neurocaas-users-lab") -> dict[str, str]:
        """A member with a key and its secret; returns what the secret holds."""
        tags = [{"Key": "group", "Value": group}, {"Key": names.STACK_TAG, "Value": stack}]
        self.iam.create_user(UserName=name, Path=names.PATH, Tags=tags)
        key = self.key(name)
        content = {"AccessKeyId": key["AccessKeyId"], "SecretAccessKey": key["SecretAccessKey"], "group": group}
        self.secrets.create_secret(Name=names.member_secret(name), SecretString=json.dumps(content))
        return content

    def key(self, name: str) -> dict[str, str]:
        """One more key of a user."""
        made: dict[str, str] = self.iam.create_access_key(UserName=name)["AccessKey"]
        return made

    def suspend(self, name: str, access_key_id: str) -> None:
        self.iam.update_access_key(UserName=name, AccessKeyId=access_key_id, Status="Inactive")

    def records(self) -> dict[str, Any]:
        """What was written down about handing over, by key."""
        listed = self.s3.list_objects_v2(Bucket=ARTIFACTS, Prefix=names.HANDOVERS).get("Contents", [])
        return {
            item["Key"]: json.loads(self.s3.get_object(Bucket=ARTIFACTS, Key=item["Key"])["Body"].read())
            for item in listed
        }
