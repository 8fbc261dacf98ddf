"""The paper's analyses of a skill bundle: behaviour, latent space, exploration."""
