"""What the agents over skills share of the high level: distilled start and priors."""
