"""Jobs as their members see them: submitting, following, resuming, fetching results."""
