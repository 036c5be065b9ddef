"""The HTTP calls on what people are told: one file for each noun."""
