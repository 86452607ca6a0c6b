"""What a pipeline is told of: events, kept until they are delivered."""
