"""Kafka: the only place that imports FastStream or aiokafka."""
