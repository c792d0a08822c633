"""The pytest plugin of fullspan."""
