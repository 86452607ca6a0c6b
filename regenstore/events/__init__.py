"""Notifications for pipelines: events, kept until they are delivered."""
