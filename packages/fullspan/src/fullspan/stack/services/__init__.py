"""What fullspan knows about servers that others wrote: how to run them in a folder of their own, and what they need."""
