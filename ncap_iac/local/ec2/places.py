"""What is given: VPC, subnets, zones, the region, instance types. Describes and changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ncap_iac.local.ec2.catalog import INSTANCE_TYPES, InstanceType
from ncap_iac.local.ec2.filters import Fields, page, select
from ncap_iac.local.ec2.launching import read_instance_type
from ncap_iac.local.ec2.network import VPC_BLOCK, Network, Subnet
from ncap_iac.local.ec2.requests import Parameters, invalid, refuse_others
from ncap_iac.local.service import ServiceError

Answer = Mapping[str, Any]

_TYPE_FILTERS: Fields[InstanceType] = {
    "instance-type": lambda kind: [kind.name],
    "vcpu-info.default-vcpus": lambda kind: [str(kind.vcpu)],
    "memory-info.size-in-mib": lambda kind: [str(kind.memory_mib)],
    "current-generation": lambda _: ["true"],
}
_SUBNET_FILTERS: Fields[Subnet] = {
    "availability-zone": lambda subnet: [subnet.zone],
    "default-for-az": lambda _: ["true"],
    "subnet-id": lambda subnet: [subnet.subnet_id],
    "state": lambda _: ["available"],
}
_FREE_ADDRESSES = 4091


class Places:
    """The operations that only describe."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def describe_vpcs(self, parameters: Parameters) -> Answer:
        """DescribeVpcs."""
        refuse_others("DescribeVpcs", parameters, ("VpcIds", "Filters", "MaxResults", "NextToken"))
        for vpc_id in parameters.get("VpcIds") or ():
            if vpc_id != self._network.vpc_id:
                raise ServiceError("InvalidVpcID.NotFound", f"The vpc ID '{vpc_id}' does not exist")
        fields: Fields[str] = {
            "vpc-id": lambda vpc_id: [vpc_id],
            "is-default": lambda _: ["true"],
            "isDefault": lambda _: ["true"],
            "state": lambda _: ["available"],
            "cidr": lambda _: [VPC_BLOCK],
        }
        found = select([self._network.vpc_id], parameters, fields, lambda _: {})
        return {"Vpcs": [self._vpc_shape(vpc_id) for vpc_id in found]}

    def _vpc_shape(self, vpc_id: str) -> Answer:
        return {
            "VpcId": vpc_id,
            "CidrBlock": VPC_BLOCK,
            "IsDefault": True,
            "State": "available",
            "OwnerId": self._network.account_id,
            "InstanceTenancy": "default",
            "Tags": [],
        }

    def describe_subnets(self, parameters: Parameters) -> Answer:
        """DescribeSubnets."""
        refuse_others("DescribeSubnets", parameters, ("SubnetIds", "Filters", "MaxResults", "NextToken"))
        ids = parameters.get("SubnetIds") or ()
        for subnet_id in ids:
            if self._network.subnet(subnet_id) is None:
                raise ServiceError("InvalidSubnetID.NotFound", f"The subnet ID '{subnet_id}' does not exist")
        candidates = [subnet for subnet in self._network.subnets if not ids or subnet.subnet_id in ids]
        fields: Fields[Subnet] = {**_SUBNET_FILTERS, "vpc-id": lambda _: [self._network.vpc_id]}
        found, token = page(select(candidates, parameters, fields, lambda _: {}), parameters)
        answer = {"Subnets": [self._subnet_shape(subnet) for subnet in found]}
        return {**answer, "NextToken": token} if token else answer

    def _subnet_shape(self, subnet: Subnet) -> Answer:
        return {
            "SubnetId": subnet.subnet_id,
            "SubnetArn": self._network.arn("subnet", subnet.subnet_id),
            "VpcId": self._network.vpc_id,
            "CidrBlock": subnet.block,
            "AvailabilityZone": subnet.zone,
            "AvailabilityZoneId": self._network.zone_id(subnet.zone),
            "AvailableIpAddressCount": _FREE_ADDRESSES,
            "DefaultForAz": True,
            "MapPublicIpOnLaunch": False,
            "State": "available",
            "OwnerId": self._network.account_id,
            "Tags": [],
        }

    def describe_zones(self, parameters: Parameters) -> Answer:
        """DescribeAvailabilityZones."""
        refuse_others("DescribeAvailabilityZones", parameters, ("ZoneNames", "Filters", "AllAvailabilityZones"))
        names = parameters.get("ZoneNames") or self._network.zones
        for name in names:
            if name not in self._network.zones:
                raise invalid(name, "availability zone", f"Expected one of {', '.join(self._network.zones)}.")
        fields: Fields[str] = {
            "zone-name": lambda zone: [zone],
            "region-name": lambda _: [self._network.region],
            "state": lambda _: ["available"],
        }
        return {"AvailabilityZones": [self._zone_shape(zone) for zone in select(names, parameters, fields, None)]}

    def _zone_shape(self, zone: str) -> Answer:
        return {
            "ZoneName": zone,
            "ZoneId": self._network.zone_id(zone),
            "RegionName": self._network.region,
            "State": "available",
            "OptInStatus": "opt-in-not-required",
            "ZoneType": "availability-zone",
            "GroupName": self._network.region,
            "NetworkBorderGroup": self._network.region,
            "Messages": [],
        }

    def describe_regions(self, parameters: Parameters) -> Answer:
        """DescribeRegions: the one of this cloud."""
        refuse_others("DescribeRegions", parameters, ("RegionNames", "Filters", "AllRegions"))
        for name in parameters.get("RegionNames") or ():
            if name != self._network.region:
                raise invalid(name, "region", f"This local cloud is in {self._network.region}.")
        fields: Fields[str] = {"region-name": lambda region: [region]}
        regions = select([self._network.region], parameters, fields, None)
        return {
            "Regions": [
                {
                    "RegionName": region,
                    "Endpoint": f"ec2.{region}.amazonaws.com",
                    "OptInStatus": "opt-in-not-required",
                }
                for region in regions
            ]
        }

    def describe_types(self, parameters: Parameters) -> Answer:
        """DescribeInstanceTypes: those of the catalog."""
        refuse_others("DescribeInstanceTypes", parameters, ("InstanceTypes", "Filters", "MaxResults", "NextToken"))
        names = parameters.get("InstanceTypes") or ()
        candidates = [read_instance_type(name) for name in names] if names else list(INSTANCE_TYPES.values())
        found, token = page(select(candidates, parameters, _TYPE_FILTERS, None), parameters, most=100)
        answer = {"InstanceTypes": [_type_shape(kind) for kind in found]}
        return {**answer, "NextToken": token} if token else answer

    def describe_offerings(self, parameters: Parameters) -> Answer:
        """DescribeInstanceTypeOfferings: every type of the catalog, in the region and in each of its zones."""
        refuse_others(
            "DescribeInstanceTypeOfferings", parameters, ("LocationType", "Filters", "MaxResults", "NextToken")
        )
        kind = parameters.get("LocationType") or "region"
        places = {
            "region": (self._network.region,),
            "availability-zone": self._network.zones,
            "availability-zone-id": tuple(self._network.zone_id(zone) for zone in self._network.zones),
        }
        if kind not in places:
            raise invalid(kind, "LocationType", f"Expected one of {', '.join(places)}.")
        offers = [(name, place) for name in INSTANCE_TYPES for place in places[kind]]
        fields: Fields[tuple[str, str]] = {
            "instance-type": lambda offer: [offer[0]],
            "location": lambda offer: [offer[1]],
        }
        found, token = page(select(offers, parameters, fields, None), parameters)
        shown = [{"InstanceType": name, "LocationType": kind, "Location": place} for name, place in found]
        answer = {"InstanceTypeOfferings": shown}
        return {**answer, "NextToken": token} if token else answer

    def describe_attributes(self, parameters: Parameters) -> Answer:
        """DescribeAccountAttributes: the two that say something about this account."""
        refuse_others("DescribeAccountAttributes", parameters, ("AttributeNames",))
        values = {"supported-platforms": "VPC", "default-vpc": self._network.vpc_id}
        names = parameters.get("AttributeNames") or list(values)
        for name in names:
            if name not in values:
                raise invalid(name, "attributeName", f"The local cloud has: {', '.join(values)}.")
        shown = [
            {"AttributeName": name, "AttributeValues": [{"AttributeValue": values[name]}]} for name in sorted(names)
        ]
        return {"AccountAttributes": shown}


def _type_shape(kind: InstanceType) -> Answer:
    shape: dict[str, Any] = {
        "InstanceType": kind.name,
        "CurrentGeneration": True,
        "VCpuInfo": {"DefaultVCpus": kind.vcpu},
        "MemoryInfo": {"SizeInMiB": kind.memory_mib},
        "ProcessorInfo": {"SupportedArchitectures": ["x86_64"]},
        "SupportedUsageClasses": ["on-demand"],
        "SupportedRootDeviceTypes": ["ebs"],
        "SupportedVirtualizationTypes": ["hvm"],
        "BareMetal": False,
    }
    if kind.gpus:
        gpu = {
            "Name": kind.gpu_name,
            "Manufacturer": "NVIDIA",
            "Count": kind.gpus,
            "MemoryInfo": {"SizeInMiB": kind.gpu_memory_mib},
        }
        shape["GpuInfo"] = {"Gpus": [gpu], "TotalGpuMemoryInMiB": kind.gpus * kind.gpu_memory_mib}
    return shape
