"""The one network of a local cloud: a default VPC with a subnet in each of three zones. Names and numbers only.

Ids follow from account and region, so they are the same after a restart; no packet passes through any of it.
"""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import dataclass

VPC_BLOCK = "172.31.0.0/16"
_SUBNET_BITS = 20
_ZONES = "abc"
_RESERVED_ADDRESSES = 4
"""The first four addresses of a subnet are AWS's own."""


@dataclass(frozen=True)
class Subnet:
    """One subnet of the default VPC."""

    subnet_id: str
    zone: str
    block: str


@dataclass(frozen=True)
class Network:
    """The default VPC of an account in a region."""

    account_id: str
    region: str

    @property
    def vpc_id(self) -> str:
        """The default VPC."""
        return self._id("vpc", "default")

    @property
    def zones(self) -> tuple[str, ...]:
        """Availability zones of the region."""
        return tuple(self.region + letter for letter in _ZONES)

    @property
    def subnets(self) -> tuple[Subnet, ...]:
        """One a zone."""
        blocks = ipaddress.ip_network(VPC_BLOCK).subnets(new_prefix=_SUBNET_BITS)
        return tuple(
            Subnet(self._id("subnet", zone), zone, str(block)) for zone, block in zip(self.zones, blocks, strict=False)
        )

    @property
    def default_group_id(self) -> str:
        """The default security group of the VPC."""
        return self._id("sg", "default")

    @property
    def route_table_id(self) -> str:
        """The main route table of the VPC."""
        return self._id("rtb", "default")

    @property
    def nat_id(self) -> str:
        """What stands for the computer's own way out."""
        return self._id("nat", "default")

    def subnet(self, subnet_id: str) -> Subnet | None:
        """The subnet of an id."""
        return next((subnet for subnet in self.subnets if subnet.subnet_id == subnet_id), None)

    def zone_id(self, zone: str) -> str:
        """`use1-az1` for `us-east-1a`."""
        place, direction, number = self.region.rsplit("-", 2)
        compass = ("north", "south", "east", "west", "central")
        short = "".join(point[0] for point in compass if point in direction)
        return f"{place.replace('-', '')}{short}{number}-az{self.zones.index(zone) + 1}"

    def host_name(self, private_ip: str) -> str:
        """The private DNS name EC2 gives (`ip-172-31-0-4.ec2.internal`)."""
        domain = "ec2.internal" if self.region == "us-east-1" else f"{self.region}.compute.internal"
        return f"ip-{private_ip.replace('.', '-')}.{domain}"

    def address(self, subnet: Subnet, number: int) -> str:
        """The `number`-th usable address; they are handed out anew once all were used."""
        block = ipaddress.ip_network(subnet.block)
        usable = block.num_addresses - _RESERVED_ADDRESSES - 1
        return str(block[_RESERVED_ADDRESSES + number % usable])

    def arn(self, kind: str, name: str) -> str:
        """The ARN of an EC2 resource; images belong to no account."""
        account = "" if kind == "image" else self.account_id
        return f"arn:aws:ec2:{self.region}:{account}:{kind}/{name}"

    def _id(self, prefix: str, name: str) -> str:
        digest = hashlib.sha256(f"{self.account_id}/{self.region}/{prefix}/{name}".encode()).hexdigest()
        return f"{prefix}-{digest[:17]}"
