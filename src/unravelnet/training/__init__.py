"""Trains a network, each mini-batch on a route that a sampler draws."""
