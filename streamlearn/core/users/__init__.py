"""Many users: what is shared by all of them, and what is each one's own (sections 3.4 and 3.8 of the paper)."""
