"""Wanted and deployed become a plan, a plan is performed, and what is there is looked at."""
