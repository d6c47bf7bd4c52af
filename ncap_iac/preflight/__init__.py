"""Whether an account is ready: facts are fetched, then judged."""
