"""The cases of spec/vectors, one module for each group of sections of FORMAT.md."""
