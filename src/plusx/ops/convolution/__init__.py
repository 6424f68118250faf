"""Convolution: `conv` has the call and the formulas, `routes` the ways to compute them, each in a file."""
