"""EC2 with a body: a launch becomes a process of this computer, with EC2's states, events and errors."""

from ncap_iac.local.ec2.model import Fault
from ncap_iac.local.ec2.service import EC2Service

__all__ = ["EC2Service", "Fault"]
