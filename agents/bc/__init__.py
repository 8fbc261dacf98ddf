"""BC: a Gaussian policy that imitates the data's actions."""
