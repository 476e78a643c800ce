"""Many users: what a user's own few examples add to a model that was learned from everybody (section 3.8 of the paper)."""
