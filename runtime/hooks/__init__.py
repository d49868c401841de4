"""One job each."""
