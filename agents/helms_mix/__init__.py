"""HeLMS-mix: RHPO over the latents of frozen skills (section 3.2, Eq. 5)."""
