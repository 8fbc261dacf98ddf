"""HeLMS-cat: a categorical high level over frozen skills, learned by MPO (section 3.2)."""
