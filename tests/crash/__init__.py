"""Crash proof: a small child ingests, is killed anywhere, and what it left is judged from outside."""
