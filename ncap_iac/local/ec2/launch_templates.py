"""Launch templates and their versions: made, listed, deleted. What they mean for a launch is `merging`'s."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ncap_iac.local.ec2.filters import Fields, page, select
from ncap_iac.local.ec2.inventory import TEMPLATES, Inventory
from ncap_iac.local.ec2.launching import check_template_data
from ncap_iac.local.ec2.merging import find_version
from ncap_iac.local.ec2.model import LaunchTemplate, TemplateVersion
from ncap_iac.local.ec2.requests import (
    Parameters,
    invalid,
    read_tag_specifications,
    refuse_others,
    required,
    stop_dry_run,
)
from ncap_iac.local.ec2.shapes import iso, template_shape, version_shape
from ncap_iac.local.service import ServiceError

Answer = Mapping[str, Any]

_NAME = re.compile(r"[a-zA-Z0-9()./_-]{3,128}")
_FILTERS: Fields[LaunchTemplate] = {
    "launch-template-name": lambda template: [template.name],
    "create-time": lambda template: [iso(template.created_at)],
}
_WHICH = ("LaunchTemplateId", "LaunchTemplateName")


class LaunchTemplates:
    """The operations on launch templates."""

    def __init__(self, inventory: Inventory, *, clock: Callable[[], float]) -> None:
        self._inventory = inventory
        self._clock = clock

    def which(self, parameters: Parameters) -> LaunchTemplate:
        """The template a request names. Raises InvalidLaunchTemplate*."""
        return self._inventory.template(
            template_id=parameters.get("LaunchTemplateId"), name=parameters.get("LaunchTemplateName")
        )

    def create(self, parameters: Parameters, caller: str) -> Answer:
        """CreateLaunchTemplate; `caller` is the ARN of who asks."""
        accepted = (
            "ClientToken",
            "LaunchTemplateName",
            "VersionDescription",
            "LaunchTemplateData",
            "TagSpecifications",
        )
        refuse_others("CreateLaunchTemplate", parameters, accepted)
        name = required(parameters, "LaunchTemplateName")
        if not _NAME.fullmatch(name):
            raise invalid(name, "LaunchTemplateName", "3 to 128 of a-z, A-Z, 0-9 and ( ) . / _ -")
        version = self._version(1, parameters)
        tags = read_tag_specifications(parameters.get("TagSpecifications"), ("launch-template",))
        with self._inventory.store.transaction():
            if any(template.name == name for template in self._inventory.templates()):
                raise ServiceError(
                    "InvalidLaunchTemplateName.AlreadyExistsException", f"Launch template name already in use: {name}"
                )
            stop_dry_run(parameters)
            template = LaunchTemplate(
                template_id=self._inventory.make_id("lt"),
                name=name,
                created_at=self._clock(),
                created_by=caller,
                default_version=1,
                versions=(version,),
                tags=tags.get("launch-template", {}),
            )
            self._inventory.save_template(template)
        return {"LaunchTemplate": template_shape(template)}

    def create_version(self, parameters: Parameters) -> Answer:
        """CreateLaunchTemplateVersion; with SourceVersion, the given data replaces that version's piece by piece."""
        accepted = (*_WHICH, "ClientToken", "SourceVersion", "VersionDescription", "LaunchTemplateData")
        refuse_others("CreateLaunchTemplateVersion", parameters, accepted)
        with self._inventory.store.transaction():
            template = self.which(parameters)
            base: Mapping[str, Any] = {}
            if parameters.get("SourceVersion"):
                base = find_version(template, parameters["SourceVersion"]).data
            version = self._version(template.latest_version + 1, parameters, base)
            stop_dry_run(parameters)
            template = replace(template, versions=(*template.versions, version))
            self._inventory.save_template(template)
        return {"LaunchTemplateVersion": version_shape(template, version)}

    def _version(self, number: int, parameters: Parameters, base: Mapping[str, Any] | None = None) -> TemplateVersion:
        data = {**(base or {}), **required(parameters, "LaunchTemplateData")}
        check_template_data(data)
        return TemplateVersion(number, parameters.get("VersionDescription") or "", self._clock(), data)

    def modify(self, parameters: Parameters) -> Answer:
        """ModifyLaunchTemplate: another default version."""
        refuse_others("ModifyLaunchTemplate", parameters, (*_WHICH, "ClientToken", "DefaultVersion"))
        with self._inventory.store.transaction():
            template = self.which(parameters)
            version = find_version(template, required(parameters, "DefaultVersion"))
            stop_dry_run(parameters)
            template = replace(template, default_version=version.number)
            self._inventory.save_template(template)
        return {"LaunchTemplate": template_shape(template)}

    def describe(self, parameters: Parameters) -> Answer:
        """DescribeLaunchTemplates."""
        accepted = ("LaunchTemplateIds", "LaunchTemplateNames", "Filters", "MaxResults", "NextToken")
        refuse_others("DescribeLaunchTemplates", parameters, accepted)
        ids, names = parameters.get("LaunchTemplateIds") or (), parameters.get("LaunchTemplateNames") or ()
        candidates = self._inventory.templates()
        if ids or names:
            candidates = [
                *(self._inventory.template(template_id=template_id, name=None) for template_id in ids),
                *(self._inventory.template(template_id=None, name=name) for name in names),
            ]
        found, token = page(
            select(candidates, parameters, _FILTERS, lambda template: template.tags), parameters, least=1, most=200
        )
        answer = {"LaunchTemplates": [template_shape(template) for template in found]}
        return {**answer, "NextToken": token} if token else answer

    def describe_versions(self, parameters: Parameters) -> Answer:
        """DescribeLaunchTemplateVersions of one template, newest first."""
        accepted = (*_WHICH, "Versions", "MinVersion", "MaxVersion", "MaxResults", "NextToken")
        refuse_others("DescribeLaunchTemplateVersions", parameters, accepted)
        template = self.which(parameters)
        if parameters.get("Versions"):
            wanted = [find_version(template, version) for version in parameters["Versions"]]
        else:
            low = int(parameters.get("MinVersion") or 1)
            high = int(parameters.get("MaxVersion") or template.latest_version)
            wanted = [version for version in reversed(template.versions) if low <= version.number <= high]
        found, token = page(wanted, parameters, least=1, most=200)
        answer = {"LaunchTemplateVersions": [version_shape(template, version) for version in found]}
        return {**answer, "NextToken": token} if token else answer

    def delete(self, parameters: Parameters) -> Answer:
        """DeleteLaunchTemplate with all its versions."""
        refuse_others("DeleteLaunchTemplate", parameters, _WHICH)
        template = self.which(parameters)
        stop_dry_run(parameters)
        self._inventory.store.delete(TEMPLATES, template.template_id)
        return {"LaunchTemplate": template_shape(template)}
