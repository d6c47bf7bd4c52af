"""How packets leave the one network: its route table and its endpoints. Describes and changes nothing.

Instances have private addresses only and reach the world through the computer's own, which is what a NAT gateway does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ncap_iac.local.ec2.filters import Fields, page, select
from ncap_iac.local.ec2.network import VPC_BLOCK, Network
from ncap_iac.local.ec2.requests import Parameters, refuse_others
from ncap_iac.local.service import ServiceError

Answer = Mapping[str, Any]


class Routes:
    """DescribeRouteTables and DescribeVpcEndpoints."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def describe_tables(self, parameters: Parameters) -> Answer:
        """DescribeRouteTables: the main table of the default network, which all subnets use."""
        refuse_others("DescribeRouteTables", parameters, ("RouteTableIds", "Filters", "MaxResults", "NextToken"))
        table = self._network.route_table_id
        for given in parameters.get("RouteTableIds") or ():
            if given != table:
                raise ServiceError("InvalidRouteTableID.NotFound", f"The routeTable ID '{given}' does not exist")
        fields: Fields[str] = {
            "route-table-id": lambda name: [name],
            "vpc-id": lambda _: [self._network.vpc_id],
            "association.main": lambda _: ["true"],
            "association.subnet-id": lambda _: [],
        }
        found, token = page(select([table], parameters, fields, lambda _: {}), parameters)
        answer = {"RouteTables": [self._shape(name) for name in found]}
        return {**answer, "NextToken": token} if token else answer

    def _shape(self, table: str) -> Answer:
        association = {
            "RouteTableAssociationId": table.replace("rtb-", "rtbassoc-"),
            "RouteTableId": table,
            "Main": True,
            "AssociationState": {"State": "associated"},
        }
        inside = {"DestinationCidrBlock": VPC_BLOCK, "GatewayId": "local", "Origin": "CreateRouteTable"}
        outside = {"DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": self._network.nat_id, "Origin": "CreateRoute"}
        return {
            "RouteTableId": table,
            "VpcId": self._network.vpc_id,
            "OwnerId": self._network.account_id,
            "Associations": [association],
            "PropagatingVgws": [],
            "Routes": [{**route, "State": "active"} for route in (inside, outside)],
            "Tags": [],
        }

    def describe_endpoints(self, parameters: Parameters) -> Answer:
        """DescribeVpcEndpoints: there are none."""
        accepted = ("VpcEndpointIds", "Filters", "MaxResults", "NextToken")
        refuse_others("DescribeVpcEndpoints", parameters, accepted)
        asked = parameters.get("VpcEndpointIds")
        if asked:
            raise ServiceError("InvalidVpcEndpointId.NotFound", f"The Vpc Endpoint Id '{asked[0]}' does not exist")
        return {"VpcEndpoints": []}
