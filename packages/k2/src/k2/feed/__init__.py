"""From an exchange to Kafka: the feed, and the local exchange to try it with."""
