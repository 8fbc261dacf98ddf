"""High level of the agents over skills: its options, distilled start and priors."""
