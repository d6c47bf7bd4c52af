"""Asks a target for the network instances start in: subnets, where their default routes go, S3 endpoints. Reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ncap_iac.preflight import facts
from ncap_iac.preflight.facts import Way

if TYPE_CHECKING:
    from ncap_iac.aws import Gateway

Shape = Mapping[str, Any]


def network(gateway: Gateway, *, vpc: str, subnets: Sequence[str]) -> facts.Network:
    """The network named, or the default one; the subnets named, or those that are their zone's default."""
    client = gateway.session.client("ec2")
    with gateway.session.translated("network"):
        filters = [{"Name": "vpc-id", "Values": [vpc]}] if vpc else [{"Name": "is-default", "Values": ["true"]}]
        found = client.describe_vpcs(Filters=filters)["Vpcs"]
        if not found:
            return facts.Network(None, is_default=not vpc)
        here = str(found[0]["VpcId"])
        inside = [{"Name": "vpc-id", "Values": [here]}]
        listed = client.describe_subnets(Filters=inside)["Subnets"]
        tables = client.describe_route_tables(Filters=inside)["RouteTables"]
        endpoints = client.describe_vpc_endpoints(Filters=inside)["VpcEndpoints"]
    chosen = [item for item in listed if item["SubnetId"] in subnets] if subnets else listed
    return facts.Network(here, not vpc, tuple(_subnet(item, tables, endpoints) for item in chosen))


def _subnet(item: Shape, tables: Sequence[Shape], endpoints: Sequence[Shape]) -> facts.Subnet:
    subnet = str(item["SubnetId"])
    table = _table_of(subnet, tables)
    return facts.Subnet(
        id=subnet,
        zone=str(item.get("AvailabilityZone", "")),
        public_addresses=bool(item.get("MapPublicIpOnLaunch")),
        way=_way(table),
        s3_endpoint=any(_serves(endpoint, subnet, table) for endpoint in endpoints),
        free_addresses=int(item.get("AvailableIpAddressCount", 0)),
    )


def _table_of(subnet: str, tables: Sequence[Shape]) -> Shape:
    """The route table of a subnet: its own, else the network's main one."""
    main: Shape = {}
    for table in tables:
        for association in table.get("Associations", ()):
            if association.get("SubnetId") == subnet:
                return table
            if association.get("Main"):
                main = table
    return main


def _way(table: Shape) -> Way:
    for route in table.get("Routes", ()):
        if route.get("DestinationCidrBlock") != "0.0.0.0/0" or route.get("State", "active") != "active":
            continue
        if str(route.get("GatewayId", "")).startswith("igw-"):
            return Way.INTERNET
        if route.get("NatGatewayId") or route.get("InstanceId"):
            return Way.NAT
        return Way.OTHER
    return Way.NONE


def _serves(endpoint: Shape, subnet: str, table: Shape) -> bool:
    """Whether an endpoint of S3 is on a subnet's way."""
    if not str(endpoint.get("ServiceName", "")).endswith(".s3"):
        return False
    by_route = table.get("RouteTableId") in endpoint.get("RouteTableIds", ())
    return by_route or (bool(endpoint.get("PrivateDnsEnabled")) and subnet in endpoint.get("SubnetIds", ()))
