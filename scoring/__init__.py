"""Scores with reasons, grades and stages, as pure functions of people, activities, a model and an instant."""
