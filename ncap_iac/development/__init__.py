"""Development instances: EC2 instances people work on, their test jobs, and the AMIs saved from them.

Values and calls through the gateway; what is asked and shown is the command line's.
"""
