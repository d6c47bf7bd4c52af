"""What jobs cost: prices, quotes, budgets, usage and their pictures."""
