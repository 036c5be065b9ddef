"""The HTTP calls on what people own: one file for each noun."""
