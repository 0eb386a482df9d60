"""One verb each: they report progress and return results, and never print."""
