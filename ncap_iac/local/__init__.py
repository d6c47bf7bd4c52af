"""The local cloud: AWS's interfaces on one machine, without an account, Docker or root.

`base` runs the emulator that gives S3, Lambda, IAM, DynamoDB and more; the edge (`server`) is the only door in
front of it and gives EC2, CloudFormation and Budgets a body. Nothing here is imported by a protocol or a template.
"""
