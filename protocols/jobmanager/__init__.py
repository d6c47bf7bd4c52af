"""The job manager: what happens between a submission and the end of its job. Importing it does nothing."""
