"""What is asked of venues by HTTP: calls and how their answers are read, as values. Pure; `http.py` moves the bytes."""
