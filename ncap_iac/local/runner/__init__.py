"""Running machines: one warden process holds each instance in the strongest sandbox this computer offers.

`machines` is the edge's side, `warden` the process beside the machine; everything else serves one of the two.
Nothing here knows EC2's wire, IAM or a job. Imported by the warden as well: keep this module without imports.
"""
