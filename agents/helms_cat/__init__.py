"""HeLMS-cat: a categorical high level over frozen skills, by MPO (section 3.2)."""
