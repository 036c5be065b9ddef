"""Corporate actions on lots: units and costs go elsewhere, and nothing of a cost is lost on the way."""
